"""The texts of a training row, by name, to show and to edit them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bot.domain import Row
from bot.errors import BadInput
from bot.replies import Field, FieldKind
from bot.rows import Method, check_row, content_text
from bot.words import Words


def question_answer_row(question: str, answer: str) -> Row:
    return {
        "messages": [
            {"role": "user", "content": question.strip()},
            {"role": "assistant", "content": answer.strip()},
        ]
    }


def require_valid_row(row: Row, words: Words) -> Row:
    """Returns the row. Raises BadInput if it is not a valid training row."""
    problem = check_row(row, Method.DPO if "input" in row else Method.SUPERVISED)
    if problem is not None:
        raise BadInput(problem=words.problem_text(problem))
    return row


def editable_texts(row: Row) -> dict[str, str]:
    """Returns the texts by name, in order: question, answer, question2, answer2, …."""
    names: dict[str, str] = {}
    for name, message in _named_messages(row):
        names[name] = str(message.get("content") or "")
    return names


def readable_texts(row: Row | None) -> dict[str, str]:
    """Returns all texts by name: also those that cannot be edited, of messages with an image."""
    named = _named_messages(row or {}, is_editable=False)
    return {name: content_text(message.get("content")) for name, message in named}


def part_without_number(name: str) -> str:
    """Returns the part that a name of `editable_texts` numbers: `question` for `question2`."""
    return name.rstrip("0123456789")


def part_label(name: str, words: Words) -> str:
    return words(f"part.{part_without_number(name)}")


def text_fields(named: Iterable[tuple[str, str]], words: Words) -> tuple[Field, ...]:
    """Returns a form field for each (name, text)."""
    return tuple(Field(name, part_label(name, words), FieldKind.TEXT, text) for name, text in named)


def labelled_text_lines(row: Row, words: Words) -> tuple[str, ...]:
    """Returns each text as a line with its label."""
    return tuple(f"{part_label(name, words)}: {text}" for name, text in readable_texts(row).items())


def last_text_of_part(texts: Mapping[str, str], part: str) -> str:
    """Returns the last of the texts named `part`, `part2`, …; "" if there is none."""
    of_part = [text for name, text in texts.items() if part_without_number(name) == part]
    return of_part[-1] if of_part else ""


def replace_texts(row: Row, values: Mapping[str, str]) -> Row:
    """Returns a copy of the row with the edited texts, by their names in `editable_texts`."""
    copied = _deep_copy(row)
    for name, message in _named_messages(copied):
        if name in values and not is_unedited(values[name], str(message.get("content"))):
            message["content"] = values[name]
    return copied


def is_unedited(typed: str, text: str) -> bool:
    """Whether a form value is unedited: forms change line ends and strip white space."""
    return _as_form_value(typed) == _as_form_value(text)


def _as_form_value(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _labelled_messages(row: Row) -> list[tuple[str, object]]:
    """Returns (part, message) for the messages of a row, in order."""
    if "input" not in row:
        return [(_role_part(message), message) for message in _listed(row.get("messages"))]
    source = row["input"]
    before = _listed(source.get("messages")) if isinstance(source, Mapping) else []
    return [
        *((_role_part(message), message) for message in before),
        *(("preferred", message) for message in _listed(row.get("preferred_output"))),
        *(("rejected", message) for message in _listed(row.get("non_preferred_output"))),
    ]


def _named_messages(row: Row, *, is_editable: bool = True) -> list[tuple[str, dict[str, object]]]:
    counts: dict[str, int] = {}
    named = []
    for part, message in _labelled_messages(row):
        if not isinstance(message, dict):
            continue
        if is_editable and not isinstance(message.get("content"), str):
            continue
        counts[part] = counts.get(part, 0) + 1
        named.append((part if counts[part] == 1 else f"{part}{counts[part]}", message))
    return named


def _role_part(message: object) -> str:
    role = str(message.get("role")) if isinstance(message, Mapping) else ""
    return {"user": "question", "assistant": "answer"}.get(role, role)


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _deep_copy(row: Row) -> dict[str, object]:
    def copy(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: copy(item) for key, item in value.items()}
        return [copy(item) for item in value] if isinstance(value, list) else value

    return {key: copy(value) for key, value in row.items()}
