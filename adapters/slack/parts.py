"""The messages of one answer, as Slack takes them: begun, added to, closed, each written once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

from adapters.message_splitting import chunks
from adapters.slack.api import Api, Before, Json, code, is_unknown_method, ts_of
from adapters.slack.outbound import metadata
from adapters.slack.pacing import Slots
from adapters.slack.posted_before_crash import PostedParts
from adapters.slack.texts import LONGEST_TEXT, escaped
from bot.domain import UserId
from bot.errors import MessageGone, PlaceClosed, SurfaceError

log = logging.getLogger(__name__)

_TRIES = 3
_OVER = ("message_not_in_streaming_state", "streaming_state_conflict", "stream_expired")


class Stopped(Exception):
    """Somebody pressed Slack's own stop button."""


@dataclass(slots=True)
class AnswerMessage:
    """One message of the answer and what stands in it."""

    ts: str
    key: str
    began: float
    is_stream: bool
    shown: str = ""
    is_full: bool = False
    wrote_at: float = 0.0


@dataclass(frozen=True, slots=True)
class AnswerTarget:
    """Where an answer goes, to whom, and what finds it again."""

    channel: str
    thread: str | None
    team: str
    asker: UserId
    key: str


class AnswerMessages:
    """Writes; when Slack does not say whether it did, looks before writing again."""

    def __init__(
        self,
        wire: Api,
        spot: AnswerTarget,
        trail: PostedParts,
        now: Callable[[], float],
        *,
        begins: Before,
        slots: Slots,
    ) -> None:
        self._wire = wire
        self._slots = slots
        self._begins = begins
        self._spot = spot
        self._trail = trail
        self._now = now

    async def begun(self, text: str, key: str, *, has_stream: bool) -> AnswerMessage:
        """Streamed where that is possible now, else posted; the stream may be counted already."""
        pacing = self._wire.pacing
        if has_stream or (self._spot.thread and pacing.may_stream()):
            if not has_stream:
                self._slots.take_stream()
            part = await self._streamed(text, key)
            if part is not None and part.is_stream:
                return part
            self._slots.give_stream_back()
            if part is not None:
                return part
        return await self.posted(text, key)

    async def posted(self, text: str, key: str, blocks: list[Json] | None = None) -> AnswerMessage:
        args = {
            "channel": self._spot.channel,
            "thread_ts": self._spot.thread,
            **_drawn(text, blocks),
            "metadata": metadata(key),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        for attempt in range(_TRIES):
            try:
                answer = await self._wire.call(
                    "chat.postMessage",
                    args,
                    channel=self._spot.channel,
                    is_repeatable=False,
                    before=self._begins,
                )
                return self._stands(answer, key, text)
            except SurfaceError as error:
                if not error.details.get("is_unknown") or attempt == _TRIES - 1:
                    raise
                found = await self._left(key, 0.3 * 2**attempt)
                if found is not None:
                    return await self.taken_over(found, key, text, blocks)
        raise SurfaceError(message="unreachable")

    async def taken_over(
        self, ts: str, key: str, text: str, blocks: list[Json] | None = None
    ) -> AnswerMessage:
        """What stands there already is written anew. Raises MessageGone."""
        if self._wire.pacing.has_left("chat.stopStream", reserve=self._wire.pacing.streams):
            await self._end_silently(ts)
        part = AnswerMessage(ts, key, self._now(), is_stream=False, shown=text)
        try:
            await self.update(part, "", blocks)
        except SurfaceError as error:
            if code(error) not in _OVER:
                raise
            await self._end_silently(ts)
            await self.update(part, "", blocks)
        self._trail.keep(ts)
        return part

    async def add(self, part: AnswerMessage, text: str) -> bool:
        """To what is being streamed; False where Slack is too busy. Raises Stopped."""
        args = {**self._at(part), "chunks": _chunks(text)}
        part.wrote_at = self._now()
        try:
            await self._wire.call("chat.appendStream", args, is_repeatable=False, patience=0)
        except MessageGone:
            raise
        except SurfaceError as error:
            return await self._after_refusal(part, text, error)
        part.shown += text
        return True

    async def update(
        self, part: AnswerMessage, text: str, blocks: list[Json] | None = None
    ) -> None:
        part.shown += text
        part.wrote_at = self._now()
        args = {
            **self._at(part),
            **_drawn(part.shown, blocks),
            "metadata": metadata(part.key),
        }
        await self._wire.call("chat.update", args)

    async def close(self, part: AnswerMessage, text: str, blocks: list[Json]) -> None:
        """The last words of this message. Raises Stopped."""
        if not part.is_stream:
            if text or blocks:
                await self.update(part, text, blocks)
            return
        args: dict[str, object] = {**self._at(part), "metadata": metadata(part.key)}
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
                raise Stopped from error
            await self._end_silently(part.ts)
            await self.update(part, text, blocks)

    async def _streamed(self, text: str, key: str) -> AnswerMessage | None:
        """None where Slack does not stream now; a message to update where it might have."""
        try:
            return await self._started(text, key)
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as error:
            log.info("A stream was refused", extra={"why": code(error)})
            if is_unknown_method(error):
                self._wire.pacing.has_streams = False
            if not error.details.get("is_unknown"):
                return None
        found = await self._left(key, 0.3)
        return None if found is None else await self.taken_over(found, key, text)

    async def _started(self, text: str, key: str) -> AnswerMessage:
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
            "chat.startStream",
            args,
            channel=self._spot.channel,
            is_repeatable=False,
            patience=0,
            before=self._begins,
        )
        return self._stands(answer, key, text, is_stream=True)

    def _stands(
        self, answer: Json, key: str, text: str, *, is_stream: bool = False
    ) -> AnswerMessage:
        ts = ts_of(answer)
        self._trail.keep(ts)
        return AnswerMessage(ts, key, self._now(), is_stream, text, wrote_at=self._now())

    async def _after_refusal(self, part: AnswerMessage, text: str, error: SurfaceError) -> bool:
        log.info("A piece of a stream was refused", extra={"why": code(error)})
        if code(error) == "ratelimited":
            return False
        self._left_stream(part)
        if code(error) == "stopped_by_user":
            raise Stopped from error
        if code(error) not in _OVER:
            # Whether it was written cannot be known; the whole text settles it.
            await self._end_silently(part.ts)
        await self.update(part, text)
        return True

    async def _end_silently(self, ts: str) -> None:
        """A message that is still being streamed cannot be updated."""
        with contextlib.suppress(SurfaceError):
            args = {"channel": self._spot.channel, "ts": ts}
            await self._wire.call("chat.stopStream", args, patience=1)

    async def _left(self, key: str, wait: float) -> str | None:
        """What may have been written all the same; asked after a moment, for Slack to settle."""
        await asyncio.sleep(wait)
        with contextlib.suppress(SurfaceError):
            return await self._trail.find(key)
        return None

    def _left_stream(self, part: AnswerMessage) -> None:
        if part.is_stream:
            part.is_stream = False
            self._slots.give_stream_back()

    def _at(self, part: AnswerMessage) -> dict[str, object]:
        return {"channel": self._spot.channel, "ts": part.ts}


def _drawn(text: str, blocks: list[Json] | None) -> Json:
    """The fallback text is whole too, for whoever reads that alone."""
    whole = next(chunks(escaped(text), LONGEST_TEXT)) or "…"
    return {"text": whole, "blocks": [{"type": "markdown", "text": text or "…"}, *(blocks or ())]}


def _chunks(text: str) -> list[Json]:
    return [{"type": "markdown_text", "text": text}]
