"""Reads a chat request's messages, and cuts a reply to what was asked for."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.rows import Method, check_row, text_tokens
from tuner.errors import ApiError

ROLES = ("system", "developer", "user", "assistant")
_EMPTY_EXTRAS = ("tool_calls", "function_call", "audio", "refusal", "annotations")
_OF_TOOLS = frozenset({"tool_calls", "tool_call_id"})
_THOUGHTS = "reasoning_content"
_WORD = re.compile(r"(?<!\s)\s*\S+(?:\s+\Z)?")


@dataclass(frozen=True, slots=True)
class TrimmedText:
    """What is left of a reply, and whether it ended by itself ("stop") or not ("length")."""

    text: str
    finish_reason: str
    is_refusal: bool = False

    @property
    def tokens(self) -> int:
        return text_tokens(self.text) if self.text else 0


def read_messages(
    messages: Iterable[Mapping[str, object]], *, with_tools: bool = False, where: str = "messages"
) -> list[dict[str, object]]:
    """Each as a role and a plain text; calls of functions and what they gave only where asked.

    `where` is the parameter that they stand in.
    """
    return [
        _read_message(f"{where}[{i}]", message, with_tools=with_tools)
        for i, message in enumerate(messages)
    ]


def prompt_tokens(messages: Iterable[Mapping[str, object]]) -> int:
    return sum(text_tokens(str(message["content"])) for message in messages)


def cut(text: str, *, stops: Sequence[str], most_tokens: int | None) -> TrimmedText:
    """The text before the first stop, and no longer than so many tokens."""
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    text = text[: min(found)] if found else text
    if most_tokens is None or text_tokens(text) <= most_tokens:
        return TrimmedText(text, "stop")
    size = bisect_right(range(len(text)), most_tokens, key=lambda n: text_tokens(text[: n + 1]))
    return TrimmedText(text[:size], "length")


def pieces(text: str) -> Iterator[str]:
    """Word by word, with the spaces; joined they are the text."""
    yield from _WORD.findall(text) or ([text] if text else [])


def _read_message(
    path: str, message: Mapping[str, object], *, with_tools: bool
) -> dict[str, object]:
    role, roles = message.get("role"), (*ROLES, *(("tool",) if with_tools else ()))
    if role not in roles:
        known = ", ".join(roles)
        raise ApiError(
            f"Invalid value for '{path}.role': use one of {known}.", param=f"{path}.role"
        )
    own = _OF_TOOLS if with_tools else frozenset[str]()
    for name, value in message.items():
        if name not in ("role", "content", "name", _THOUGHTS) and name not in own:
            _refuse_extra(f"{path}.{name}", name, value)
    if not isinstance(message.get("name", ""), str):
        raise ApiError(f"'{path}.name' must be a text.", param=f"{path}.name")
    thoughts = _thoughts(path, message)
    if with_tools and message.get("tool_calls"):
        return {**_read_calls(path, message), **thoughts}
    extra = {"tool_call_id": message["tool_call_id"]} if "tool_call_id" in message else {}
    return {
        "role": role,
        "content": _text(f"{path}.content", message.get("content")),
        **extra,
        **thoughts,
    }


def _thoughts(path: str, message: Mapping[str, object]) -> dict[str, object]:
    """What was thought before an earlier answer; templates that know it decide if it is shown."""
    said = message.get(_THOUGHTS)
    if said is None:
        return {}
    if not isinstance(said, str) or message.get("role") != "assistant":
        raise ApiError(
            f"'{path}.{_THOUGHTS}' must be a text of the assistant.", param=f"{path}.{_THOUGHTS}"
        )
    return {_THOUGHTS: said} if said else {}


def _read_calls(path: str, message: Mapping[str, object]) -> dict[str, object]:
    """An answer that called functions; the rules are those of training rows."""
    row = {"messages": [{"role": "user", "content": "?"}, {**message}]}
    if problem := check_row(row, Method.SUPERVISED):
        raise ApiError(f"'{path}': {problem.sentence}", param=path)
    content = message.get("content")
    text = _text(f"{path}.content", content) if content else ""
    return {"role": "assistant", "content": text, "tool_calls": message["tool_calls"]}


def _refuse_extra(path: str, name: str, value: object) -> None:
    """A completion given back as history carries empty extras, which change nothing."""
    if name not in _EMPTY_EXTRAS:
        raise ApiError(
            f"Unrecognized request argument supplied: {path}", param=path, code="unknown_parameter"
        )
    if value:
        raise ApiError(f"'{path}' is not supported here.", param=path, code="unsupported_parameter")


def _text(path: str, content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list) or not content:
        raise ApiError(f"'{path}' must be a text, or a list of text parts.", param=path)
    return "".join(_part(f"{path}[{i}]", part) for i, part in enumerate(content))


def _part(path: str, part: object) -> str:
    if not isinstance(part, dict):
        raise ApiError(f"'{path}' must be an object.", param=path)
    text = part.get("text")
    if part.get("type") != "text":
        raise ApiError(
            f"'{path}' is not a text part; this model reads text only.",
            param=f"{path}.type",
            code="unsupported_content",
        )
    if not isinstance(text, str) or len(part) != 2:
        raise ApiError(f"'{path}' must hold 'type' and 'text', nothing else.", param=path)
    return text
