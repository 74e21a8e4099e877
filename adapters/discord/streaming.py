"""One answer on its way to Discord: posted with its first words, then edited as it grows."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from adapters.discord.outbound import Payload, answer
from adapters.discord.pacing import Priority
from adapters.discord.texts import LONGEST, fitting, length, safe
from adapters.message_splitting import close_fence, open_fence
from bot.domain import MessageId
from bot.errors import EmptyAnswer, MessageGone, PlaceClosed, SurfaceError
from bot.replies import Stream

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.4
_PAUSE_SECONDS = 1.1
_AGAIN_SECONDS = 0.2
_LAST_WORDS_SECONDS = 5.0
_LONGEST_FENCE = 60
_SOFT = LONGEST - 100
"""A little less than a message holds: an open code block must still be closed."""


class MessageWriter(Protocol):
    """Where an answer is written."""

    async def write(self, payload: Payload, number: int) -> MessageId:
        """The message that holds the answer's part of that number."""
        ...

    async def rewrite(self, message: MessageId, payload: Payload, haste: Priority) -> None: ...

    def may_show(self) -> bool:
        """Whether progress may be shown now without delaying anybody's last words."""
        ...


@dataclass(slots=True)
class AnswerMessage:
    """One message of the answer, and what stands in it."""

    message: MessageId
    wrote_at: float
    shown: str
    is_full: bool = False
    edits: int = 0


class StreamedAnswer:
    """Writes one answer; `run` is called once, in the task that may be stopped."""

    def __init__(self, pen: MessageWriter, stream: Stream, *, now: Callable[[], float]) -> None:
        self._pen = pen
        self._stream = stream
        self._now = now
        self._pending = ""
        self._part: AnswerMessage | None = None
        self._first: MessageId | None = None
        self._written = 0
        self._rest_of = ""
        self._news = asyncio.Event()
        self._ending = asyncio.Event()

    async def run(self) -> MessageId:
        """Raises what the pieces raise; what was shown by then is closed and stays."""
        writer: asyncio.Task[None] | None = None
        try:
            async for piece in self._pieces():
                self._pending += piece
                if self._first is None and self._pending.strip():
                    await self._begin()
                    # Answers know their task by this call, so it is made here.
                    writer = asyncio.create_task(self._write(), name="discord answer")
                elif writer is not None:
                    self._news.set()
                    if writer.done():
                        writer.result()
        except BaseException:
            await self._break_off(writer)
            raise
        return await self._complete(writer)

    async def _pieces(self) -> AsyncIterator[str]:
        async for piece in self._stream.pieces:
            yield safe(piece)

    async def _begin(self) -> None:
        standing = self._stream.standing
        if standing is None or not await self._take_over(standing):
            await self._open()
        assert self._part is not None
        self._first = self._part.message
        await self._stream.posted(self._first)

    async def _take_over(self, standing: MessageId) -> bool:
        """A broken-off answer is written anew in its own message."""
        try:
            with self._taken() as pending:
                text, self._rest_of = _page(pending)
                await self._pen.rewrite(standing, answer(text), Priority.FIRST_WORDS)
        except MessageGone:
            return False
        self._stands(standing, text)
        return True

    async def _open(self) -> None:
        with self._taken() as pending:
            text, self._rest_of = _page(pending)
            message = await self._pen.write(answer(text), self._written)
        self._stands(message, text)

    def _stands(self, message: MessageId, text: str) -> None:
        rest, self._rest_of = self._rest_of, ""
        self._pending = rest + self._pending
        self._written += 1
        self._part = AnswerMessage(message, self._now(), text, is_full=bool(rest))

    @contextlib.contextmanager
    def _taken(self) -> Iterator[str]:
        """All that waits; it comes back, before what has come since, where it is not written."""
        pending = self._take()
        try:
            yield pending
        except BaseException:
            self._pending = pending + self._pending
            raise

    async def _write(self) -> None:
        """Brings what has come to Discord, no faster than its budgets let us."""
        while not self._ending.is_set():
            await self._news.wait()
            self._news.clear()
            if self._ending.is_set() or not self._pending:
                continue
            if self._must_go_on():
                await self._roll_on()
                continue
            assert self._part is not None
            pause = _PAUSE_SECONDS if self._part.edits else _FIRST_PAUSE_SECONDS
            await self._rest(self._part.wrote_at + pause - self._now())
            await self._show(self._part)

    async def _show(self, part: AnswerMessage) -> None:
        while not self._ending.is_set() and not self._pen.may_show():
            await self._rest(_AGAIN_SECONDS)
        if self._ending.is_set() or self._is_too_long(part):
            self._news.set()
            return
        part.shown += self._take()
        part.edits += 1
        try:
            await self._pen.rewrite(part.message, answer(part.shown), Priority.PROGRESS)
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as error:
            # The next edit says the whole text, this one included.
            log.info("A piece could not be shown", extra={"why": error.key})
        part.wrote_at = self._now()

    async def _rest(self, seconds: float) -> None:
        """The end of the answer does not wait."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._ending.wait()

    def _is_too_long(self, part: AnswerMessage) -> bool:
        return length(part.shown) + length(self._pending) > _SOFT

    async def _roll_on(self) -> None:
        """A Discord that fails now is asked again; not one word is lost."""
        try:
            await self._roll()
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as error:
            log.info("A part could not be posted", extra={"why": error.key})
            await self._rest(_PAUSE_SECONDS)
            self._news.set()

    async def _roll(self) -> None:
        """This message is closed, the next goes on; an open code block is carried along."""
        part = self._part
        if part is not None:
            await self._fill(part)
        self._part = None
        if self._pending.strip():
            await self._open()

    async def _fill(self, part: AnswerMessage) -> None:
        """The last that has room in a message, to a good place to break off."""
        with self._taken() as pending:
            room = 0 if part.is_full else max(0, _SOFT - length(part.shown))
            cut = _boundary(pending, fitting(pending, room))
            whole, rest = part.shown + pending[:cut], pending[cut:]
            if closed(whole) != part.shown:
                await self._pen.rewrite(part.message, answer(closed(whole)), Priority.LAST_WORDS)
        self._pending = _reopened(whole, rest) + self._pending

    async def _complete(self, writer: asyncio.Task[None] | None) -> MessageId:
        await self._end(writer)
        if self._first is None:
            raise EmptyAnswer(host="–")
        while self._pending.strip() and self._must_go_on():
            await self._roll()
        if self._part is not None:
            await self._close(self._part, with_buttons=True)
        return self._first

    def _must_go_on(self) -> bool:
        return self._part is None or self._part.is_full or self._is_too_long(self._part)

    async def _break_off(self, writer: asyncio.Task[None] | None) -> None:
        """What was written stays, to its last word."""
        if writer is not None:
            writer.cancel()
        part, self._part = self._part, None
        if part is None or part.is_full or self._is_gone(writer):
            return
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                self._pending = self._pending[: fitting(self._pending, _SOFT - length(part.shown))]
                await self._close(part, with_buttons=False)
        except (SurfaceError, TimeoutError) as error:
            log.warning("An answer could not be closed", extra={"why": type(error).__name__})

    def _is_gone(self, writer: asyncio.Task[None] | None) -> bool:
        """Where the message or its channel was deleted, nothing is left to close."""
        if writer is None or not writer.done() or writer.cancelled():
            return False
        return isinstance(writer.exception(), MessageGone | PlaceClosed)

    async def _close(self, part: AnswerMessage, *, with_buttons: bool) -> None:
        text = closed(part.shown + self._take())
        buttons = self._stream.buttons if with_buttons else ()
        if text == part.shown and not buttons:
            return
        first = self._first if self._first != part.message else None
        await self._pen.rewrite(part.message, answer(text, buttons, first), Priority.LAST_WORDS)

    async def _end(self, writer: asyncio.Task[None] | None) -> None:
        """Lets the write in hand come to its end."""
        self._ending.set()
        self._news.set()
        if writer is None:
            return
        try:
            await writer
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as error:
            log.warning("A piece could not be shown", extra={"why": error.key})

    def _take(self) -> str:
        text, self._pending = self._pending, ""
        return text


def closed(text: str) -> str:
    """With an open code block ended, unless its marks are absurd."""
    whole = text + close_fence(text)
    return whole if length(whole) <= LONGEST else text


def _page(text: str) -> tuple[str, str]:
    """No more than one message holds, and the rest; a code block that is cut goes on there."""
    if length(text) <= _SOFT:
        return text, ""
    most = fitting(text, _SOFT)
    cut = _boundary(text, most) or most
    return closed(text[:cut]), _reopened(text[:cut], text[cut:])


def _reopened(before: str, rest: str) -> str:
    fence = open_fence(before)[:_LONGEST_FENCE]
    return f"{fence}\n{rest}" if fence else rest


def _boundary(text: str, most: int) -> int:
    """The best place to break off; 0 where there is none."""
    if len(text) <= most:
        return len(text)
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, 0, most)
        if at >= 0:
            return at + len(mark)
    return 0
