"""One answer on its way to Slack: streamed while the budget lasts, else posted and updated."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable

from adapters.message_splitting import close_fence, open_fence
from adapters.slack.api import Api, Json, code
from adapters.slack.outbound import feedback
from adapters.slack.pacing import Slots
from adapters.slack.parts import AnswerMessage, AnswerMessages, AnswerTarget, Stopped
from adapters.slack.posted_before_crash import PostedParts
from adapters.slack.texts import LONGEST_MARKDOWN, SafeTextStream
from bot.domain import MessageId
from bot.errors import EmptyAnswer, MessageGone, SurfaceError
from bot.replies import Stream

log = logging.getLogger(__name__)

_LIFE_SECONDS = 240.0
"""A stream lives about five minutes from its start; a new one goes on before that."""
_FLUSH_SECONDS = 0.65
_UPDATE_SECONDS = 1.5
_KEPT_FOR_ENDS = 15
"""Of the updates a minute, so many are kept beside the last one of every open answer."""
_LAST_WORDS_SECONDS = 5.0
_SOFT = LONGEST_MARKDOWN - 800


class StreamedAnswer:
    """Writes one answer; `run` is called once, in the task that may be stopped.

    `trail` leads to what an earlier attempt has left; of a new question there is nothing.
    """

    def __init__(
        self,
        wire: Api,
        spot: AnswerTarget,
        stream: Stream,
        *,
        now: Callable[[], float],
        trail: PostedParts,
        is_new: bool,
    ) -> None:
        self._pacing = wire.pacing
        self._spot = spot
        self._stream = stream
        self._now = now
        self._find = trail.find
        self._is_new = is_new
        self._slots = Slots(wire.pacing)
        self._parts = AnswerMessages(wire, spot, trail, now, begins=self._begins, slots=self._slots)
        self._flow = SafeTextStream()
        self._pending = ""
        self._part: AnswerMessage | None = None
        self._count = 0
        self._first: MessageId | None = None
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._is_complete = False
        self._is_stopped = False
        self._has_stream = False

    async def run(self) -> MessageId:
        """Raises what the pieces raise; what was shown by then is closed and stays."""
        with self._slots:
            return await self._run()

    async def _run(self) -> MessageId:
        writer: asyncio.Task[None] | None = None
        try:
            async for ready in self._pieces():
                self._pending += ready
                if self._first is None and self._may_begin():
                    await self._begin()
                    # Answers know their task by this call, so it is made here.
                    writer = asyncio.create_task(self._write(), name="slack answer")
                elif writer is not None:
                    self._news.set()
                    if writer.done():
                        writer.result()
            self._pending += self._flow.rest()
            return await self._complete(writer)
        except BaseException:
            await self._break_off(writer)
            raise

    async def _pieces(self) -> AsyncIterator[str]:
        async for piece in self._stream.pieces:
            yield self._flow.feed(piece)

    def _may_begin(self) -> bool:
        """At once, unless neither a stream nor the updates to come can be had: then when whole."""
        if not self._pending.strip():
            return False
        # What stands already is updated; nobody waits for its first word.
        if self._is_new and self._spot.thread and self._pacing.may_stream():
            self._slots.take_stream()
            self._has_stream = True
        elif self._pacing.may_update():
            self._slots.take_update()
        else:
            return len(self._pending) > _SOFT
        return True

    async def _begins(self) -> None:
        """Only what can be found again is worth a mark, and only its first message."""
        if not self._count:
            await self._stream.begins()

    async def _begin(self, *, is_whole: bool = False) -> None:
        standing: str | None = self._stream.standing
        if standing is None and not self._is_new:
            standing = await self._find(self._spot.key)
        if standing is not None:
            await self._take_over(standing, is_whole=is_whole)
        else:
            await self._open(is_last=is_whole)
        assert self._first is not None
        await self._stream.posted(self._first)

    async def _take_over(self, standing: str, *, is_whole: bool) -> None:
        """A broken-off answer is written anew in its own message."""
        text = self._take_some()
        is_full = bool(self._pending)
        is_last = is_whole and not is_full
        blocks = self._last_blocks() if is_last else []
        try:
            part = await self._parts.taken_over(standing, self._spot.key, text, blocks)
        except MessageGone:
            self._pending = text + self._pending
            await self._open(is_last=is_whole)
            return
        part.is_full = is_full
        self._stand(part)
        if is_last:
            self._part = None

    async def _open(self, *, is_last: bool = False) -> None:
        """The next words in a new message, the last ones whole and with their buttons."""
        text = self._take_some()
        is_full = bool(self._pending)
        key = f"{self._spot.key}/{self._count}" if self._count else self._spot.key
        known = await self._find(key) if self._count and not self._is_new else None
        if known is not None:
            part = await self._parts.taken_over(known, key, text)
        elif is_last and not is_full:
            await self._post_whole(text, key)
            return
        else:
            has_stream, self._has_stream = self._has_stream, False
            part = await self._parts.begun(text, key, has_stream=has_stream)
        part.is_full = is_full
        self._stand(part)

    async def _post_whole(self, text: str, key: str) -> None:
        part = await self._parts.posted(text + close_fence(text), key, self._last_blocks())
        self._stand(part)
        self._part = None

    def _stand(self, part: AnswerMessage) -> None:
        self._part = part
        self._count += 1
        self._first = self._first or MessageId(part.ts)
        if not part.is_stream:
            self._slots.take_update()

    async def _write(self) -> None:
        """Brings what has come to Slack, no faster than its budgets let us."""
        while not self._is_complete:
            await self._news.wait()
            self._news.clear()
            part = self._part
            if self._is_complete or self._is_stopped:
                continue
            if part is None:
                if self._pending.strip():
                    await self._open()
                continue
            pause = _FLUSH_SECONDS if part.is_stream else _UPDATE_SECONDS
            await self._rest(part.wrote_at + pause - self._now())
            if not self._is_complete and self._pending:
                await self._go_on(part)

    async def _rest(self, seconds: float) -> None:
        """The end of the answer does not wait."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._ending.wait()

    async def _go_on(self, part: AnswerMessage) -> None:
        if self._must_roll(part, self._pending):
            await self._roll(part)
        elif part.is_stream:
            if self._pacing.has_left("chat.appendStream"):
                await self._add(part, self._take())
        elif self._pacing.may_update(reserve=_KEPT_FOR_ENDS):
            await self._parts.update(part, self._take())

    async def _add(self, part: AnswerMessage, text: str) -> None:
        try:
            if not await self._parts.add(part, text):
                self._pending = text + self._pending
        except Stopped:
            self._is_stopped = True

    def _must_roll(self, part: AnswerMessage, more: str) -> bool:
        is_old = part.is_stream and self._now() - part.began > _LIFE_SECONDS
        return part.is_full or is_old or len(part.shown) + len(more) > _SOFT

    async def _roll(self, part: AnswerMessage) -> None:
        """This message is closed, the next goes on; an open code block is carried along."""
        room = 0 if part.is_full else max(0, _SOFT - len(part.shown))
        is_full = part.is_full or len(part.shown) + len(self._pending) > _SOFT
        cut = _boundary(self._pending, room) if is_full else _line_end(self._pending)
        last, rest = self._pending[:cut], self._pending[cut:]
        self._pending = ""
        whole = part.shown + last
        fence = open_fence(whole)
        await self._close(part, last + close_fence(whole))
        self._pending = (f"{fence}\n{rest}" if fence else rest) + self._pending
        self._part = None
        if self._pending.strip() and not self._is_stopped:
            await self._open(is_last=self._is_complete)

    async def _complete(self, writer: asyncio.Task[None] | None) -> MessageId:
        await self._end(writer)
        if self._first is None and self._pending.strip():
            await self._begin(is_whole=True)
        if self._first is None:
            raise EmptyAnswer(host="–")
        if self._part is None and self._pending.strip() and not self._is_stopped:
            await self._open(is_last=True)
        while self._part and self._must_roll(self._part, self._pending) and self._pending:
            await self._roll(self._part)
        if self._part is not None and not self._is_stopped:
            last = self._take()
            whole = self._part.shown + last
            await self._close(self._part, last + close_fence(whole), is_last=True)
        return self._first

    async def _break_off(self, writer: asyncio.Task[None] | None) -> None:
        """What was written stays; Slack must not go on showing it as being written."""
        if writer is not None:
            writer.cancel()
            await asyncio.wait({writer})
        part, self._part = self._part, None
        if part is None:
            return
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                last = self._take()
                await self._close(part, last + close_fence(part.shown + last))
        except (SurfaceError, TimeoutError) as error:
            log.warning("An answer could not be closed", extra={"why": type(error).__name__})

    async def _close(self, part: AnswerMessage, text: str, *, is_last: bool = False) -> None:
        try:
            await self._parts.close(part, text, self._last_blocks() if is_last else [])
        except Stopped:
            self._is_stopped = True

    def _last_blocks(self) -> list[Json]:
        return feedback(self._stream.buttons, self._first) if self._stream.buttons else []

    async def _end(self, writer: asyncio.Task[None] | None) -> None:
        """Lets the write in hand come to its end."""
        self._is_complete = True
        self._ending.set()
        self._news.set()
        if writer is None:
            return
        try:
            await writer
        except MessageGone:
            raise
        except SurfaceError as error:
            log.warning("A piece could not be shown", extra={"why": code(error)})

    def _take(self) -> str:
        text, self._pending = self._pending, ""
        return text

    def _take_some(self) -> str:
        """No more than one message holds; a code block that is cut goes on in the next."""
        text = self._take()
        if len(text) <= _SOFT:
            return text
        cut = _boundary(text, _SOFT) or _SOFT
        text, rest = text[:cut], text[cut:]
        fence = open_fence(text)
        self._pending = (f"{fence}\n{rest}" if fence else rest) + self._pending
        return text + close_fence(text)


def _line_end(text: str) -> int:
    at = text.rfind("\n")
    return at + 1 if at >= 0 else len(text)


def _boundary(text: str, most: int) -> int:
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, 0, most)
        if at >= 0:
            return at + len(mark)
    return 0
