"""Writes the messages of an answer to Slack, streamed while the rate limit allows, else updated."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.message_splitting import split_at_words
from adapters.slack.api_port import Api, BeforeCall, Json, error_code, is_unknown_method, posted_ts
from adapters.slack.block_kit import feedback_blocks, post_metadata
from adapters.slack.posted_before_crash import PostedParts
from adapters.slack.rate_limits import FinalCallReservation
from adapters.slack.text_escaping import MAX_MARKDOWN_LENGTH, MAX_TEXT_LENGTH, escape
from adapters.streamed_answer import AnswerButtons, AnswerMessage, AnswerStopped
from bot.domain import MessageId, UserId
from bot.errors import MessageGone, PlaceClosed, SurfaceError
from bot.replies import Button

log = logging.getLogger(__name__)

_STREAM_SECONDS = 240.0
"""Seconds after which a new stream is started; Slack ends a stream after five minutes."""
_APPEND_PAUSE_SECONDS = 0.65
_UPDATE_PAUSE_SECONDS = 1.5
_RESERVED_UPDATES = 15
"""Updates of a minute that are reserved beside the last one of every open answer."""
_ATTEMPTS = 3
_NOT_STREAMING = (
    "message_not_in_streaming_state",
    "streaming_state_conflict",
    "stream_expired",
)


@dataclass(frozen=True, slots=True)
class AnswerTarget:
    """The channel, thread and asker of an answer, and the key in its metadata."""

    channel: str
    thread: str | None
    team: str
    asker: UserId
    key: str


class SlackMessageWriter:
    """Implements `MessageWriter`; searches for a message before a repeated post.

    `begins` runs when the rate limit lets the first message's call proceed. `is_new` is False if an
    earlier attempt may have posted a part of the answer. `while_written` are buttons below messages
    that are not streamed, as a stream has no buttons until its end.
    """

    longest = MAX_MARKDOWN_LENGTH

    def __init__(
        self,
        api: Api,
        target: AnswerTarget,
        earlier: PostedParts,
        *,
        reservation: FinalCallReservation,
        begins: BeforeCall,
        now: Callable[[], float],
        is_new: bool,
        while_written: Sequence[Button] = (),
    ) -> None:
        self._api = api
        self._target = target
        self._earlier = earlier
        self._reservation = reservation
        self._begins = begins
        self._now = now
        self._is_new = is_new
        self._unfinished = AnswerButtons(tuple(while_written), None) if while_written else None
        self._has_reserved_stream = False
        self._streams: dict[MessageId, float] = {}
        """The start of each open stream by its message, in seconds of the clock."""
        self._unsure: set[MessageId] = set()
        """Messages that Slack may still treat as streams."""

    def may_show_first_words(self) -> bool:
        """Reserves a stream or updates for the answer; returns False if neither is left."""
        # An answer with parts of an earlier attempt is updated, as nobody waits for a first word.
        if self._is_new and self._target.thread and self._api.pacing.may_stream():
            self._reservation.reserve_stream()
            self._has_reserved_stream = True
        elif self._api.pacing.may_update():
            self._reservation.reserve_update()
        else:
            return False
        return True

    async def find_posted(self, number: int) -> MessageId | None:
        if self._is_new:
            return None
        ts = await self._earlier.find_part(self._key(number))
        return None if ts is None else MessageId(ts)

    async def post(self, number: int, text: str, buttons: AnswerButtons | None) -> MessageId:
        """Starts a stream if possible; posts otherwise, and if the answer is whole."""
        if buttons is None and self._reserve_stream():
            message = await self._start_stream(number, text)
            if message in self._streams:
                return message
            self._reservation.return_stream()
            if message is not None:
                return message
        return await self._post_once(number, text, buttons or self._unfinished)

    async def replace(
        self, message: MessageId, number: int, text: str, buttons: AnswerButtons | None
    ) -> None:
        if self._api.pacing.has_calls_left("chat.stopStream", reserve=self._api.pacing.streams):
            self._unsure.add(message)
        await self._update(message, number, text, buttons or self._unfinished)
        self._earlier.keep(message)
        self._reservation.reserve_update()

    def write_interval(self, message: AnswerMessage) -> float:
        is_stream = message.id in self._streams
        return _APPEND_PAUSE_SECONDS if is_stream else _UPDATE_PAUSE_SECONDS

    def may_extend(self, message: AnswerMessage) -> bool:
        if message.id in self._streams:
            return self._api.pacing.has_calls_left("chat.appendStream")
        return self._api.pacing.may_update(reserve=_RESERVED_UPDATES)

    def is_expiring(self, message: AnswerMessage) -> bool:
        started_at = self._streams.get(message.id)
        return started_at is not None and self._now() - started_at > _STREAM_SECONDS

    async def extend(self, message: AnswerMessage, text: str) -> None:
        if message.id not in self._streams:
            await self._update(message.id, message.number, text, self._unfinished)
            return
        args = {**self._message(message.id), "chunks": _chunks(text[len(message.text) :])}
        try:
            await self._api.call("chat.appendStream", args, is_repeatable=False, patience=0)
        except asyncio.CancelledError:
            self._close_stream(message.id)
            raise
        except SurfaceError as error:
            if isinstance(error, MessageGone) or error_code(error) == "ratelimited":
                raise
            log.info("Text for a stream was refused", extra={"why": error_code(error)})
            self._close_stream(message.id)
            await self._write_whole(message, text, self._unfinished, error)

    async def finish(
        self, message: AnswerMessage, text: str, buttons: AnswerButtons | None
    ) -> None:
        blocks = _blocks(buttons)
        if message.id not in self._streams:
            has_buttons = self._unfinished is not None
            if text != message.text or blocks or has_buttons or message.id in self._unsure:
                await self._update(message.id, message.number, text, buttons)
            return
        args = {**self._message(message.id), "metadata": post_metadata(self._key(message.number))}
        if text != message.text:
            args["chunks"] = _chunks(text[len(message.text) :])
        if blocks:
            args["blocks"] = blocks
        self._close_stream(message.id)
        try:
            await self._api.call("chat.stopStream", args, is_repeatable=False)
            self._unsure.discard(message.id)
        except SurfaceError as error:
            await self._finish_after_error(message, text, buttons, error)

    async def _finish_after_error(
        self, message: AnswerMessage, text: str, buttons: AnswerButtons | None, error: SurfaceError
    ) -> None:
        """Updates a message whose stream the user stopped; raises AnswerStopped if that fails."""
        if error_code(error) != "stopped_by_user":
            await self._write_whole(message, text, buttons, error)
            return
        try:
            await self._update(message.id, message.number, text, buttons)
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as refused:
            raise AnswerStopped from refused

    async def _write_whole(
        self, message: AnswerMessage, text: str, buttons: AnswerButtons | None, error: SurfaceError
    ) -> None:
        """Updates the message with the whole text, as the last part may be missing."""
        if isinstance(error, MessageGone):
            raise error
        if error_code(error) == "stopped_by_user":
            raise AnswerStopped from error
        await self._update(message.id, message.number, text, buttons)

    async def _update(
        self, message: MessageId, number: int, text: str, buttons: AnswerButtons | None = None
    ) -> None:
        """Updates a message; ends the stream first, as a streamed message cannot be updated."""
        args = {
            **self._message(message),
            **_content(text, _blocks(buttons)),
            "metadata": post_metadata(self._key(number)),
        }
        if message in self._unsure:
            await self._end_stream(message)
        try:
            await self._api.call("chat.update", args)
        except SurfaceError as error:
            if error_code(error) not in _NOT_STREAMING:
                raise
            await self._end_stream(message)
            await self._api.call("chat.update", args)
        self._unsure.discard(message)

    async def _end_stream(self, message: MessageId) -> None:
        with contextlib.suppress(SurfaceError):
            await self._api.call("chat.stopStream", self._message(message), patience=1)

    def _reserve_stream(self) -> bool:
        """Returns whether a stream is reserved, by `may_show_first_words` or now."""
        is_reserved, self._has_reserved_stream = self._has_reserved_stream, False
        if is_reserved:
            return True
        if not self._target.thread or not self._api.pacing.may_stream():
            return False
        self._reservation.reserve_stream()
        return True

    def _close_stream(self, message: MessageId) -> None:
        del self._streams[message]
        self._unsure.add(message)
        self._reservation.return_stream()

    async def _start_stream(self, number: int, text: str) -> MessageId | None:
        """Starts a stream and returns its message.

        Returns None if Slack rejects the stream, and a message to update if the outcome was
        unknown.
        """
        target = self._target
        args = {
            **self._new_message(),
            "recipient_team_id": target.team,
            "recipient_user_id": target.asker,
            "chunks": _chunks(text),
        }
        try:
            response = await self._call_new("chat.startStream", args, number, patience=0)
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as error:
            log.info("A stream was refused", extra={"why": error_code(error)})
            if is_unknown_method(error):
                self._api.pacing.has_streams = False
            if not error.details.get("is_unknown"):
                return None
            return await self._find_lost(number, text, None, wait=0.3)
        message = self._record(response)
        self._streams[message] = self._now()
        return message

    async def _post_once(self, number: int, text: str, buttons: AnswerButtons | None) -> MessageId:
        content = _content(text, _blocks(buttons))
        args = {**self._new_message(), **content, "metadata": post_metadata(self._key(number))}
        for attempt in range(_ATTEMPTS):
            try:
                message = self._record(await self._call_new("chat.postMessage", args, number))
                self._reservation.reserve_update()
                return message
            except SurfaceError as error:
                if not error.details.get("is_unknown") or attempt == _ATTEMPTS - 1:
                    raise
                lost = await self._find_lost(number, text, buttons, wait=0.3 * 2**attempt)
                if lost is not None:
                    return lost
        raise SurfaceError(message="unreachable")

    async def _call_new(self, method: str, args: Json, number: int, *, patience: int = 6) -> Json:
        return await self._api.call(
            method,
            args,
            channel=self._target.channel,
            is_repeatable=False,
            patience=patience,
            before=self._begins if number == 0 else None,
        )

    async def _find_lost(
        self, number: int, text: str, buttons: AnswerButtons | None, *, wait: float
    ) -> MessageId | None:
        """Returns a message that was posted by a failed call; searches after `wait` seconds."""
        await asyncio.sleep(wait)
        with contextlib.suppress(SurfaceError):
            ts = await self._earlier.find_part(self._key(number))
            if ts is not None:
                await self.replace(MessageId(ts), number, text, buttons)
                return MessageId(ts)
        return None

    def _record(self, response: Json) -> MessageId:
        return MessageId(self._earlier.keep(posted_ts(response)))

    def _key(self, number: int) -> str:
        return f"{self._target.key}/{number}" if number else self._target.key

    def _new_message(self) -> Json:
        return {
            "channel": self._target.channel,
            "thread_ts": self._target.thread,
            "unfurl_links": False,
            "unfurl_media": False,
        }

    def _message(self, message: MessageId) -> Json:
        return {"channel": self._target.channel, "ts": message}


def _blocks(buttons: AnswerButtons | None) -> list[Json]:
    return (
        feedback_blocks(buttons.buttons, buttons.first_message)
        if buttons and buttons.buttons
        else []
    )


def _content(text: str, blocks: list[Json]) -> Json:
    """Returns blocks and the fallback text, which is whole for clients without blocks."""
    fallback = next(split_at_words(escape(text), MAX_TEXT_LENGTH)) or "…"
    return {"text": fallback, "blocks": [{"type": "markdown", "text": text or "…"}, *blocks]}


def _chunks(text: str) -> list[Json]:
    return [{"type": "markdown_text", "text": text}]
