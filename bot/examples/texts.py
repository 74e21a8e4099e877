"""The texts of a training row, as people read and edit them."""

from __future__ import annotations

from collections.abc import Mapping

from bot.errors import BadInput
from bot.model import (
    Row,
)
from bot.rows import Method, check_row
from bot.words import Words


def exchange_row(question: str, answer: str) -> Row:
    return {
        "messages": [
            {"role": "user", "content": question.strip()},
            {"role": "assistant", "content": answer.strip()},
        ]
    }


def checked(row: Row, words: Words) -> Row:
    problem = check_row(row, Method.DPO if "input" in row else Method.SUPERVISED)
    if problem is not None:
        raise BadInput(problem=words.problem(problem))
    return row


def parts(row: Row) -> dict[str, str]:
    """A name for each text of a row: question, answer, question2, answer2 …; in order."""
    names: dict[str, str] = {}
    for name, message in _named_messages(row):
        names[name] = str(message.get("content") or "")
    return names


def with_parts(row: Row, values: Mapping[str, str]) -> Row:
    copied = _deep_copy(row)
    for name, message in _named_messages(copied):
        if name in values:
            message["content"] = values[name]
    return copied


def _messages(row: Row) -> list[dict[str, object]]:
    """The messages of a row that people can read and edit, in order."""
    if "input" in row:
        source = row["input"]
        before = source["messages"] if isinstance(source, dict) else []
        listed = [before, row["preferred_output"], row["non_preferred_output"]]
    else:
        listed = [row.get("messages", [])]
    return [one for part in listed if isinstance(part, list) for one in part]


def _named_messages(row: Row) -> list[tuple[str, dict[str, object]]]:
    counts: dict[str, int] = {}
    named = []
    messages = [one for one in _messages(row) if isinstance(one.get("content"), str)]
    for index, message in enumerate(messages):
        part = _part_of(row, message, index - len(messages))
        counts[part] = counts.get(part, 0) + 1
        named.append((part if counts[part] == 1 else f"{part}{counts[part]}", message))
    return named


def _part_of(row: Row, message: Mapping[str, object], from_end: int) -> str:
    if "input" in row and from_end >= -2:
        return "preferred" if from_end == -2 else "rejected"
    role = str(message.get("role"))
    return {"user": "question", "assistant": "answer"}.get(role, role)


def _deep_copy(row: Row) -> dict[str, object]:
    def copy(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: copy(item) for key, item in value.items()}
        return [copy(item) for item in value] if isinstance(value, list) else value

    return {key: copy(value) for key, value in row.items()}
