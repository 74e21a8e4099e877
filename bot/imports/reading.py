"""Reads a file as planned: rows that may train, or problems with the line."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Final

from bot.imports.plan import TABLE_FALLBACK, Layout, Plan
from bot.rows import Method, Problem, check_rows, read_lines
from bot.rows.problems import RowRefused, kind_of
from bot.rows.reading import after_blanks, as_utf8, decode_value, raw_lines

if TYPE_CHECKING:
    import _csv

_LONGEST_ARRAY_MEBIBYTES: Final = 64
# Leaves broken characters, which the check of the row then refuses with its line.
_REFUSED_LATER = "surrogateescape"
_BEFORE_TEXT = b" \t\r\n\0\xef\xbb\xbf\xff\xfe"


def read_import(
    chunks: Iterable[bytes], plan: Plan
) -> Iterator[tuple[int, dict[str, object] | Problem]]:
    """Yield each row as one of OpenAI's chat or preference rows, checked, or its Problem.

    White space around questions and answers is stripped in tables and completions; other
    separators, as the old completion files had them, stay as they are. A file is never held in
    memory, but for a JSON array, of at most 64 MiB.
    """
    rows = _table_rows(chunks, plan) if plan.layout is Layout.TABLE else _json_rows(chunks)
    if plan.layout in (Layout.TABLE, Layout.COMPLETION):
        rows = ((line, _row_from(cells, plan, line)) for line, cells in rows)
    return check_rows(_or_empty(rows), plan.method)


def _or_empty(rows: Iterator[tuple[int, object]]) -> Iterator[tuple[int, object]]:
    first = next(rows, None)
    if first is None:
        yield 0, Problem(0, "file_empty", {})
        return
    yield first
    yield from rows


def _row_from(cells: object, plan: Plan, line: int) -> object:
    if not isinstance(cells, Mapping) or "messages" in cells:
        return cells
    try:
        texts = {purpose: _cell(cells, name, purpose) for purpose, name in plan.columns.items()}
    except RowRefused as refusal:
        return refusal.at(line)
    return _preference_row(texts) if plan.method is Method.DPO else _chat_row(texts)


def _cell(cells: Mapping[object, object], column: str, purpose: str) -> str:
    is_optional = purpose in ("system", "context")
    text = cells.get(column)
    if text is None:
        if is_optional:
            return ""
        raise RowRefused("cell_missing", column=column)
    if not isinstance(text, str):
        raise RowRefused("cell_not_text", column=column, kind=kind_of(text))
    if not text.strip() and not is_optional:
        raise RowRefused("cell_empty", column=column)
    return text.strip()


def _chat_row(texts: Mapping[str, str]) -> dict[str, object]:
    answer = {"role": "assistant", "content": texts["answer"]}
    return {"messages": [*_prompt(texts), answer]}


def _preference_row(texts: Mapping[str, str]) -> dict[str, object]:
    return {
        "input": {"messages": _prompt(texts)},
        "preferred_output": [{"role": "assistant", "content": texts["preferred"]}],
        "non_preferred_output": [{"role": "assistant", "content": texts["rejected"]}],
    }


def _prompt(texts: Mapping[str, str]) -> list[dict[str, str]]:
    question = "\n\n".join(filter(None, (texts["question"], texts.get("context"))))
    system = [{"role": "system", "content": texts["system"]}] if texts.get("system") else []
    return [*system, {"role": "user", "content": question}]


def _json_rows(chunks: Iterable[bytes]) -> Iterator[tuple[int, object]]:
    rest = iter(chunks)
    seen: list[bytes] = []
    start = b""
    for chunk in rest:
        seen.append(chunk)
        start = chunk.lstrip(_BEFORE_TEXT)
        if start:
            break
    everything = chain(seen, rest)
    return _array_rows(everything) if start.startswith(b"[") else read_lines(everything)


def _array_rows(chunks: Iterable[bytes]) -> Iterator[tuple[int, object]]:
    line = 1
    try:
        text = _whole(chunks)
        counted, start = 0, after_blanks(text, after_blanks(text, 0) + 1)
        while text[start : start + 1] != "]":
            line += text.count("\n", counted, start)
            counted = start
            value, end = decode_value(text, start)
            yield line, value
            start = _next_in_array(text, end)
    except RowRefused as refusal:
        yield line, refusal.at(line)


def _whole(chunks: Iterable[bytes]) -> str:
    read = bytearray()
    for chunk in as_utf8(chunks):
        read += chunk
        if len(read) > _LONGEST_ARRAY_MEBIBYTES << 20:
            raise RowRefused("array_too_long", limit=_LONGEST_ARRAY_MEBIBYTES)
    try:
        return read.decode()
    except UnicodeDecodeError as error:
        raise RowRefused("not_utf8", byte=error.start + 1) from None


def _next_in_array(text: str, end: int) -> int:
    start = after_blanks(text, end)
    following = text[start : start + 1]
    if following == ",":
        return after_blanks(text, start + 1)
    if not following:
        raise RowRefused("cut_off")
    if following != "]":
        raise RowRefused("extra_text", column=start - text.rfind("\n", 0, start))
    return start


def _table_rows(chunks: Iterable[bytes], plan: Plan) -> Iterator[tuple[int, object]]:
    lines = _decoded(raw_lines(chunks), plan.encoding)
    # Strict, because a quote left open would silently join the rows up to the next quote.
    reader = csv.reader(lines, delimiter=plan.delimiter or ",", strict=True)
    headings = None if plan.has_header else list(plan.columns.values())
    for line, cells in _csv_rows(reader):
        if isinstance(cells, Problem):
            yield line, cells
        elif headings is None:
            headings = [cell.strip() for cell in cells]
        else:
            yield line, _named(headings, cells, line)


def _csv_rows(reader: "_csv.Reader") -> Iterator[tuple[int, list[str] | Problem]]:
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            yield line, _problem_of(error, line)
            continue
        if cells is None:
            return
        is_delimiter_told = line == 1 and cells[:1] == ["sep="]
        if any(cell.strip() for cell in cells) and not is_delimiter_told:
            yield line, cells


def _problem_of(error: csv.Error, line: int) -> Problem:
    # The module's own limit keeps a quote that nobody closes from filling the memory.
    if "field limit" in str(error):
        return Problem(line, "cell_too_long", {"limit": csv.field_size_limit()})
    return Problem(line, "table_broken", {"what": str(error)})


def _named(headings: list[str], cells: list[str], line: int) -> dict[str, str] | Problem:
    if any(cell.strip() for cell in cells[len(headings) :]):
        details = {"count": len(cells), "expected": len(headings)}
        return Problem(line, "cells_too_many", details)
    # Of two columns with the same heading the first counts.
    return dict(reversed(list(zip(headings, cells, strict=False))))


def _decoded(lines: Iterable[bytes | None], encoding: str) -> Iterator[str]:
    encoding = "utf-8" if encoding == "utf-16" else encoding
    is_ascii = True
    for line in lines:
        if line is None:
            yield "…" * (csv.field_size_limit() + 1) + "\n"
            continue
        try:
            text = line.decode(encoding)
        except UnicodeDecodeError:
            # The head was plain ASCII, so only now the file shows what it is.
            encoding = TABLE_FALLBACK if is_ascii else encoding
            text = line.decode(encoding, _REFUSED_LATER)
        is_ascii = is_ascii and text.isascii()
        yield text + "\n"
