"""Reads chat rows and preference rows as training pairs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tuner.sandbox.text_terms import question_and_context, text_of


@dataclass(frozen=True, slots=True)
class TrainingPair:
    """A reply to learn for a question; `rejected` is the non-preferred reply, if any."""

    question: str
    earlier: str
    reply: str
    rejected: str | None = None


def read_training_pairs(
    rows: Sequence[Mapping[str, object]], method: Literal["supervised", "dpo"]
) -> list[TrainingPair]:
    """Returns a pair per taught message or pair of replies. Raises ValueError without any."""
    read_row = _preferences if method == "dpo" else _replies
    pairs = [pair for row in rows for pair in read_row(row)]
    if pairs:
        return pairs
    if method == "dpo":
        raise ValueError("No row has a preferred and a non-preferred reply with text.")
    raise ValueError("No row has an assistant message with text, so there is nothing to learn.")


def _replies(row: Mapping[str, object]) -> Iterator[TrainingPair]:
    messages = _messages(row.get("messages"))
    for position, message in enumerate(messages):
        reply = text_of(message.get("content"))
        is_taught = message.get("role") == "assistant" and message.get("weight", 1) != 0
        if is_taught and reply.strip():
            yield TrainingPair(*question_and_context(messages[:position]), reply)


def _preferences(row: Mapping[str, object]) -> Iterator[TrainingPair]:
    prompt = row.get("input")
    messages = _messages(prompt.get("messages") if isinstance(prompt, Mapping) else None)
    preferred = _last_text(row.get("preferred_output"))
    rejected = _last_text(row.get("non_preferred_output"))
    if preferred.strip() and rejected.strip():
        yield TrainingPair(*question_and_context(messages), preferred, rejected)


def _last_text(output: object) -> str:
    replies = [m for m in _messages(output) if m.get("role", "assistant") == "assistant"]
    return text_of(replies[-1].get("content")) if replies else ""


def _messages(value: object) -> list[Mapping[str, object]]:
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [message for message in items if isinstance(message, Mapping)]
