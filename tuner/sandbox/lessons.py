"""Reads chat rows and preference rows into lessons: what was asked, before, and the reply."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuner.sandbox.features import split_context, text_of

NOTHING_TO_LEARN = "No row has an assistant message with text, so there is nothing to learn."
NOTHING_TO_PREFER = "No row has a preferred and a non-preferred reply with text."


@dataclass(frozen=True, slots=True)
class Target:
    """A reply to learn; `rejected` is the reply it is preferred to, when there is one."""

    question: str
    earlier: str
    reply: str
    rejected: str | None = None


def chat_targets(rows: Sequence[Mapping[str, object]]) -> list[Target]:
    """Every assistant message with text and a weight, each with what came before it."""
    found = [target for row in rows for target in _chat_targets(_messages(row.get("messages")))]
    if rows and not found:
        raise ValueError(NOTHING_TO_LEARN)
    return found


def preference_targets(rows: Sequence[Mapping[str, object]]) -> list[Target]:
    """One target per row: its prompt, the preferred reply and the other one."""
    found = [target for row in rows for target in _preference_target(row)]
    if rows and not found:
        raise ValueError(NOTHING_TO_PREFER)
    return found


def _chat_targets(messages: Sequence[Mapping[str, object]]) -> Iterator[Target]:
    for place, message in enumerate(messages):
        reply = text_of(message.get("content"))
        taught = message.get("role") == "assistant" and message.get("weight", 1) != 0
        if taught and reply.strip():
            question, earlier = split_context(messages[:place])
            yield Target(question, earlier, reply)


def _preference_target(row: Mapping[str, object]) -> Iterator[Target]:
    prompt = row.get("input")
    messages = _messages(prompt.get("messages") if isinstance(prompt, Mapping) else None)
    preferred = _last_text(row.get("preferred_output"))
    rejected = _last_text(row.get("non_preferred_output"))
    if preferred.strip() and rejected.strip():
        question, earlier = split_context(messages)
        yield Target(question, earlier, preferred, rejected)


def _last_text(output: object) -> str:
    said = [m for m in _messages(output) if m.get("role", "assistant") == "assistant"]
    return text_of(said[-1].get("content")) if said else ""


def _messages(value: object) -> list[Mapping[str, object]]:
    listed = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    return [message for message in listed if isinstance(message, Mapping)]
