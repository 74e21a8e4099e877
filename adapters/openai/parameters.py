"""What a host has refused of a request, and how it is asked from then on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import openai

from adapters.openai.response_parsing import Json

MAY_BE_LEFT_OUT = (
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
"""What an assistant or a start asks for; what an operator has put into a request must be heard."""
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
_LONGEST = 8000
_RENAMED = {"max_tokens": "max_completion_tokens"}
_NO_SYSTEM_KEY, _ALTERNATE_KEY = "messages:system", "messages:alternate"


class LearnedParameters:
    """Parameters that a host does not take are left out, or sent by another name.

    A complaint that speaks of the model is remembered for that model alone.
    """

    def __init__(self) -> None:
        self._changes: dict[tuple[str, str], str | None] = {}

    def adapt_request(self, body: Json) -> dict[str, object]:
        """The request as the host takes it, as far as that is known."""
        model = str(body.get("model"))
        fitted: dict[str, object] = {}
        for name, value in body.items():
            sent = self._name(model, name)
            if sent is not None:
                fitted[sent] = value
        messages = fitted.get("messages")
        if isinstance(messages, Sequence):
            fitted["messages"] = self._messages(model, messages)
        if "stream" not in fitted:
            fitted.pop("stream_options", None)
        return fitted

    def learn(self, sent: Json, refusal: openai.APIStatusError) -> bool:
        """Whether the same request is worth another try, as the host said what it does not take."""
        status = refusal.status_code
        if not 400 <= status < 500 or status in _NOT_ABOUT_PARAMETERS:
            return False
        words = _words(refusal)
        change = _about_tools(sent, words) or _complaint(sent, refusal, words)
        change = change or _about_messages(sent, words)
        if change is None:
            return False
        name, replacement = change
        scope = str(sent.get("model")) if "model" in words.lower() else ""
        if (scope, name) in self._changes:
            # Another request may have learned it since this one was sent.
            return self.adapt_request(sent) != sent
        self._changes[scope, name] = replacement
        return True

    def _name(self, model: str, name: str) -> str | None:
        """What a parameter is sent as; None where it is left out."""
        seen: str | None = name
        for _ in range(2):
            for scope in (model, ""):
                if seen is not None and (scope, seen) in self._changes:
                    seen = self._changes[scope, seen]
        return seen

    def _messages(self, model: str, messages: Sequence[object]) -> Sequence[object]:
        found = [one for one in messages if isinstance(one, Mapping)]
        if self._knows(model, _NO_SYSTEM_KEY):
            found = _without_system(found)
        if self._knows(model, _ALTERNATE_KEY):
            found = _alternating(found)
        return found

    def _knows(self, model: str, key: str) -> bool:
        return (model, key) in self._changes or ("", key) in self._changes


def _complaint(
    sent: Json, refusal: openai.APIStatusError, words: str
) -> tuple[str, str | None] | None:
    """The parameter that the host does not take, and the other name to try before it goes."""
    if not _REFUSES.search(words):
        return None
    name = _named(sent, refusal.param, words)
    if name is None:
        return None
    return name, _RENAMED.get(name)


def _named(sent: Json, param: object, words: str) -> str | None:
    """The field named by the complaint, else the first optional parameter in its words."""
    optional = [name for name in sent if name in MAY_BE_LEFT_OUT]
    if isinstance(param, str):
        head = param.partition(".")[0].partition("[")[0]
        if head in optional:
            return head
    places = {name: _place(name, words) for name in optional}
    named = {name: at for name, at in places.items() if at is not None}
    return min(named, key=lambda name: named[name]) if named else None


def _place(name: str, words: str) -> int | None:
    """Where a name stands in a complaint; "stop" is too common a word to count without quotes."""
    plain = re.escape(name) + ("(?:ing)?" if name == "stream" else "")
    pattern = rf"[\"'`]{plain}[\"'`]" if name == "stop" else rf"(?<![\w-]){plain}(?![\w-])"
    found = re.search(pattern, words, re.IGNORECASE)
    return found.start() if found else None


def _about_tools(sent: Json, words: str) -> tuple[str, str | None] | None:
    """vLLM without `--enable-auto-tool-choice` names its own options, not the parameter."""
    return ("tools", None) if "tools" in sent and _NO_TOOLS.search(words) else None


def _about_messages(sent: Json, words: str) -> tuple[str, str | None] | None:
    """Chat templates without a system role, or that want question and answer in turn."""
    if "messages" not in sent:
        return None
    if _ALTERNATE.search(words):
        return _ALTERNATE_KEY, None
    return (_NO_SYSTEM_KEY, None) if _NO_SYSTEM.search(words) else None


def _without_system(messages: Sequence[Json]) -> list[Json]:
    """What the system was to say stands before the first question."""
    said = [str(one.get("content")) for one in messages if one.get("role") == "system"]
    rest = [one for one in messages if one.get("role") != "system"]
    if not said or not rest:
        return list(messages)
    first = {**rest[0], "content": _joined(*said, rest[0].get("content"))}
    return [first, *rest[1:]]


def _alternating(messages: Sequence[Json]) -> list[Json]:
    found: list[Json] = []
    for one in messages:
        if found and found[-1].get("role") == one.get("role"):
            both = _joined(found[-1].get("content"), one.get("content"))
            found[-1] = {**found[-1], "content": both}
        else:
            found.append(one)
    return found


def _joined(*contents: object) -> object:
    """Texts with an empty line between; a list of parts keeps its pictures."""
    if all(isinstance(one, str) for one in contents):
        return "\n\n".join(str(one) for one in contents)
    parts: list[object] = []
    for one in contents:
        parts += one if isinstance(one, list) else [{"type": "text", "text": str(one)}]
    return parts


def _words(refusal: openai.APIStatusError) -> str:
    """All that the host says, whatever shape it has."""
    try:
        return refusal.response.text[:_LONGEST]
    except (RuntimeError, ValueError):
        return str(refusal)[:_LONGEST]
