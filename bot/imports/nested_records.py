"""Extracts rows from nested records: question sets, trees, annotations and saved chats."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from bot.imports.columns import are_enough_columns, guess_columns, normalize_heading
from bot.rows import Problem

_Record = Mapping[str, object]
_ROLES: Final = {"prompter": "user", "human": "user", "user": "user", "assistant": "assistant"}
_KEYS: Final = frozenset(
    (
        *("paragraphs", "answers", "prompt", "responses", "annotations", "mapping"),
        *("chat_messages", "rows"),
    )
)
# Names, as of `normalize_heading`, of keys with the number, letter or text of the right answer.
_RIGHT_ANSWERS: Final = frozenset(
    ("correct", "label", "answeridx", "answerindex", "answerkey", "correctanswer", "correctidx")
)
_RESPONSES: Final = ".responses"
_DEEPEST: Final = 200
_ROWS_LOOKED_AT: Final = 40


def is_nested(record: _Record) -> bool:
    """Whether a record may contain rows for `unfold_rows`, and is not a chat row itself."""
    if "messages" in record:
        return False
    return not _KEYS.isdisjoint(record) or any(key.endswith(_RESPONSES) for key in record)


def unfold_rows(record: _Record) -> Iterator[object]:
    """Yields the rows in a record, or the record itself if it contains none."""
    if _KEYS.isdisjoint(record):
        yield _annotated_in_columns(record)
    else:
        yield from _rows_in(record)


def without_viewer(value: object) -> object:
    """Returns the row of a record of the dataset viewer of Hugging Face; a Problem if it is cut."""
    # https://huggingface.co/docs/dataset-viewer/rows
    if not (isinstance(value, Mapping) and "row_idx" in value):
        return value
    row, cut = value.get("row"), value.get("truncated_cells")
    if isinstance(cut, list) and cut:
        return Problem(0, "cell_truncated", {"column": str(cut[0])[:40]})
    return row if isinstance(row, Mapping) else value


def rows_by_column(value: _Record) -> list[object] | None:
    """Returns the rows of an object with a list or an object for each column; else None.

    https://pandas.pydata.org/docs/reference/api/pandas.DataFrame.to_json.html writes them so.
    """
    columns, data = value.get("columns"), value.get("data")
    if isinstance(columns, list) and isinstance(data, list) and "index" in value:
        names = [str(name) for name in columns]
        return [dict(zip(names, row, strict=False)) for row in data if isinstance(row, list)]
    if are_enough_columns(guess_columns(list(value))):
        lists = [each for each in value.values() if isinstance(each, list) and _are_plain(each)]
        if len(lists) == len(value) and len({len(each) for each in lists}) == 1:
            return [dict(zip(value, row, strict=True)) for row in zip(*lists, strict=True)]
        indexed = _objects(value.values())
        return _by_index(value, indexed) if len(indexed) == len(value) else None
    rows = _objects(value.values())
    if rows and len(rows) == len(value):
        first = rows[:_ROWS_LOOKED_AT]
        if all(
            _are_plain(row.values()) and are_enough_columns(guess_columns(list(row)))
            for row in first
        ):
            return list(rows)
    return None


def _by_index(names: Iterable[str], columns: Iterable[_Record]) -> list[object]:
    rows: dict[str, dict[str, object]] = {}
    for name, cells in zip(names, columns, strict=True):
        for index, cell in cells.items():
            rows.setdefault(index, {})[name] = cell
    return list(rows.values())


def _are_plain(values: Iterable[object]) -> bool:
    return not any(isinstance(value, list | Mapping) for value in values)


def _objects(values: object) -> list[_Record]:
    """Returns the objects of a list; none for anything else."""
    if not isinstance(values, Iterable) or isinstance(values, str | Mapping):
        return []
    return [value for value in values if isinstance(value, Mapping)]


def _rows_in(record: _Record) -> Iterator[object]:
    paragraphs, prompt = _objects(record.get("paragraphs")), record.get("prompt")
    nodes, fields, data = (record.get(key) for key in ("mapping", "fields", "data"))
    messages, annotations = (_objects(record.get(key)) for key in ("chat_messages", "annotations"))
    if any("qas" in paragraph for paragraph in paragraphs):
        yield from _questions_of(paragraphs)
    elif isinstance(prompt, Mapping) and "replies" in prompt:
        yield from _branches_of(prompt, [])
    elif isinstance(nodes, Mapping) and "current_node" in record:
        yield {"messages": _branch_to(nodes, record["current_node"])}
    elif any("row_idx" in row for row in _objects(record.get("rows"))):
        yield from map(without_viewer, _objects(record.get("rows")))
    elif messages:
        yield {"messages": [_message(m.get("sender"), m.get("text")) for m in messages]}
    elif isinstance(fields, Mapping) and "responses" in record:
        yield _annotated(fields, _submitted(record["responses"]))
    elif isinstance(data, Mapping) and annotations:
        yield _annotated(data, _labelled(annotations))
    else:
        yield _with_first_answer(record)


def _questions_of(paragraphs: Iterable[_Record]) -> Iterator[object]:
    # https://rajpurkar.github.io/SQuAD-explorer/
    for paragraph in paragraphs:
        context = {key: paragraph[key] for key in ("context",) if key in paragraph}
        for question in _objects(paragraph.get("qas")):
            asked = {key: question.get(key) for key in ("question", "answers")}
            yield _with_first_answer({**context, **asked})


def _with_first_answer(record: _Record) -> _Record:
    """Returns the record with the first of its right answers, "" if there is none.

    If another key names the right one of several choices, that choice is the answer.
    """
    answers = record.get("answers")
    if not isinstance(answers, list | Mapping) or "answer" in record:
        return record
    texts = answers.get("text") if isinstance(answers, Mapping) else answers
    choices = texts if isinstance(texts, list) else [texts] if isinstance(texts, str) else []
    options = [each.get("text", "") if isinstance(each, Mapping) else each for each in choices]
    named = [value for key, value in record.items() if normalize_heading(key) in _RIGHT_ANSWERS]
    text = _choice(options, named[0]) if named and len(options) > 1 else (options or [""])[0]
    return {**{key: value for key, value in record.items() if key != "answers"}, "answer": text}


def _choice(options: list[object], named: object) -> object:
    """Returns the option with a number from 0, a letter or a text; "" for anything else.

    Digits as text are refused, as some data sets count them from 1.
    """
    if isinstance(named, str) and named in options:
        return named
    if isinstance(named, str) and len(named) == 1 and named.isascii() and named.isalpha():
        named = ord(named.upper()) - ord("A")
    is_index = isinstance(named, int) and not isinstance(named, bool) and 0 <= named < len(options)
    return options[named] if is_index and isinstance(named, int) else ""


def _branches_of(node: _Record, before: list[object]) -> Iterator[object]:
    """Yields the conversation of each branch of a tree that has the best answer at every node."""
    # https://huggingface.co/datasets/OpenAssistant/oasst1
    messages = [*before, _message(node.get("role"), node.get("text"))]
    replies = [reply for reply in _objects(node.get("replies")) if not reply.get("deleted")]
    answers = [reply for reply in replies if reply.get("role") == "assistant"]
    best = min(answers, key=_rank, default=None)
    following = [best] if best is not None else replies
    if node.get("role") == "assistant" and not following:
        yield {"messages": messages}
    if len(messages) < _DEEPEST:
        for reply in following:
            yield from _branches_of(reply, messages)
    # A question without an answer is omitted: the conversation ends before it.
    if node.get("role") == "assistant" and following and not any(map(_is_answered, following)):
        yield {"messages": messages}


def _rank(answer: _Record) -> float:
    rank = answer.get("rank")
    return float(rank) if isinstance(rank, int | float) else float("inf")


def _is_answered(node: _Record) -> bool:
    return any(reply.get("role") == "assistant" for reply in _objects(node.get("replies")))


def _branch_to(nodes: _Record, last: object) -> list[object]:
    """Returns the messages of a saved chat from its root to its current node."""
    messages: list[object] = []
    key: object = last
    for _ in range(len(nodes)):
        node = nodes.get(str(key))
        if not isinstance(node, Mapping):
            break
        message = node.get("message")
        if isinstance(message, Mapping) and (converted := _node_message(message)):
            messages.append(converted)
        key = node.get("parent")
    return messages[::-1]


def _node_message(message: _Record) -> object:
    author, content = message.get("author"), message.get("content")
    role = author.get("role") if isinstance(author, Mapping) else None
    parts = content.get("parts") if isinstance(content, Mapping) else None
    listed = parts if isinstance(parts, list) else []
    text = "\n".join(part for part in listed if isinstance(part, str))
    is_known = isinstance(role, str) and role in _ROLES
    return _message(role, text) if is_known and text.strip() else None


def _message(sender: object, text: object) -> dict[str, object]:
    role = _ROLES.get(sender, sender) if isinstance(sender, str) else sender
    return {"role": role, "content": text}


def _annotated(fields: _Record, answer: object) -> _Record:
    """Returns the annotated fields with the submitted answer; drafts are ignored."""
    columns = guess_columns([key for key, value in fields.items() if isinstance(value, str)])
    without_draft = {key: fields[key] for key in fields if key != columns.get("answer")}
    return {**without_draft, "answer": answer}


def _annotated_in_columns(record: _Record) -> _Record:
    # https://docs.argilla.io writes the answers to a question `x` in a column `x.responses`.
    texts = [
        value[0]
        for key, value in record.items()
        if key.endswith(_RESPONSES) and isinstance(value, list) and value
    ]
    fields = {key: value for key, value in record.items() if _RESPONSES not in key}
    return _annotated(fields, next((text for text in texts if isinstance(text, str)), ""))


def _submitted(responses: object) -> object:
    """Returns the first submitted answer as text."""
    named = responses.items() if isinstance(responses, Mapping) else [("", responses)]
    answers = [answer for _, listed in named for answer in _objects(listed)]
    texts = [
        answer.get("value") for answer in answers if answer.get("status") in ("submitted", None)
    ]
    return next((text for text in texts if isinstance(text, str)), "")


def _labelled(annotations: Iterable[_Record]) -> object:
    # https://labelstud.io/guide/task_format
    valid = (annotation for annotation in annotations if not annotation.get("was_cancelled"))
    for result in (result for annotation in valid for result in _objects(annotation.get("result"))):
        value = result.get("value")
        if isinstance(value, Mapping):
            answers = [value.get(key) for key in ("text", "choices")]
            firsts = [part[0] if isinstance(part, list) and part else part for part in answers]
            text = next((part for part in firsts if part and isinstance(part, str)), None)
            if text:
                return text
    return ""
