"""Decides from the beginning of a file how the file is read, for a preview before the import."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import IO, Final

from bot.imports import columns as names
from bot.imports.archives import FileFormat, detect_format
from bot.imports.dataset_formats import (
    are_good_bad_labels,
    is_good_label,
    is_messages,
    is_openai_message,
    text_of_parts,
    unknown_message_keys,
)
from bot.imports.encodings import ENCODINGS, Encoding, detect_encodings, utf8_blocks
from bot.imports.faq_documents import BROKEN_DOCUMENT
from bot.imports.json_tickets import is_json_ticket, is_timed_message
from bot.imports.json_values import WRAPPERS
from bot.imports.mail_text import is_html
from bot.imports.nested_records import rows_by_column
from bot.imports.records import RecordFormat, Syntax, read_cells, read_records
from bot.imports.tables import SECOND, distinct_headings, has_parquet, open_workbook, shown_sheets
from bot.imports.texts_without_rows import find_text_without_rows
from bot.imports.tickets import is_help_desk, ticket_columns, unreadable_messages
from bot.rows import Method, Problem, detect_method
from bot.rows.problems import json_type_name

_DELIMITERS: Final = (",", ";", "\t", "|")
_SAMPLED_ROWS: Final = 40
_MAX_TITLE_ROWS: Final = 12
_MAX_COLUMNS_SHOWN: Final = 12
_KEYS_OF_ROWS: Final = frozenset(("messages", "tools", "functions", "parallel_tool_calls"))
# A list of questions may begin like YAML or a mail.
_MAYBE_FAQ: Final = ("file_yaml", "file_mail")
_DOCUMENTS: Final = ("md", "markdown", "htm", "html")
# Names of columns that label answers as good or bad, if their values do so as well.
_LABELS: Final = ("label", "feedback", "rating", "thumbs", "vote", "helpful", "liked", "correct")
_CONVERSATIONS: Final = (
    *("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "contents"),
)


class Layout(StrEnum):
    """The layout of the rows in a file."""

    CHAT = "chat"
    DPO = "dpo"
    CONVERSATION = "conversation"
    COLUMNS = "columns"
    TICKETS = "tickets"
    JSON_TICKETS = "json_tickets"


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """A person's choices for a file: columns by purpose, and the encoding of its text."""

    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """The plan for reading a file.

    `columns` maps each purpose to a heading or key, or in a table without a header to the number of
    the column from 1. `unused` has the columns without a purpose. `is_sure` is False if something
    was guessed. `encodings` has all possible encodings, the chosen one first. For a workbook, the
    plan is of the first sheet that is read, `more_sheets` has the plans of the others that are
    read, and `unread_sheets` the names of sheets that are not. If `strips_mail_parts`, quotes,
    greetings and signatures are stripped from texts.
    """

    layout: Layout
    method: Method
    columns: Mapping[str, str]
    source: RecordFormat
    unused: tuple[str, ...] = ()
    encodings: tuple[Encoding, ...] = ()
    is_sure: bool = True
    headings: tuple[str, ...] = ()
    strips_mail_parts: bool = False
    more_sheets: tuple["ImportPlan", ...] = ()
    unread_sheets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class UnknownColumns(Problem):
    """The purposes of the columns are unknown, so a person has to choose among `headings`."""

    headings: tuple[str, ...] = ()


def plan_import(
    file: IO[bytes], name: str, options: ImportOptions | None = None
) -> ImportPlan | Problem:
    """Returns the plan for an unpacked file by its content and name, or why it cannot be read."""
    options = options or ImportOptions()
    container = detect_format(file)
    if isinstance(container, Problem):
        return container
    if container is FileFormat.WORKBOOK:
        return _plan_workbook(file, options)
    if container is FileFormat.PARQUET:
        return _plan_parquet(file, options)
    if container is FileFormat.DOCUMENT:
        return _plan_document(file, "utf-8", options)
    if options.encoding and options.encoding not in (*ENCODINGS, "utf-8"):
        choices = ", ".join((*ENCODINGS, "utf-8"))
        return Problem(0, "encoding_unknown", {"encoding": options.encoding[:40], "known": choices})
    encodings = (Encoding(options.encoding),) if options.encoding else detect_encodings(file)
    suffix = "html" if container is FileFormat.PAGE else name.lower().rpartition(".")[2]
    plan = _plan_text(
        file, suffix if "." in name or suffix == "html" else "", encodings[0].name, options
    )
    if isinstance(plan, Problem) or len(encodings) == 1:
        return plan
    return replace(plan, encodings=encodings, is_sure=False)


def _plan_text(
    file: IO[bytes], suffix: str, encoding: str, options: ImportOptions
) -> ImportPlan | Problem:
    file.seek(0)
    head = b"".join(islice(utf8_blocks(file, encoding), 1))[: 64 << 10]
    text = head.decode("utf-8", "replace").removeprefix("\ufeff")
    if not text.strip():
        return Problem(0, "file_empty", {})
    other = find_text_without_rows(text)
    if other is not None and other.code not in _MAYBE_FAQ:
        return other
    if suffix in _DOCUMENTS or (suffix in ("txt", "") and not re.match(r"\s*[\[{]", text)):
        document = _plan_document(file, encoding, options)
        if isinstance(document, ImportPlan) or suffix in _DOCUMENTS:
            return document if other is None or isinstance(document, ImportPlan) else other
    if other is not None:
        return other
    is_cr_only = "\r" in text and "\n" not in text
    is_json = re.match(r'\s*(\{|\[\s*[\[{"\]]?)', text) or suffix in ("json", "jsonl", "ndjson")
    is_named_table = suffix in ("csv", "tsv") and not re.match(r'\s*[\[{]\s*["{]', text)
    if is_json and not is_named_table:
        return _plan_json(file, text, RecordFormat(Syntax.LINES, encoding, is_cr_only), options)
    if "\0" in text:
        return Problem(0, "null_byte", {})
    return _plan_table(
        file, text, RecordFormat(Syntax.TABLE, encoding, is_cr_only), suffix, options
    )


def _plan_document(file: IO[bytes], encoding: str, options: ImportOptions) -> ImportPlan | Problem:
    """Plans the table of a document, or its questions and answers."""
    source = RecordFormat(Syntax.DOCUMENT, encoding)
    try:
        rows = _head_cells(file, source)
    except BROKEN_DOCUMENT:
        return Problem(0, "archive_broken", {})
    except RuntimeError:
        # zipfile raises RuntimeError for an encrypted member.
        return Problem(0, "file_password", {})
    if not rows:
        return Problem(0, "document_without_questions", {})
    plan = _plan_rows(rows, source, options)
    return replace(plan, is_sure=False) if isinstance(plan, ImportPlan) else plan


def _plan_json(
    file: IO[bytes], text: str, source: RecordFormat, options: ImportOptions
) -> ImportPlan | Problem:
    start = text.lstrip()
    values = source.with_syntax(Syntax.VALUES)
    if start.startswith("["):
        return _plan_records(file, values, options)
    records = [value for _, value in islice(read_records(file, source), _SAMPLED_ROWS)]
    first = records[0]
    is_one_line = "\n" not in text.strip()
    is_wrapped = (
        is_one_line if len(records) > 1 else isinstance(first, Mapping) and _has_rows(first)
    )
    is_broken = not any(isinstance(record, Mapping) for record in records)
    if start.startswith("{") and (is_wrapped or is_broken):
        whole = _values(file, values)
        if any(isinstance(value, Mapping) for value in whole[:1]):
            return _plan_records(file, values, options)
    return _plan_records(file, source, options)


def _has_rows(value: Mapping[object, object]) -> bool:
    """Whether an object contains rows under a key or by column, and is not a row itself."""
    if rows_by_column({str(key): part for key, part in value.items()}) is not None:
        return True
    if any(key in value for key in ("messages", *_CONVERSATIONS, "prompt", "instruction")):
        return any(
            isinstance(part, list)
            and part
            and isinstance(part[0], Mapping)
            and (any(key in part[0] for key in _CONVERSATIONS) or is_json_ticket(part[0]))
            for part in value.values()
        )
    wrapped = (part for key, part in value.items() if key in WRAPPERS and isinstance(part, Mapping))
    lists = [part for part in value.values() if isinstance(part, list) and part]
    return any(isinstance(part[0], Mapping) for part in lists) or any(map(_has_rows, wrapped))


def _values(file: IO[bytes], source: RecordFormat) -> list[object]:
    values = [value for _, value in islice(read_records(file, source), _SAMPLED_ROWS)]
    rows = [value for value in values if not isinstance(value, Problem)]
    return rows or values


def _shares_lines(file: IO[bytes], source: RecordFormat) -> bool:
    """Whether records are on the same line, or have no lines, as in Parquet."""
    lines = [line for line, _ in islice(read_records(file, source), _SAMPLED_ROWS)]
    return source.syntax is Syntax.PARQUET or len(set(lines)) < len(lines)


def _plan_records(
    file: IO[bytes], source: RecordFormat, options: ImportOptions
) -> ImportPlan | Problem:
    if source.syntax is not Syntax.LINES:
        source = replace(source, has_row_numbers=_shares_lines(file, source))
    values = _values(file, source)
    if not values:
        return Problem(0, "file_empty", {})
    objects = [value for value in values if isinstance(value, Mapping)]
    if not objects:
        first = values[0]
        if isinstance(first, Problem):
            return first
        return Problem(1, "row_not_object", {"kind": json_type_name(first)})
    return _plan_objects(objects, source, options)


def _plan_objects(
    objects: Sequence[Mapping[str, object]], source: RecordFormat, options: ImportOptions
) -> ImportPlan | Problem:
    headings = list(dict.fromkeys(str(key) for record in objects for key in record))
    values = {name: [record.get(name) for record in objects] for name in headings}
    by_name = {names.normalize_heading(heading): heading for heading in reversed(headings)}
    plan = None
    if not options.columns and not {"chosen", "rejected"} <= by_name.keys():
        if not source.is_table and is_json_ticket(objects[0]) and not _is_chat(objects[0]):
            return ImportPlan(Layout.JSON_TICKETS, Method.SUPERVISED, {}, source, is_sure=False)
        plan = _published_shape(objects[0], by_name, values, source)
    return plan or _plan_columns(headings, values, source, options)


def _is_chat(row: Mapping[str, object]) -> bool:
    """Whether the messages of a row are of a chat, and not of a help desk."""
    return any(
        is_messages(row.get(key)) and not is_timed_message(row.get(key)) for key in _CONVERSATIONS
    )


def _published_shape(
    first: Mapping[str, object],
    by_name: Mapping[str, str],
    values: Mapping[str, Sequence[object]],
    source: RecordFormat,
) -> ImportPlan | None:
    """Plans rows that are in a format of published datasets; None for all others."""
    if detect_method(first) is Method.DPO and not _has_texts(first):
        return ImportPlan(Layout.DPO, Method.DPO, {}, source)
    columns = _label_column(values) | _system_column(by_name, values)
    if detect_method(first) is Method.SUPERVISED and isinstance(first["messages"], list):
        messages = [m for m in first["messages"] if isinstance(m, Mapping)]
        is_chat = all("from" not in m and is_openai_message(m) for m in messages)
        if is_chat and "system" not in columns:
            return _of_messages(Layout.CHAT, columns, values, source)
    for conversation_key in _CONVERSATIONS:
        heading = by_name.get(conversation_key)
        if heading is not None and any(map(is_messages, values[heading])):
            return _of_messages(
                Layout.CONVERSATION, {"messages": heading} | columns, values, source
            )
    return None


def _of_messages(
    layout: Layout,
    columns: Mapping[str, str],
    values: Mapping[str, Sequence[object]],
    source: RecordFormat,
) -> ImportPlan:
    used = {*columns.values(), *_KEYS_OF_ROWS}
    unused = [name for name in values if name not in used]
    heading = columns.get("messages", "messages")
    if heading != "messages":
        keys = dict.fromkeys(
            key for value in values[heading] for key in unknown_message_keys(value)
        )
        unused += [f"{heading}.{key}" for key in keys]
    is_sure = _is_plain_label(columns)
    return ImportPlan(layout, Method.SUPERVISED, columns, source, tuple(unused), is_sure=is_sure)


def _system_column(
    by_name: Mapping[str, str], values: Mapping[str, Sequence[object]]
) -> dict[str, str]:
    named = (by_name[name] for name in names.COLUMN_SYNONYMS["system"] if name in by_name)
    texts = [heading for heading in named if any(map(_is_system_text, values[heading]))]
    return {"system": texts[0]} if texts else {}


def _is_system_text(value: object) -> bool:
    return bool(value) and (isinstance(value, str) or text_of_parts(value) is not None)


def _label_column(values: Mapping[str, Sequence[object]]) -> dict[str, str]:
    """Returns the column that labels answers as good or bad, if any.

    In a column with another name than “label”, numbers count only if both kinds occur.
    """
    for heading, seen in values.items():
        name = names.normalize_heading(heading)
        if name not in _LABELS or not are_good_bad_labels(seen):
            continue
        # The first rows of a column of star ratings may all have the same number.
        is_number = any(str(value).strip()[:1].isdigit() for value in seen)
        has_both = len({is_good_label(value) for value in seen if value not in (None, "")}) == 2
        if name == "label" or has_both or not is_number:
            return {"label": heading}
    return {}


def _is_plain_label(columns: Mapping[str, str]) -> bool:
    """Whether the column of labels is named “label” or missing, so that nothing was guessed."""
    return names.normalize_heading(columns.get("label", "label")) == "label"


def _has_texts(row: Mapping[str, object]) -> bool:
    outputs = ("preferred_output", "non_preferred_output")
    return all(isinstance(row.get(key), str) for key in outputs)


def _plan_columns(
    headings: list[str],
    values: Mapping[str, Sequence[object]],
    source: RecordFormat,
    options: ImportOptions,
) -> ImportPlan | Problem:
    """Plans rows by their columns, which a person named or `guess_columns` guesses."""
    if options.columns:
        return _plan_named_columns(headings, source, options)
    unreadable = unreadable_messages(headings, values) or _numbered_columns(
        headings, values, source
    )
    if unreadable is not None:
        return unreadable
    columns = names.guess_columns(headings, values)
    if names.are_preference_columns(columns) and "question" not in columns:
        columns = {purpose: columns[purpose] for purpose in ("preferred", "rejected")}
        chats = [name for name in headings if names.normalize_heading(name) in _CONVERSATIONS[1:]]
        if chats and any(map(is_messages, values[chats[0]])):
            columns["question"] = chats[0]
    elif not names.are_enough_columns(columns):
        tickets = ticket_columns(headings, values)
        if tickets:
            return _with_columns(Layout.TICKETS, tickets, headings, source, is_sure=False)
        listed = _listed(headings)
        code = "columns_unknown" if source.is_table else "row_unknown"
        line = 1 if source.is_table else 0
        return UnknownColumns(line, code, {"columns": listed}, tuple(headings))
    is_sure = names.are_exact_headings(columns) and _have_no_seconds(columns, headings)
    if "answer" in columns:
        label = _label_column(values)
        is_sure = is_sure and _is_plain_label(label)
        columns |= label
    plan = _with_columns(Layout.COLUMNS, columns, headings, source, is_sure=is_sure)
    has_mails = source.is_table and (is_help_desk(headings) or _is_marked_up(columns, values))
    return replace(plan, strips_mail_parts=True, is_sure=False) if has_mails else plan


def _numbered_columns(
    headings: list[str], values: Mapping[str, Sequence[object]], source: RecordFormat
) -> UnknownColumns | None:
    """Returns a Problem if one of several columns like “answer_a” and “answer_b” is guessed."""
    numbered = names.numbered_columns(names.guess_columns(headings, values), headings)
    details = {"columns": _listed(numbered)}
    line = 1 if source.is_table else 0
    return UnknownColumns(line, "columns_numbered", details, tuple(headings)) if numbered else None


def _have_no_seconds(columns: Mapping[str, str], headings: Sequence[str]) -> bool:
    """Whether no other column has the same heading as one of the chosen columns."""
    seconds = {SECOND.sub("", name) for name in headings if SECOND.search(name)}
    return seconds.isdisjoint(columns.values())


def _is_marked_up(columns: Mapping[str, str], values: Mapping[str, Sequence[object]]) -> bool:
    """Whether half of the texts of a column are HTML."""
    for heading in columns.values():
        seen = [value for value in values[heading] if value not in (None, "")]
        if seen and 2 * sum(map(is_html, seen)) >= len(seen):
            return True
    return False


def _plan_named_columns(
    headings: list[str], source: RecordFormat, options: ImportOptions
) -> ImportPlan | Problem:
    by_name = {names.normalize_heading(heading): heading for heading in reversed(headings)}
    columns: dict[str, str] = {}
    for purpose, named in options.columns.items():
        heading = named if named in headings else by_name.get(names.normalize_heading(named))
        if heading is None:
            details = {"column": named[:40], "columns": _listed(headings)}
            return Problem(0, "column_not_there", details)
        columns[purpose] = heading
    if "ticket" in columns:
        return _with_columns(Layout.TICKETS, columns, headings, source)
    if "messages" in columns:
        return _with_columns(Layout.CONVERSATION, columns, headings, source)
    if not names.are_enough_columns(columns) and not names.are_preference_columns(columns):
        return Problem(0, "columns_unknown", {"columns": _listed(headings)})
    return _with_columns(Layout.COLUMNS, columns, headings, source)


def _with_columns(
    layout: Layout,
    columns: dict[str, str],
    headings: list[str],
    source: RecordFormat,
    *,
    is_sure: bool = True,
) -> ImportPlan:
    method = Method.DPO if names.are_preference_columns(columns) else Method.SUPERVISED
    unused = tuple(name for name in headings if name not in columns.values())
    fields = (layout, method, columns, source, unused)
    return ImportPlan(*fields, is_sure=is_sure, headings=tuple(headings))


def _plan_parquet(file: IO[bytes], options: ImportOptions) -> ImportPlan | Problem:
    if not has_parquet():
        return Problem(0, "parquet_unread", {})
    return _plan_records(file, RecordFormat(Syntax.PARQUET), options)


def _plan_workbook(file: IO[bytes], options: ImportOptions) -> ImportPlan | Problem:
    """Plans every sheet with headings, or the first sheet with rows if none has headings."""
    book = open_workbook(file)
    if isinstance(book, Problem):
        return book
    sheets = shown_sheets(book)
    plans: list[ImportPlan] = []
    problems: list[Problem] = []
    for sheet in sheets:
        source = RecordFormat(Syntax.WORKBOOK, sheet=sheet)
        plan = _plan_rows(_head_cells(file, source), source, options)
        if isinstance(plan, ImportPlan):
            plans.append(plan)
        else:
            problems.append(plan)
    if not plans:
        reasons = [problem for problem in problems if problem.code != "file_empty"]
        return (reasons or [Problem(0, "file_empty", {})])[0]
    named = [plan for plan in plans if options.columns or _is_named(plan)]
    first, *others = named or plans[:1]
    read = {plan.source.sheet for plan in (first, *others)}
    unread = tuple(name for name in book.sheet_names if name not in read)
    is_sure = first.is_sure and not others and not unread
    return replace(first, more_sheets=tuple(others), unread_sheets=unread, is_sure=is_sure)


def _is_named(plan: ImportPlan) -> bool:
    """Whether the columns were recognised by their names, and not only by their position."""
    return plan.layout is not Layout.COLUMNS or bool(
        names.guess_columns(list(plan.columns.values()))
    )


def _plan_table(
    file: IO[bytes], text: str, source: RecordFormat, suffix: str, options: ImportOptions
) -> ImportPlan | Problem:
    separator = re.match(r"sep=(.)[\r\n]", text, re.IGNORECASE)
    delimiters = ["\t", *_DELIMITERS] if suffix == "tsv" else list(_DELIMITERS)
    if separator:
        delimiters = [separator.group(1)]
    problems: list[tuple[int, Problem]] = []
    pairs: list[ImportPlan] = []
    for delimiter in dict.fromkeys(delimiters):
        tabular = source.with_delimiter(delimiter)
        rows = _head_cells(file, tabular)
        plan = _plan_rows(rows, tabular, options)
        if isinstance(plan, ImportPlan) and plan.source.headings is None:
            return plan
        if isinstance(plan, ImportPlan):
            pairs.append(plan)
        else:
            problems.append((len(rows[0]) if rows else 0, plan))
    if pairs:
        return pairs[0]
    if suffix not in ("csv", "tsv") and all(count < 2 for count, _ in problems):
        return Problem(0, "document_without_questions", {})
    return max(problems, key=lambda problem: problem[0])[1]


def _head_cells(file: IO[bytes], source: RecordFormat) -> list[list[str]]:
    rows: list[list[str]] = []
    for _, cells in read_cells(file, source):
        if isinstance(cells, Problem):
            break
        rows.append([cell.strip() for cell in cells])
        if len(rows) > _SAMPLED_ROWS:
            break
    return rows


def _plan_rows(
    rows: list[list[str]], source: RecordFormat, options: ImportOptions
) -> ImportPlan | Problem:
    if not rows:
        code = "table_broken" if source.syntax is Syntax.TABLE else "file_empty"
        return Problem(1, code, {"what": "no row can be read"})
    headings = list(distinct_headings(rows[0]))
    objects = _by_heading(rows[0], rows[1:])
    plan = _plan_objects(objects or [dict.fromkeys(headings, "")], source, options)
    if isinstance(plan, ImportPlan):
        return plan
    below = _plan_below_a_title(rows, source, options)
    missing = below or _plan_other_of_two(headings, objects, source)
    if source.syntax is Syntax.DOCUMENT:
        return missing or plan
    return missing or _plan_pairs(rows, source) or plan


def _plan_below_a_title(
    rows: list[list[str]], source: RecordFormat, options: ImportOptions
) -> ImportPlan | None:
    """Plans a table below title rows, each of which has fewer cells than the table's header."""
    for count in range(1, min(_MAX_TITLE_ROWS, len(rows) - 1) + 1):
        widths = [sum(map(bool, row)) for row in rows[: count + 1]]
        if widths[-1] <= max(widths[:-1]):
            continue
        objects = _by_heading(rows[count], rows[count + 1 :])
        below = replace(source, title_rows=count)
        plan = _plan_objects(objects, below, options) if objects else None
        if isinstance(plan, ImportPlan):
            return replace(plan, is_sure=False)
    return None


def _by_heading(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Returns the cells of each row by heading, without columns that have neither."""
    headings = distinct_headings(header)
    objects = [dict(zip(headings, row, strict=False)) for row in rows]
    empty = [
        heading
        for heading, cell in zip(headings, header, strict=True)
        if not cell and not any(row.get(heading) for row in objects)
    ]
    return [{key: cell for key, cell in row.items() if key not in empty} for row in objects]


def _plan_other_of_two(
    headings: list[str], objects: Sequence[Mapping[str, str]], source: RecordFormat
) -> ImportPlan | None:
    """Plans a table of two columns if one heading is known, and the other has the other purpose."""
    if len(set(headings)) != 2:
        return None
    values = {name: [record.get(name) for record in objects] for name in headings}
    columns = names.guess_columns(headings, values)
    if len(columns) != 1 or not columns.keys() <= {"question", "answer"}:
        return None
    other = next(heading for heading in headings if heading not in columns.values())
    if not names.column_holds_text(other, values[other]):
        return None
    columns["answer" if "question" in columns else "question"] = other
    return _with_columns(Layout.COLUMNS, columns, headings, source, is_sure=False)


def _plan_pairs(rows: list[list[str]], source: RecordFormat) -> ImportPlan | None:
    """Plans a table of two columns of text, without known names, as questions and answers."""
    if any(len(row) != 2 for row in rows) or any(map(is_messages, rows[-1])):
        return None
    is_header = any(names.is_metadata_heading(cell) and len(cell.split()) < 3 for cell in rows[0])
    has_text = all(
        names.column_holds_text("", [row[n] for row in part])
        for n in (0, 1)
        for part in (rows, rows[1:])
    )
    if is_header or not has_text:
        return None
    if names.is_header_of_two(rows):
        pair = {"question": rows[0][0], "answer": rows[0][1]}
        return _with_columns(Layout.COLUMNS, pair, rows[0], source, is_sure=False)
    pair = {"question": "1", "answer": "2"}
    numbered = source.with_column_names(("1", "2"))
    return _with_columns(Layout.COLUMNS, pair, ["1", "2"], numbered, is_sure=False)


def _listed(headings: Sequence[str]) -> str:
    excerpts = [name[:40].encode(errors="replace").decode() for name in headings]
    more = ", …" if len(excerpts) > _MAX_COLUMNS_SHOWN else ""
    return ", ".join(f"“{name}”" for name in excerpts[:_MAX_COLUMNS_SHOWN]) + more
