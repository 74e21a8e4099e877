"""Looks at the head of a file and says how it would be read, so that it can be shown first."""

import codecs
import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Final

from bot.imports.columns import guess_columns, is_enough, is_preference
from bot.rows import Method, Problem, method_of, read_lines
from bot.rows.problems import RowRefused, kind_of
from bot.rows.reading import decode_value

TABLE_FALLBACK: Final = "cp1252"
"""What spreadsheets of western offices write when it is not Unicode."""
_DELIMITERS = (",", ";", "\t", "|")
_ROWS_LOOKED_AT = 20
_MOST_COLUMNS_SHOWN = 12
_FIRST_KEY = re.compile(r'"(messages|input|preferred_output|non_preferred_output)"\s*:')


class Layout(StrEnum):
    """How the rows are written in a file."""

    CHAT = "chat"
    DPO = "dpo"
    COMPLETION = "completion"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Plan:
    """How a file is read.

    Columns map question, answer, system, context, preferred and rejected to the heading or key;
    in a table without a header, to the number of the column from 1.
    """

    layout: Layout
    method: Method
    columns: Mapping[str, str]
    delimiter: str | None
    encoding: str
    has_header: bool = True


def plan_import(head: bytes, name: str) -> Plan | Problem:
    """Plan from the first 64 KiB of a file and its name, or say why it cannot be read."""
    encoding = _encoding_of(head)
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    if not text.strip():
        return Problem(0, "file_empty", {})
    suffix = name.lower().rpartition(".")[2]
    is_json = text.lstrip().startswith(("{", "[")) or suffix in ("json", "jsonl", "ndjson")
    if is_json and suffix not in ("csv", "tsv"):
        return _plan_json(head, text, encoding)
    if "\0" in text:
        return Problem(0, "null_byte", {})
    return _plan_table(text, suffix, encoding)


def _encoding_of(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        # The head may end in the middle of a character.
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return TABLE_FALLBACK
    return "utf-8"


def _plan_json(head: bytes, text: str, encoding: str) -> Plan | Problem:
    # JSON is Unicode by its standard: another encoding is refused line by line when read.
    encoding = "utf-8" if encoding == TABLE_FALLBACK else encoding
    is_array = text.lstrip().startswith("[")
    first = _first_of_array(text) if is_array else _first_of_lines(head)
    if isinstance(first, Problem):
        is_longer_than_head = is_array or "\n" not in text.strip()
        found = _FIRST_KEY.search(text) if is_longer_than_head else None
        if found is None or first.code != "cut_off":
            return first
        first = {"messages" if found.group(1) == "messages" else "preferred_output": None}
    method = method_of(first)
    if method is Method.DPO and not _is_flat(first):
        return Plan(Layout.DPO, Method.DPO, {}, None, encoding)
    if method is Method.SUPERVISED:
        return Plan(Layout.CHAT, method, {}, None, encoding)
    return _plan_completion(first, encoding)


def _plan_completion(first: object, encoding: str) -> Plan | Problem:
    if not isinstance(first, Mapping):
        return Problem(1, "row_not_object", {"kind": kind_of(first)})
    keys = list(first)
    columns = guess_columns(keys)
    if not is_enough(columns):
        return Problem(0, "row_unknown", {"columns": _listed(keys)})
    return Plan(Layout.COMPLETION, _method_for(columns), columns, None, encoding)


def _is_flat(row: object) -> bool:
    outputs = ("preferred_output", "non_preferred_output")
    return isinstance(row, Mapping) and all(isinstance(row.get(key), str) for key in outputs)


def _first_of_lines(head: bytes) -> object:
    values = [value for _, value in islice(read_lines([head]), _ROWS_LOOKED_AT)]
    objects = [value for value in values if isinstance(value, dict)]
    return next(iter(objects + values), Problem(0, "file_empty", {}))


def _first_of_array(text: str) -> object:
    found = re.search(r"\[\s*", text)
    start = found.end() if found else 0
    if text[start : start + 1] == "]":
        return Problem(0, "file_empty", {})
    try:
        return decode_value(text, start)[0]
    except RowRefused as refusal:
        return refusal.at(1)


def _plan_table(text: str, suffix: str, encoding: str) -> Plan | Problem:
    rest = text
    delimiters = ["\t", *_DELIMITERS] if suffix == "tsv" else list(_DELIMITERS)
    told = re.match(r"sep=(.)\r?\n", text, re.IGNORECASE)
    if told:
        delimiters, rest = [told.group(1)], text[told.end() :]
    tables = {delimiter: _head_rows(rest, delimiter) for delimiter in delimiters}
    for delimiter, rows in tables.items():
        columns = _columns_of(rows[0]) if rows else {}
        if is_enough(columns):
            return Plan(Layout.TABLE, _method_for(columns), columns, delimiter, encoding)
    for delimiter, rows in tables.items():
        if rows and all(len(row) == 2 for row in rows):
            pair = {"question": "1", "answer": "2"}
            return Plan(Layout.TABLE, Method.SUPERVISED, pair, delimiter, encoding, False)
    if not any(tables.values()):
        return Problem(1, "table_broken", {"what": "no row can be read"})
    headings = max((rows[0] for rows in tables.values() if rows), key=len)
    return Problem(1, "columns_unknown", {"columns": _listed(headings)})


def _columns_of(headings: list[str]) -> dict[str, str]:
    columns = guess_columns(headings)
    if len(set(headings)) == 2 and len(columns) == 1 and columns.keys() <= {"question", "answer"}:
        # One name is known, so this is a header, and the other column is what is missing.
        missing = "answer" if "question" in columns else "question"
        others = [heading for heading in headings if heading not in columns.values()]
        columns[missing] = others[0]
    return columns


def _head_rows(text: str, delimiter: str) -> list[list[str]]:
    rows: list[list[str]] = []
    reader = csv.reader(_lines_of(text), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            if any(cell.strip() for cell in row):
                rows.append([cell.strip() for cell in row])
            if len(rows) > _ROWS_LOOKED_AT:
                break
    except csv.Error:
        return rows
    # The last row may be cut where the head ends.
    return rows[:-1] if len(rows) > 1 else rows


def _lines_of(text: str) -> Iterator[str]:
    return (line + "\n" for line in text.split("\n"))


def _method_for(columns: Mapping[str, str]) -> Method:
    return Method.DPO if is_preference(columns) else Method.SUPERVISED


def _listed(names: list[str]) -> str:
    shown = [name[:40].encode(errors="replace").decode() for name in names[:_MOST_COLUMNS_SHOWN]]
    return ", ".join(f"“{name}”" for name in shown)
