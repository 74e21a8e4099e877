"""One answer on its way to Slack: streamed while the budget lasts, else posted and updated."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from adapters.pieces import close_fence, open_fence
from adapters.slack.outbound import answer_payloads, feedback, metadata
from adapters.slack.texts import LONGEST_MARKDOWN, Flow, escaped
from adapters.slack.wire import Json, Wire, code
from bot.errors import EmptyAnswer, MessageGone, SurfaceError
from bot.model import MessageId, UserId
from bot.replies import Stream

log = logging.getLogger(__name__)

_LIFE_SECONDS = 240.0
"""A stream lives about five minutes from its start; a new one goes on before that."""
_FLUSH_SECONDS = 0.65
_UPDATE_SECONDS = 1.5
_KEPT_FOR_ENDS = 30
"""Of the updates a minute, so many are kept for the last words of answers."""
_LAST_WORDS_SECONDS = 5.0
_SOFT = LONGEST_MARKDOWN - 800
_OVER = ("message_not_in_streaming_state", "streaming_state_conflict", "stream_expired")


@dataclass(slots=True)
class Part:
    """One message of the answer and what stands in it."""

    ts: str
    began: float
    is_stream: bool
    shown: str = ""
    is_full: bool = False
    wrote_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Spot:
    """Where an answer goes, to whom, and what finds it again."""

    channel: str
    thread: str | None
    team: str
    asker: UserId
    key: str


class Answering:
    """Writes one answer; `run` is called once, in the task that may be stopped."""

    def __init__(
        self,
        wire: Wire,
        spot: Spot,
        stream: Stream,
        *,
        now: Callable[[], float],
    ) -> None:
        self._wire = wire
        self._spot = spot
        self._stream = stream
        self._now = now
        self._flow = Flow()
        self._pending = ""
        self._part: Part | None = None
        self._first: MessageId | None = None
        self._news = asyncio.Event()
        self._ending = asyncio.Event()
        self._is_complete = False
        self._is_stopped = False

    async def run(self) -> MessageId:
        """Raises what the pieces raise; what was shown by then is closed and stays."""
        writer: asyncio.Task[None] | None = None
        try:
            async for ready in self._pieces():
                self._pending += ready
                if self._first is None and self._pending.strip():
                    await self._begin()
                    # Answers know their task by this call, so it is made here.
                    writer = asyncio.create_task(self._write(), name="slack answer")
                elif writer is not None:
                    self._news.set()
                    if writer.done():
                        writer.result()
            self._pending += self._flow.rest()
            if self._first is None and self._pending.strip():
                await self._begin()
        except BaseException:
            await self._break_off(writer)
            raise
        return await self._complete(writer)

    async def _pieces(self) -> AsyncIterator[str]:
        async for piece in self._stream.pieces:
            yield self._flow.feed(piece)

    async def _begin(self) -> None:
        standing = self._stream.standing
        if standing is not None:
            await self._take_over(standing)
        else:
            await self._open()
        assert self._part is not None
        self._first = MessageId(self._part.ts)
        await self._stream.posted(self._first)

    async def _take_over(self, standing: MessageId) -> None:
        """A broken-off answer is written anew in its own message."""
        with contextlib.suppress(SurfaceError):
            await self._wire.call("chat.stopStream", self._at(standing), patience=0)
        text = self._take_some()
        self._part = Part(standing, self._now(), is_stream=False, is_full=bool(self._pending))
        try:
            await self._update(self._part, text)
        except MessageGone:
            self._pending = text + self._pending
            await self._open()

    async def _open(self) -> None:
        """The first words in a new message; streamed where that is possible now."""
        text = self._take_some()
        is_full = bool(self._pending)
        self._part = await self._placed(text)
        self._part.is_full = is_full

    async def _placed(self, text: str) -> Part:
        pacing = self._wire.pacing
        if self._spot.thread and pacing.may_stream():
            pacing.streams += 1
            try:
                return await self._start_stream(text)
            except MessageGone:
                pacing.streams -= 1
                raise
            except SurfaceError as error:
                pacing.streams -= 1
                log.info("A stream was refused", extra={"why": code(error)})
        return await self._post(text)

    async def _start_stream(self, text: str) -> Part:
        args = {
            "channel": self._spot.channel,
            "thread_ts": self._spot.thread,
            "recipient_team_id": self._spot.team,
            "recipient_user_id": self._spot.asker,
            "chunks": _chunks(text),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        answer = await self._wire.call(
            "chat.startStream", args, channel=self._spot.channel, is_repeatable=False, patience=0
        )
        return Part(str(answer["ts"]), self._now(), True, text, wrote_at=self._now())

    async def _post(self, text: str) -> Part:
        payload = answer_payloads(text)[0]
        args = {
            "channel": self._spot.channel,
            "thread_ts": self._spot.thread,
            "text": payload.text,
            "blocks": payload.blocks,
            "metadata": metadata(self._spot.key),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        answer = await self._wire.call("chat.postMessage", args, channel=self._spot.channel)
        return Part(str(answer["ts"]), self._now(), False, text, wrote_at=self._now())

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

    async def _go_on(self, part: Part) -> None:
        if self._must_roll(part, self._pending):
            await self._roll(part)
        elif part.is_stream:
            if self._wire.pacing.has_left("chat.appendStream"):
                await self._append(part, self._take())
        elif self._wire.pacing.has_left("chat.update", reserve=_KEPT_FOR_ENDS):
            await self._update(part, self._take())

    def _must_roll(self, part: Part, more: str) -> bool:
        is_old = part.is_stream and self._now() - part.began > _LIFE_SECONDS
        return part.is_full or is_old or len(part.shown) + len(more) > _SOFT

    async def _roll(self, part: Part) -> None:
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
        if self._pending.strip():
            await self._open()

    async def _append(self, part: Part, text: str) -> None:
        args = {**self._at(part.ts), "chunks": _chunks(text)}
        part.shown += text
        part.wrote_at = self._now()
        try:
            await self._wire.call("chat.appendStream", args, is_repeatable=False, patience=0)
        except MessageGone:
            raise
        except SurfaceError as error:
            await self._after_refusal(part, text, error)

    async def _after_refusal(self, part: Part, text: str, error: SurfaceError) -> None:
        log.info("A piece of a stream was refused", extra={"why": code(error)})
        if code(error) == "stopped_by_user":
            self._is_stopped = True
            self._left_stream(part)
        elif code(error) in _OVER:
            self._left_stream(part)
            await self._update(part, "")
        elif code(error) == "ratelimited":
            part.shown = part.shown.removesuffix(text)
            self._pending = text + self._pending
        else:
            # Whether it was written cannot be known; the whole text settles it.
            self._left_stream(part)
            await self._end_silently(part)
            await self._update(part, "")

    async def _end_silently(self, part: Part) -> None:
        """A message that is still being streamed cannot be updated."""
        with contextlib.suppress(SurfaceError):
            await self._wire.call("chat.stopStream", self._at(part.ts), patience=1)

    async def _update(self, part: Part, text: str, blocks: list[Json] | None = None) -> None:
        part.shown += text
        part.wrote_at = self._now()
        drawn: list[Json] = [{"type": "markdown", "text": part.shown or "…"}, *(blocks or ())]
        args = {
            **self._at(part.ts),
            "text": escaped(part.shown) or "…",
            "blocks": drawn,
            "metadata": metadata(self._spot.key),
        }
        await self._wire.call("chat.update", args)

    async def _complete(self, writer: asyncio.Task[None] | None) -> MessageId:
        await self._end(writer)
        if self._first is None:
            raise EmptyAnswer(host="–")
        if self._part is None and self._pending.strip() and not self._is_stopped:
            await self._open()
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
        part, self._part = self._part, None
        if part is None:
            return
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._close(part, self._take() + close_fence(part.shown))
        except (SurfaceError, TimeoutError) as error:
            log.warning("An answer could not be closed", extra={"why": type(error).__name__})

    async def _close(self, part: Part, text: str, *, is_last: bool = False) -> None:
        blocks = self._last_blocks() if is_last else []
        if part.is_stream:
            await self._stop_stream(part, text, blocks)
        elif text or blocks:
            await self._update(part, text, blocks)

    def _last_blocks(self) -> list[Json]:
        if self._first is None or not self._stream.buttons:
            return []
        return feedback(self._stream.buttons, self._first)

    async def _stop_stream(self, part: Part, text: str, blocks: list[Json]) -> None:
        args: dict[str, object] = {**self._at(part.ts), "metadata": metadata(self._spot.key)}
        if text:
            args["chunks"] = _chunks(text)
        if blocks:
            args["blocks"] = blocks
        self._left_stream(part)
        try:
            await self._wire.call("chat.stopStream", args, is_repeatable=False)
            part.shown += text
        except MessageGone:
            raise
        except SurfaceError as error:
            if code(error) == "stopped_by_user":
                self._is_stopped = True
                return
            await self._end_silently(part)
            await self._update(part, text, blocks)

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

    def _left_stream(self, part: Part) -> None:
        if part.is_stream:
            part.is_stream = False
            self._wire.pacing.streams -= 1

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

    def _at(self, ts: str) -> dict[str, object]:
        return {"channel": self._spot.channel, "ts": ts}


def _chunks(text: str) -> list[Json]:
    return [{"type": "markdown_text", "text": text}]


def _line_end(text: str) -> int:
    at = text.rfind("\n")
    return at + 1 if at >= 0 else len(text)


def _boundary(text: str, most: int) -> int:
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, 0, most)
        if at >= 0:
            return at + len(mark)
    return 0
