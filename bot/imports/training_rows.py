"""Reads a file by its plan into training rows and problems with their lines."""

from collections.abc import Iterator, Mapping
from typing import IO

from bot.imports import dataset_formats
from bot.imports.good_bad_labels import pair_good_and_bad_answers
from bot.imports.json_tickets import read_json_tickets
from bot.imports.plan import ImportPlan, Layout
from bot.imports.records import read_records
from bot.imports.ticket_cells import clean_texts
from bot.imports.tickets import read_tickets
from bot.rows import Method, Problem, check_rows, detect_method
from bot.rows.problems import RowRefused, json_type_name

_MESSAGE_ROWS = ("messages", "tools", "functions", "parallel_tool_calls")


def read_import(
    file: IO[bytes], plan: ImportPlan
) -> Iterator[tuple[int, dict[str, object] | Problem]]:
    """Yields each row in OpenAI's chat or preference format, checked, or its Problem.

    Strips whitespace around questions and answers in tables and completions; other separators, as
    in old completion files, are kept.
    """
    if not plan.more_sheets:
        yield from _read_one(file, plan)
        return
    for sheet_plan in (plan, *plan.more_sheets):
        for line, row in _read_one(file, sheet_plan):
            yield (
                line,
                row.in_file_part(sheet_plan.source.sheet) if isinstance(row, Problem) else row,
            )


def _read_one(
    file: IO[bytes], plan: ImportPlan
) -> Iterator[tuple[int, dict[str, object] | Problem]]:
    """Reads a file, or one sheet of a workbook, by its plan; problems name the row or line."""
    for number, row in _read_records(file, plan):
        if isinstance(row, Problem) and plan.source.has_row_numbers:
            row = row.of_row()
        yield number, row


def _read_records(
    file: IO[bytes], plan: ImportPlan
) -> Iterator[tuple[int, dict[str, object] | Problem]]:
    records = _or_empty(read_records(file, plan.source))
    if "label" in plan.columns:
        labelled = pair_good_and_bad_answers(
            records, plan.columns["label"], lambda record, line: _row_from(record, plan, line)
        )
        for line, row in labelled:
            # A pair of a good and a bad answer is a preference row among chat rows.
            yield from check_rows([(line, row)], detect_method(row) or plan.method)
        return
    if plan.layout is Layout.TICKETS:
        rows = read_tickets(records, plan.columns)
    elif plan.layout is Layout.JSON_TICKETS:
        rows = read_json_tickets(records)
    elif plan.layout is Layout.DPO or (plan.layout is Layout.CHAT and not plan.unused):
        rows = records
    else:
        rows = ((line, _row_from(record, plan, line)) for line, record in records)
    yield from check_rows(rows, plan.method)


def _or_empty(rows: Iterator[tuple[int, object]]) -> Iterator[tuple[int, object]]:
    first = next(rows, None)
    if first is None:
        yield 0, Problem(0, "file_empty", {})
        return
    yield first
    yield from rows


def _row_from(record: object, plan: ImportPlan, line: int) -> object:
    """Converts a record to a row by the columns of the plan; returns a Problem if it cannot."""
    if not isinstance(record, Mapping):
        return record
    if plan.layout is Layout.CHAT:
        # A preference row among chat rows keeps all its keys, for a correct error.
        is_chat = "messages" in record
        left_out = (*plan.unused, *plan.columns.values())
        return {k: v for k, v in record.items() if not (is_chat and k in left_out)}
    try:
        if plan.layout is Layout.CONVERSATION:
            return _conversation_row(record, plan.columns)
        if plan.method is Method.DPO:
            return _preference_row(record, plan.columns)
        if plan.strips_mail_parts:
            record = {**record, **clean_texts(record, plan.columns)}
        return _chat_row(record, plan.columns)
    except RowRefused as refusal:
        return refusal.to_problem(line)


def _conversation_row(record: Mapping[str, object], columns: Mapping[str, str]) -> object:
    messages = dataset_formats.messages_of(record.get(columns["messages"]), columns["messages"])
    others = {
        key: dataset_formats.to_openai_tools(record[key])
        if key == "tools"
        else dataset_formats.parse_cell(record[key])
        for key in _MESSAGE_ROWS[1:]
        if record.get(key) not in (None, "")
    }
    return {"messages": [*_system(record, columns), *messages], **others}


def _preference_row(record: Mapping[str, object], columns: Mapping[str, str]) -> object:
    prompt = record.get(columns.get("question", ""))
    if isinstance(prompt, str):
        prompt = _with_context(prompt, record, columns)
    sides = (record.get(columns[purpose]) for purpose in ("preferred", "rejected"))
    row = dataset_formats.preference_of(prompt, *sides)
    before = [*_system(record, columns), *_history(record, columns)]
    return {**row, "input": {"messages": [*before, *_listed(row["input"])]}} if before else row


def _listed(holder: object) -> list[object]:
    messages = holder.get("messages") if isinstance(holder, Mapping) else None
    return messages if isinstance(messages, list) else []


def _chat_row(record: Mapping[str, object], columns: Mapping[str, str]) -> object:
    question, answer = (record.get(columns[purpose]) for purpose in ("question", "answer"))
    before = [*_system(record, columns), *_history(record, columns)]
    if dataset_formats.is_messages(question):
        question_messages = dataset_formats.messages_of(question, columns["question"])
    else:
        text = _with_context(_text(record, columns["question"]), record, columns)
        question_messages = [{"role": "user", "content": text}]
    if dataset_formats.is_messages(answer):
        answer_messages = dataset_formats.messages_of(answer, columns["answer"])
    else:
        answer_messages = [{"role": "assistant", "content": _text(record, columns["answer"])}]
    return {"messages": [*before, *question_messages, *answer_messages]}


def _with_context(question: str, record: Mapping[str, object], columns: Mapping[str, str]) -> str:
    """Returns the question, followed by its context if there is one."""
    context = _optional(record, columns, "context")
    return "\n\n".join(filter(None, (question.strip(), context)))


def _system(record: Mapping[str, object], columns: Mapping[str, str]) -> list[dict[str, str]]:
    system = _optional(record, columns, "system")
    return [{"role": "system", "content": system}] if system else []


def _history(record: Mapping[str, object], columns: Mapping[str, str]) -> list[object]:
    column = columns.get("history")
    return dataset_formats.history_of(record.get(column), column) if column else []


def _text(record: Mapping[str, object], column: str) -> str:
    text = record.get(column)
    if text is None:
        raise RowRefused("cell_missing", column=column)
    if not isinstance(text, str):
        raise RowRefused("cell_not_text", column=column, kind=json_type_name(text))
    if not text.strip():
        raise RowRefused("cell_empty", column=column)
    return text.strip()


def _optional(record: Mapping[str, object], columns: Mapping[str, str], purpose: str) -> str:
    column = columns.get(purpose)
    value = record.get(column) if column else None
    parts = dataset_formats.text_of_parts(value)
    text = value if parts is None else parts
    if text is None:
        return ""
    if not isinstance(text, str):
        raise RowRefused("cell_not_text", column=str(column), kind=json_type_name(text))
    return text.strip()
