"""Parses a streamed answer in the variants of many hosts: text, refusals, reasoning, tool calls."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

from openai import AsyncStream
from openai._streaming import ServerSentEvent

from adapters.openai.response_parsing import Json, to_count
from bot.domain import IncompleteReason, ToolCall
from bot.ports.model_hosts import Delta, Usage

_THOUGHTS = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
"""Fields with reasoning.

`reasoning_content` is sent by DeepSeek, llama.cpp and vLLM up to 0.11, the others by OpenRouter,
Ollama, Together and newer vLLM.
"""
_TAG = re.compile(r"<(think|thinking|thought|reasoning|seed:think)>|\[(THINK)\]")
_OPENINGS = ("<think>", "<thinking>", "<thought>", "<reasoning>", "<seed:think>", "[THINK]")
_LONE_END = re.compile(r"</think(?:ing)?>|\[/THINK\]")
_MAX_CALL_LENGTH = 2000
# `model_length` is Mistral's; TGI and others send the words of their own engines.
_ENDS: Mapping[str, IncompleteReason] = {
    "length": IncompleteReason.LENGTH,
    "max_tokens": IncompleteReason.LENGTH,
    "max_output_tokens": IncompleteReason.LENGTH,
    "model_length": IncompleteReason.LENGTH,
    "content_filter": IncompleteReason.FILTER,
    "safety": IncompleteReason.FILTER,
}


class AnswerEvents(AsyncStream[object]):
    """The chunks of a streamed answer; `is_done` is True once the host has sent `[DONE]`."""

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
    """Parses one answer: `read` takes each chunk or a whole completion, `rest` ends the answer.

    With `begins_in_thoughts` the text up to the first `</think>` is reasoning, although no tag
    opens it.
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
        """Whether the text contained `</think>` without an opening tag before it."""
        return self._thoughts.has_lone_end

    def read(self, chunk: object) -> Iterator[Delta]:
        """Yields the deltas of a chunk."""
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
        yield from self._finish_reason(choice.get("finish_reason"))

    def rest(self) -> Iterator[Delta]:
        """Yields, after the last chunk, text that was held back, tool calls and the usage."""
        yield from self._text(self._thoughts.rest())
        calls = tuple(
            ToolCall(call.name, call.arguments[:_MAX_CALL_LENGTH])
            for call in self._calls.values()
            if call.name or call.arguments
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
        answer_text = self._thoughts.feed(text)
        if self._thoughts.has_any:
            yield from self._thought()
        yield from self._text(answer_text)
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal:
            # Some hosts send the same text in both fields.
            yield from self._text("" if text else refusal)
            yield Delta(is_refusal=True)
        elif message.get("is_refusal") is True:  # a field of `attune tuner`
            yield Delta(is_refusal=True)
        self._add_calls(message)

    def _text(self, text: str) -> Iterator[Delta]:
        if text:
            self.has_text = True
            yield Delta(text)

    def _thought(self) -> Iterator[Delta]:
        if not self.has_thoughts:
            self.has_thoughts = True
            yield Delta(is_thinking=True)

    def _finish_reason(self, reason: object) -> Iterator[Delta]:
        self.has_finish_reason |= reason is not None
        end = _ENDS.get(reason.lower()) if isinstance(reason, str) else None
        if end is not None and self.end is None:
            self.end = end
            yield Delta(incomplete_reason=end, is_refusal=end is IncompleteReason.FILTER)

    def _add_calls(self, message: Json) -> None:
        """Adds the pieces of tool calls; the older field `function_call` holds a single call."""
        calls = message.get("tool_calls")
        for number, call in enumerate(calls if isinstance(calls, list) else []):
            if isinstance(call, Mapping):
                self._add_call(call.get("index", number), call.get("function"))
        self._add_call("function_call", message.get("function_call"))

    def _add_call(self, index: object, function: object) -> None:
        """Appends a piece to the tool call with this index."""
        if not isinstance(function, Mapping):
            return
        call = self._calls.setdefault(index, _Call())
        name, arguments = function.get("name"), function.get("arguments")
        call.name = call.name or (name if isinstance(name, str) else "")
        call.arguments += arguments if isinstance(arguments, str) else ""


class _InlineThoughts:
    """Removes `<think>…</think>` from the beginning of a text that comes in pieces."""

    def __init__(self, *, is_inside: bool) -> None:
        self.has_any = False
        self.has_lone_end = False
        self._buffer = ""
        self._closing = "</think>" if is_inside else ""
        self._is_presumed = is_inside
        self._is_past = False
        self._tail = ""

    def feed(self, piece: str) -> str:
        """Returns the text of the answer that a piece completes."""
        if not piece:
            return ""
        if self._is_past:
            self._look_for_lone_end(piece)
            return piece
        self._buffer += piece
        return self._read_thoughts() if self._closing else self._read_beginning()

    def rest(self) -> str:
        """Returns, after the last piece, the held text if it is not reasoning.

        If a presumed reasoning never ends, the whole text is the answer.
        """
        text, self._buffer = self._buffer, ""
        return text if not self._closing or self._is_presumed else ""

    def _read_beginning(self) -> str:
        """Holds back white space and what may become an opening tag; returns other text."""
        beginning = self._buffer.lstrip()
        tag = _TAG.match(beginning)
        if tag:
            self._closing = f"</{tag[1]}>" if tag[1] else f"[/{tag[2]}]"
            self._buffer, self.has_any = beginning[tag.end() :], True
            return self._read_thoughts()
        if any(opening.startswith(beginning) for opening in _OPENINGS):
            return ""
        self._is_past = True
        text, self._buffer = self._buffer, ""
        self._look_for_lone_end(text)
        return text

    def _read_thoughts(self) -> str:
        """Drops the reasoning; returns the text after its closing tag."""
        position = self._buffer.find(self._closing)
        if position < 0:
            if not self._is_presumed:
                self._buffer = self._buffer[-len(self._closing) :]
            return ""
        self._buffer = self._buffer[position + len(self._closing) :].lstrip()
        self._closing, self.has_any, self._is_presumed = "", True, False
        return self._read_beginning() if self._buffer else ""

    def _look_for_lone_end(self, piece: str) -> None:
        if not self.has_any and not self.has_lone_end:
            self.has_lone_end = _LONE_END.search(self._tail + piece) is not None
            self._tail = (self._tail + piece)[-12:]


def _content(content: object) -> tuple[str, bool]:
    """Returns the text of a message's content, and whether the content has reasoning.

    The content is a string or a list of parts, whose types may be `text` and `thinking`:
    https://docs.mistral.ai/inference/conversations/reasoning
    """
    if isinstance(content, str):
        return content, False
    text, has_thought = "", False
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text += part
        elif isinstance(part, Mapping):
            is_thought = part.get("type") in ("thinking", "reasoning")
            part_text = part.get("text")
            has_thought |= is_thought
            text += part_text if isinstance(part_text, str) and not is_thought else ""
    return text, has_thought


def _usage(chunk: Json) -> Usage | None:
    """Returns the usage of a chunk, which Groq puts into `x_groq`; None without one."""
    nested = chunk.get("x_groq")
    usage = chunk.get("usage") or (nested.get("usage") if isinstance(nested, Mapping) else None)
    if not isinstance(usage, Mapping):
        return None
    prompt = to_count(usage.get("prompt_tokens"))
    completion = to_count(usage.get("completion_tokens"))
    return None if prompt is None or completion is None else Usage(prompt, completion)
