"""Reads a streamed answer, whatever shape its pieces have: text, refusals, thoughts, tool calls."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

from openai import AsyncStream
from openai._streaming import ServerSentEvent

from adapters.openai.response_parsing import Json, as_whole
from bot.domain import IncompleteReason, ToolCall
from bot.ports.provider import Delta, Usage

_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields of thoughts: DeepSeek, llama.cpp and vLLM to 0.11; OpenRouter, Ollama, Together, vLLM."""
_TAG = re.compile(r"<(think|thinking|thought|reasoning|seed:think)>|\[(THINK)\]")
_OPENINGS = ("<think>", "<thinking>", "<thought>", "<reasoning>", "<seed:think>", "[THINK]")
_LONE_END = re.compile(r"</think(?:ing)?>|\[/THINK\]")
_LONGEST_CALL = 2000
# Mistral ends at `model_length` too; TGI and others use the words of their own engines.
_ENDS: Mapping[str, IncompleteReason] = {
    "length": IncompleteReason.LENGTH,
    "max_tokens": IncompleteReason.LENGTH,
    "max_output_tokens": IncompleteReason.LENGTH,
    "model_length": IncompleteReason.LENGTH,
    "content_filter": IncompleteReason.FILTER,
    "safety": IncompleteReason.FILTER,
}


class AnswerEvents(AsyncStream[object]):
    """The chunks of a streamed answer; `is_done` once the host has sent `[DONE]`."""

    is_done = False

    async def _iter_events(self) -> AsyncIterator[ServerSentEvent]:
        async for event in super()._iter_events():
            self.is_done |= event.data.startswith("[DONE]")
            yield event


@dataclass(slots=True)
class _Call:
    name: str = ""
    arguments: str = ""


class AnswerReader:
    """One answer: `read` takes each chunk, or a whole completion, and `rest` what is left.

    With `begins_in_thoughts` the answer starts behind the end of thoughts that nothing has opened.
    """

    def __init__(self, *, begins_in_thoughts: bool = False) -> None:
        self.has_text = False
        self.has_thoughts = False
        self.end: IncompleteReason | None = None
        self.has_finish_reason = False
        self._thoughts = _InlineThoughts(is_inside=begins_in_thoughts)
        self._calls: dict[object, _Call] = {}
        self._usage: Usage | None = None

    @property
    def has_begun(self) -> bool:
        return self.has_text or self.has_thoughts or bool(self._calls)

    @property
    def has_lone_end(self) -> bool:
        """Whether thoughts were told as text, as nothing said where they begin."""
        return self._thoughts.has_lone_end

    def read(self, chunk: object) -> Iterator[Delta]:
        if not isinstance(chunk, Mapping):
            return
        self._usage = _usage(chunk) or self._usage
        choices = chunk.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if not isinstance(choice, Mapping):
            return
        message = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
        if isinstance(message, Mapping):
            yield from self._message(message)
        yield from self._ended(choice.get("finish_reason"))

    def rest(self) -> Iterator[Delta]:
        """What was held back, the calls of tools, and the usage."""
        yield from self._text(self._thoughts.rest())
        calls = tuple(
            ToolCall(one.name, one.arguments[:_LONGEST_CALL])
            for one in self._calls.values()
            if one.name or one.arguments
        )
        if calls:
            yield Delta(tool_calls=calls)
        if self._usage:
            yield Delta(usage=self._usage)

    @property
    def has_calls(self) -> bool:
        return bool(self._calls)

    def _message(self, message: Json) -> Iterator[Delta]:
        text, has_thought = _content(message.get("content"))
        if has_thought or any(message.get(name) for name in _THOUGHTS):
            yield from self._thought()
        shown = self._thoughts.feed(text)
        if self._thoughts.has_any:
            yield from self._thought()
        yield from self._text(shown)
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            # Some hosts say the same words in both fields.
            yield from self._text("" if text else refusal)
            yield Delta(is_refusal=True)
        elif message.get("is_refusal") is True:  # the tuner's own mark
            yield Delta(is_refusal=True)
        self._called(message)

    def _text(self, text: str) -> Iterator[Delta]:
        if text:
            self.has_text = True
            yield Delta(text)

    def _thought(self) -> Iterator[Delta]:
        if not self.has_thoughts:
            self.has_thoughts = True
            yield Delta(is_thinking=True)

    def _ended(self, reason: object) -> Iterator[Delta]:
        self.has_finish_reason |= reason is not None
        end = _ENDS.get(reason.lower()) if isinstance(reason, str) else None
        if end is not None and self.end is None:
            self.end = end
            yield Delta(incomplete_reason=end, is_refusal=end is IncompleteReason.FILTER)

    def _called(self, message: Json) -> None:
        """Pieces of a call carry its index; the older `function_call` is a single one."""
        calls = message.get("tool_calls")
        listed = calls if isinstance(calls, list) else []
        for number, one in enumerate(listed):
            if isinstance(one, Mapping):
                self._add(one.get("index", number), one.get("function"))
        self._add("function_call", message.get("function_call"))

    def _add(self, index: object, function: object) -> None:
        if not isinstance(function, Mapping):
            return
        call = self._calls.setdefault(index, _Call())
        name, arguments = function.get("name"), function.get("arguments")
        call.name = call.name or (name if isinstance(name, str) else "")
        call.arguments += arguments if isinstance(arguments, str) else ""


class _InlineThoughts:
    """Takes `<think>…</think>` off the beginning of a text that comes in pieces."""

    def __init__(self, *, is_inside: bool) -> None:
        self.has_any = False
        self.has_lone_end = False
        self._held = ""
        self._closing = "</think>" if is_inside else ""
        self._is_presumed = is_inside
        self._is_past = False
        self._tail = ""

    def feed(self, piece: str) -> str:
        if not piece:
            return ""
        if self._is_past:
            self._look_for_lone_end(piece)
            return piece
        self._held += piece
        return self._inside() if self._closing else self._before()

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held if not self._closing or self._is_presumed else ""

    def _before(self) -> str:
        """Nothing but white space has come, or what may become an opening tag."""
        begun = self._held.lstrip()
        found = _TAG.match(begun)
        if found:
            self._closing = f"</{found[1]}>" if found[1] else f"[/{found[2]}]"
            self._held, self.has_any = begun[found.end() :], True
            return self._inside()
        if any(tag.startswith(begun) for tag in _OPENINGS):
            return ""
        self._is_past = True
        held, self._held = self._held, ""
        self._look_for_lone_end(held)
        return held

    def _inside(self) -> str:
        at = self._held.find(self._closing)
        if at < 0:
            if not self._is_presumed:
                self._held = self._held[-len(self._closing) :]
            return ""
        self._held = self._held[at + len(self._closing) :].lstrip()
        self._closing, self.has_any, self._is_presumed = "", True, False
        return self._before() if self._held else ""

    def _look_for_lone_end(self, piece: str) -> None:
        if not self.has_any and not self.has_lone_end:
            self.has_lone_end = _LONE_END.search(self._tail + piece) is not None
            self._tail = (self._tail + piece)[-12:]


def _content(content: object) -> tuple[str, bool]:
    """The text of a message's content, a string or a list of parts; whether thoughts are in it.

    Parts of type `thinking` beside `text`: https://docs.mistral.ai/inference/conversations/reasoning
    """
    if isinstance(content, str):
        return content, False
    text, has_thought = "", False
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text += part
        elif isinstance(part, Mapping):
            is_thought = part.get("type") in ("thinking", "reasoning")
            found = part.get("text")
            has_thought |= is_thought
            text += found if isinstance(found, str) and not is_thought else ""
    return text, has_thought


def _usage(chunk: Json) -> Usage | None:
    """Beside the choices, or where Groq puts it."""
    nested = chunk.get("x_groq")
    found = chunk.get("usage") or (nested.get("usage") if isinstance(nested, Mapping) else None)
    if not isinstance(found, Mapping):
        return None
    asked = as_whole(found.get("prompt_tokens"))
    answered = as_whole(found.get("completion_tokens"))
    return None if asked is None or answered is None else Usage(asked, answered)
