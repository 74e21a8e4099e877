"""Model calls whose tokens are counted even if a call fails or is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from time import perf_counter

from bot.domain import HostName, IncompleteReason, ModelName, Sampling
from bot.errors import AnswerCut, AnswerFiltered, EmptyAnswer, HostError, HostTimeout
from bot.ports.model_hosts import Delta, PaidHost, Usage
from bot.rows import estimate_message_tokens, estimate_text_tokens


@dataclass(slots=True, eq=False)
class Answer:
    """The part of an answer that was received; `incomplete_reason` is why the host ended it early.

    `has_begun` once a first piece was received, with or without text.
    """

    text: str = ""
    usage: Usage | None = None
    is_refusal: bool = False
    incomplete_reason: IncompleteReason | None = None
    first_text_seconds: float | None = None
    has_begun: bool = False
    _asked_at: float = field(default_factory=perf_counter)

    def add_delta(self, delta: Delta) -> None:
        self.has_begun = True
        if delta.text and not self.text:
            self.first_text_seconds = perf_counter() - self._asked_at
        self.text += delta.text
        self.usage = delta.usage or self.usage
        self.is_refusal |= delta.is_refusal
        self.incomplete_reason = delta.incomplete_reason or self.incomplete_reason


@dataclass(slots=True, eq=False)
class _Call:
    messages: Sequence[Mapping[str, object]]
    answer: Answer

    @property
    def usage(self) -> Usage:
        """The host's usage; an estimate if the host sent none or the call was interrupted."""
        estimate = Usage(
            estimate_message_tokens(self.messages), estimate_text_tokens(self.answer.text)
        )
        return self.answer.usage or estimate


class TokenMeter:
    """Makes the calls of one reservation and counts their tokens.

    Only a call that failed at the host before its first piece costs nothing.
    """

    def __init__(self) -> None:
        self._calls: list[_Call] = []

    @property
    def usage(self) -> Usage:
        """Tokens of all calls so far."""
        return sum((call.usage for call in self._calls), Usage(0, 0))

    async def chat(
        self,
        host: PaidHost,
        model: ModelName,
        messages: Sequence[Mapping[str, object]],
        sampling: Sampling,
        *,
        is_sent_once: bool = False,
        tools: Sequence[Mapping[str, object]] = (),
    ) -> AsyncGenerator[Delta]:
        """Calls `PaidHost.chat` and counts its tokens."""
        call = _Call(messages, Answer())
        self._calls.append(call)
        stream = host.chat(model, messages, sampling, is_sent_once=is_sent_once, tools=tools)
        try:
            async with aclosing(stream) as deltas:
                async for delta in deltas:
                    call.answer.add_delta(delta)
                    yield delta
        except HostError as error:
            if not (call.answer.has_begun or isinstance(error, EmptyAnswer)):
                self._calls.remove(call)
            raise


async def read_answer(
    deltas: AsyncGenerator[Delta], answer: Answer, *, host: HostName, seconds: float
) -> None:
    """Reads an answer to its end into `answer`, which keeps the text read before an error.

    Raises HostTimeout after `seconds`.
    """
    try:
        async with asyncio.timeout(seconds), aclosing(deltas):
            async for delta in deltas:
                answer.add_delta(delta)
    except TimeoutError:
        raise HostTimeout(host=host) from None


def require_complete(answer: Answer, *, host: HostName) -> None:
    """Raises AnswerCut, AnswerFiltered or EmptyAnswer if an answer is not complete."""
    if answer.incomplete_reason is IncompleteReason.FILTER:
        raise AnswerFiltered(host=host)
    if answer.incomplete_reason is not None:
        raise AnswerCut(host=host)
    if not answer.text.strip():
        raise EmptyAnswer(host=host)
