"""Learns from a host's refusals which parameters to leave out or rename in later requests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import openai

from adapters.openai.response_parsing import Json

OMITTABLE_PARAMETERS = (
    "stream",
    "stream_options",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "reasoning_effort",
    "stop",
    "metadata",
    "seed",
    "suffix",
    "tools",
)
"""Parameters that may be left out: those of assistants and jobs, not those set by an operator."""
_NOT_ABOUT_PARAMETERS = (401, 402, 403, 408, 409, 413, 429)
_REFUSES = re.compile(
    r"un-?support|not support|n.t support|unknown|unrecogni|unexpected|\bextra\b|not permitted|"
    r"not allowed|not available|not implemented|deprecated|cannot|can.t\b|incompatible|"
    r"only the default|invalid (?:parameter|field|argument|key)|must be verified|not accept|"
    r"no such (?:field|parameter|argument)|unused|no longer",
    re.IGNORECASE,
)
_NO_SYSTEM = re.compile(
    r"system (?:role|message|prompt)s?\b.{0,40}\bnot|system role", re.IGNORECASE
)
_NO_TOOLS = re.compile(r"tool[ _-]choice|tool-call-parser|support.{0,20} tools", re.IGNORECASE)
_ALTERNATE = re.compile(r"roles must alternate|alternat", re.IGNORECASE)
_MAX_ERROR_LENGTH = 8000
_RENAMED = {"max_tokens": "max_completion_tokens"}
_NO_SYSTEM_KEY, _ALTERNATE_KEY = "messages:system", "messages:alternate"


class LearnedParameters:
    """Parameters that a host has refused; they are left out or sent by another name.

    A refusal whose message contains "model" counts for that model only, others for all models.
    """

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], str | None] = {}

    def adapt_request(self, body: Json) -> dict[str, object]:
        """Returns the request body without the parameters that the host has refused so far."""
        model = str(body.get("model"))
        fitted: dict[str, object] = {}
        for name, value in body.items():
            sent_name = self._sent_name(model, name)
            if sent_name is not None:
                fitted[sent_name] = value
        messages = fitted.get("messages")
        if isinstance(messages, Sequence):
            fitted["messages"] = self._messages(model, messages)
        if "stream" not in fitted:
            fitted.pop("stream_options", None)
        return fitted

    def learn(self, sent: Json, refusal: openai.APIStatusError) -> bool:
        """Learns from a refusal; returns whether the adapted request is worth another attempt."""
        status = refusal.status_code
        if not 400 <= status < 500 or status in _NOT_ABOUT_PARAMETERS:
            return False
        words = _response_text(refusal)
        change = _tools_change(sent, words) or _parameter_change(sent, refusal, words)
        change = change or _messages_change(sent, words)
        if change is None:
            return False
        name, replacement = change
        scope = str(sent.get("model")) if "model" in words.lower() else ""
        if (scope, name) in self._changes:
            # A concurrent request may have learned the same since this one was sent.
            return self.adapt_request(sent) != sent
        self._changes[scope, name] = replacement
        return True

    def _sent_name(self, model: str, name: str) -> str | None:
        """Returns the name by which a parameter is sent, or None if it is left out.

        A parameter may first be renamed and then be left out, so the changes are applied twice.
        """
        sent_name: str | None = name
        for _ in range(2):
            for scope in (model, ""):
                if sent_name is not None and (scope, sent_name) in self._changes:
                    sent_name = self._changes[scope, sent_name]
        return sent_name

    def _messages(self, model: str, messages: Sequence[object]) -> Sequence[object]:
        adapted = [message for message in messages if isinstance(message, Mapping)]
        if self._has_change(model, _NO_SYSTEM_KEY):
            adapted = _without_system(adapted)
        if self._has_change(model, _ALTERNATE_KEY):
            adapted = _alternating(adapted)
        return adapted

    def _has_change(self, model: str, key: str) -> bool:
        return (model, key) in self._changes or ("", key) in self._changes


def _parameter_change(
    sent: Json, refusal: openai.APIStatusError, words: str
) -> tuple[str, str | None] | None:
    """Returns the refused parameter and its other name, or None as the name to leave it out."""
    if not _REFUSES.search(words):
        return None
    name = _refused_parameter(sent, refusal.param, words)
    if name is None:
        return None
    return name, _RENAMED.get(name)


def _refused_parameter(sent: Json, param: object, words: str) -> str | None:
    """Returns the `param` of the error, else the first optional parameter in its message."""
    optional = [name for name in sent if name in OMITTABLE_PARAMETERS]
    if isinstance(param, str):
        head = param.partition(".")[0].partition("[")[0]
        if head in optional:
            return head
    positions = {name: _position(name, words) for name in optional}
    mentioned = {name: position for name, position in positions.items() if position is not None}
    return min(mentioned, key=lambda name: mentioned[name]) if mentioned else None


def _position(name: str, words: str) -> int | None:
    """Returns the position of a parameter in a message; "stop" counts only in quotes."""
    plain = re.escape(name) + ("(?:ing)?" if name == "stream" else "")
    pattern = rf"[\"'`]{plain}[\"'`]" if name == "stop" else rf"(?<![\w-]){plain}(?![\w-])"
    match = re.search(pattern, words, re.IGNORECASE)
    return match.start() if match else None


def _tools_change(sent: Json, words: str) -> tuple[str, str | None] | None:
    """Returns the change that leaves out `tools`, if the message is about tools.

    vLLM without `--enable-auto-tool-choice` names its own options instead of the parameter.
    """
    return ("tools", None) if "tools" in sent and _NO_TOOLS.search(words) else None


def _messages_change(sent: Json, words: str) -> tuple[str, str | None] | None:
    """Returns the change for a chat template without a system role or with alternating roles."""
    if "messages" not in sent:
        return None
    if _ALTERNATE.search(words):
        return _ALTERNATE_KEY, None
    return (_NO_SYSTEM_KEY, None) if _NO_SYSTEM.search(words) else None


def _without_system(messages: Sequence[Json]) -> list[Json]:
    """Returns the messages with the system messages' text before the first other message."""
    system = [str(m.get("content")) for m in messages if m.get("role") == "system"]
    others = [m for m in messages if m.get("role") != "system"]
    if not system or not others:
        return list(messages)
    first = {**others[0], "content": _join(*system, others[0].get("content"))}
    return [first, *others[1:]]


def _alternating(messages: Sequence[Json]) -> list[Json]:
    """Returns the messages with successive ones of the same role joined."""
    joined: list[Json] = []
    for message in messages:
        if joined and joined[-1].get("role") == message.get("role"):
            both = _join(joined[-1].get("content"), message.get("content"))
            joined[-1] = {**joined[-1], "content": both}
        else:
            joined.append(message)
    return joined


def _join(*contents: object) -> object:
    """Joins texts with an empty line, or contents with parts (such as images) to one list."""
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(str(content) for content in contents)
    parts: list[object] = []
    for content in contents:
        parts += content if isinstance(content, list) else [{"type": "text", "text": str(content)}]
    return parts


def _response_text(refusal: openai.APIStatusError) -> str:
    """Returns the beginning of the response's text, whatever its format."""
    try:
        return refusal.response.text[:_MAX_ERROR_LENGTH]
    except (RuntimeError, ValueError):
        return str(refusal)[:_MAX_ERROR_LENGTH]
