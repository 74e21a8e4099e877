"""Reads a chat request's messages, and cuts a reply to what was asked for."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.rows import text_tokens
from tuner.errors import Refusal

ROLES = ("system", "developer", "user", "assistant")
_EMPTY_EXTRAS = ("tool_calls", "function_call", "audio", "refusal", "annotations")
_WORD = re.compile(r"\s*\S+\s*$|\s*\S+")


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left of a reply, and whether it ended by itself ("stop") or not ("length")."""

    text: str
    finish_reason: str

    @property
    def tokens(self) -> int:
        return text_tokens(self.text) if self.text else 0


def read_messages(messages: Iterable[Mapping[str, object]]) -> list[dict[str, str]]:
    """Each as a role and a plain text."""
    return [_read_message(f"messages[{i}]", message) for i, message in enumerate(messages)]


def prompt_tokens(messages: Iterable[Mapping[str, str]]) -> int:
    return sum(text_tokens(message["content"]) for message in messages)


def cut(text: str, *, stops: Sequence[str], most_tokens: int | None) -> Cut:
    """The text before the first stop, and no longer than so many tokens."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    text = text[: min(found)] if found else text
    if most_tokens is None or text_tokens(text) <= most_tokens:
        return Cut(text, "stop")
    size = bisect_right(range(len(text)), most_tokens, key=lambda n: text_tokens(text[: n + 1]))
    return Cut(text[:size], "length")


def pieces(text: str) -> Iterator[str]:
    """Word by word, with the spaces; joined they are the text."""
    yield from _WORD.findall(text) or ([text] if text else [])


def _read_message(path: str, message: Mapping[str, object]) -> dict[str, str]:
    role = message.get("role")
    if role not in ROLES:
        known = ", ".join(ROLES)
        raise Refusal(f"Invalid value for '{path}.role': use one of {known}.", param=f"{path}.role")
    for name, value in message.items():
        if name not in ("role", "content", "name"):
            _refuse_extra(f"{path}.{name}", name, value)
    if not isinstance(message.get("name", ""), str):
        raise Refusal(f"'{path}.name' must be a text.", param=f"{path}.name")
    return {"role": str(role), "content": _text(f"{path}.content", message.get("content"))}


def _refuse_extra(path: str, name: str, value: object) -> None:
    """A completion given back as history carries empty extras, which change nothing."""
    if name not in _EMPTY_EXTRAS:
        raise Refusal(
            f"Unrecognized request argument supplied: {path}", param=path, code="unknown_parameter"
        )
    if value:
        raise Refusal(f"'{path}' is not supported here.", param=path, code="unsupported_parameter")


def _text(path: str, content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise Refusal(f"'{path}' must be a text, or a list of text parts.", param=path)
    return "".join(_part(f"{path}[{i}]", part) for i, part in enumerate(content))


def _part(path: str, part: object) -> str:
    if not isinstance(part, dict):
        raise Refusal(f"'{path}' must be an object.", param=path)
    text = part.get("text")
    if part.get("type") != "text":
        raise Refusal(
            f"'{path}' is not a text part; this model reads text only.",
            param=f"{path}.type",
            code="unsupported_content",
        )
    if not isinstance(text, str) or len(part) != 2:
        raise Refusal(f"'{path}' must hold 'type' and 'text', nothing else.", param=path)
    return text
