"""Reads the messages of a chat request, and cuts a reply at stop sequences and token limits."""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bot.rows import Method, check_row, estimate_text_tokens
from tuner.errors import ApiError

MESSAGE_ROLES = ("system", "developer", "user", "assistant")
_EMPTY_EXTRAS = ("tool_calls", "function_call", "audio", "refusal", "annotations")
_TOOL_FIELDS = frozenset({"tool_calls", "tool_call_id"})
_REASONING = "reasoning_content"
_WORD = re.compile(r"(?<!\s)\s*\S+(?:\s+\Z)?")


@dataclass(frozen=True, slots=True)
class TrimmedText:
    """A cut reply; `finish_reason` is "length" if the token limit was reached, else "stop"."""

    text: str
    finish_reason: str
    is_refusal: bool = False

    @property
    def tokens(self) -> int:
        return estimate_text_tokens(self.text) if self.text else 0


def read_messages(
    messages: Iterable[Mapping[str, object]], *, with_tools: bool = False, where: str = "messages"
) -> list[dict[str, object]]:
    """Returns messages with a role and plain text. Raises ApiError.

    Tool calls and their results are allowed with `with_tools`. `where` is the parameter that
    errors name.
    """
    return [
        _read_message(f"{where}[{i}]", message, with_tools=with_tools)
        for i, message in enumerate(messages)
    ]


def prompt_tokens(messages: Iterable[Mapping[str, object]]) -> int:
    return sum(estimate_text_tokens(str(message["content"])) for message in messages)


def trim_reply(text: str, *, stops: Sequence[str], most_tokens: int | None) -> TrimmedText:
    """Cuts the text before the first stop sequence and after at most `most_tokens` tokens."""
    positions = [position for stop in stops if (position := text.find(stop)) >= 0]
    text = text[: min(positions)] if positions else text
    if most_tokens is None or estimate_text_tokens(text) <= most_tokens:
        return TrimmedText(text, "stop")
    size = bisect_right(
        range(len(text)), most_tokens, key=lambda n: estimate_text_tokens(text[: n + 1])
    )
    return TrimmedText(text[:size], "length")


def words_with_spaces(text: str) -> Iterator[str]:
    """Splits the text into words with their whitespace."""
    yield from _WORD.findall(text) or ([text] if text else [])


def _read_message(
    path: str, message: Mapping[str, object], *, with_tools: bool
) -> dict[str, object]:
    role, roles = message.get("role"), (*MESSAGE_ROLES, *(("tool",) if with_tools else ()))
    if role not in roles:
        listed = ", ".join(roles)
        raise ApiError(
            f"Invalid value for '{path}.role': use one of {listed}.", param=f"{path}.role"
        )
    tool_fields = _TOOL_FIELDS if with_tools else frozenset[str]()
    for name, value in message.items():
        if name not in ("role", "content", "name", _REASONING) and name not in tool_fields:
            _refuse_extra(f"{path}.{name}", name, value)
    if not isinstance(message.get("name", ""), str):
        raise ApiError(f"'{path}.name' must be a text.", param=f"{path}.name")
    thoughts = _reasoning_field(path, message)
    if with_tools and message.get("tool_calls"):
        return {**_read_calls(path, message), **thoughts}
    extra = {"tool_call_id": message["tool_call_id"]} if "tool_call_id" in message else {}
    return {
        "role": role,
        "content": _text(f"{path}.content", message.get("content")),
        **extra,
        **thoughts,
    }


def _reasoning_field(path: str, message: Mapping[str, object]) -> dict[str, object]:
    """Returns the reasoning of an earlier answer; the chat template decides whether it is shown."""
    reasoning = message.get(_REASONING)
    if reasoning is None:
        return {}
    if not isinstance(reasoning, str) or message.get("role") != "assistant":
        raise ApiError(
            f"'{path}.{_REASONING}' must be a text of the assistant.", param=f"{path}.{_REASONING}"
        )
    return {_REASONING: reasoning} if reasoning else {}


def _read_calls(path: str, message: Mapping[str, object]) -> dict[str, object]:
    """Reads a message with tool calls, by the rules of training rows. Raises ApiError."""
    row = {"messages": [{"role": "user", "content": "?"}, {**message}]}
    if problem := check_row(row, Method.SUPERVISED):
        raise ApiError(f"'{path}': {problem.sentence}", param=path)
    content = message.get("content")
    text = _text(f"{path}.content", content) if content else ""
    return {"role": "assistant", "content": text, "tool_calls": message["tool_calls"]}


def _refuse_extra(path: str, name: str, value: object) -> None:
    """Raises ApiError for an unknown field, or a known one with content.

    Clients send completions back as history, with extra fields that are empty.
    """
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
    return "".join(_part_text(f"{path}[{i}]", part) for i, part in enumerate(content))


def _part_text(path: str, part: object) -> str:
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
