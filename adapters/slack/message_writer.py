"""Writes the messages of one answer to Slack: streamed while the budget lasts, else updated."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from adapters.message_splitting import chunks
from adapters.slack.api import Api, Before, Json, error_code, is_unknown_method, ts_of
from adapters.slack.outbound import feedback, metadata
from adapters.slack.pacing import FinalCallReservation
from adapters.slack.posted_before_crash import PostedParts
from adapters.slack.texts import LONGEST_MARKDOWN, LONGEST_TEXT, escape
from adapters.streamed_answer import AnswerButtons, AnswerMessage, AnswerStopped
from bot.domain import MessageId, UserId
from bot.errors import MessageGone, PlaceClosed, SurfaceError
from bot.replies import Button

log = logging.getLogger(__name__)

_STREAM_SECONDS = 240.0
"""A stream lives about five minutes from its start; a new one goes on before that."""
_APPEND_PAUSE_SECONDS = 0.65
_UPDATE_PAUSE_SECONDS = 1.5
_UPDATES_KEPT = 15
"""Of the updates a minute, so many are kept beside the last one of every open answer."""
_TRIES = 3
_NOT_STREAMING = (
    "message_not_in_streaming_state",
    "streaming_state_conflict",
    "stream_expired",
)


@dataclass(frozen=True, slots=True)
class AnswerTarget:
    """Where an answer goes, to whom, and the key in its metadata."""

    channel: str
    thread: str | None
    team: str
    asker: UserId
    key: str


class SlackMessageWriter:
    """Implements `MessageWriter`; after a call of unknown outcome it looks before it posts again.

    `begins` is called when it is the turn of the first message's call; `is_new` is False for an
    answer of which an earlier attempt may have posted something. `while_written` stands below
    what is not streamed, as a stream takes no buttons until it ends.
    """

    longest = LONGEST_MARKDOWN

    def __init__(
        self,
        api: Api,
        target: AnswerTarget,
        earlier: PostedParts,
        *,
        reservation: FinalCallReservation,
        begins: Before,
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
        """Since when each message is streamed."""
        self._unsure: set[MessageId] = set()
        """Messages that Slack may still show as being streamed."""

    def may_show_first_words(self) -> bool:
        """False when neither a stream nor the updates to come can be had."""
        # What an earlier attempt has posted is updated, and nobody waits for its first word.
        if self._is_new and self._target.thread and self._api.pacing.may_stream():
            self._reservation.take_stream()
            self._has_reserved_stream = True
        elif self._api.pacing.may_update():
            self._reservation.take_update()
        else:
            return False
        return True

    async def find_posted(self, number: int) -> MessageId | None:
        if self._is_new:
            return None
        found = await self._earlier.find_part(self._key(number))
        return None if found is None else MessageId(found)

    async def post(self, number: int, text: str, buttons: AnswerButtons | None) -> MessageId:
        """Streamed where that is possible now, posted if not and where the answer is whole."""
        if buttons is None and self._take_stream():
            message = await self._start_stream(number, text)
            if message in self._streams:
                return message
            self._reservation.give_stream_back()
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
        self._reservation.take_update()

    def write_interval(self, message: AnswerMessage) -> float:
        is_stream = message.id in self._streams
        return _APPEND_PAUSE_SECONDS if is_stream else _UPDATE_PAUSE_SECONDS

    def may_extend(self, message: AnswerMessage) -> bool:
        if message.id in self._streams:
            return self._api.pacing.has_calls_left("chat.appendStream")
        return self._api.pacing.may_update(reserve=_UPDATES_KEPT)

    def is_expiring(self, message: AnswerMessage) -> bool:
        began = self._streams.get(message.id)
        return began is not None and self._now() - began > _STREAM_SECONDS

    async def extend(self, message: AnswerMessage, text: str) -> None:
        if message.id not in self._streams:
            await self._update(message.id, message.number, text, self._unfinished)
            return
        args = {**self._at(message.id), "chunks": _chunks(text[len(message.text) :])}
        try:
            await self._api.call("chat.appendStream", args, is_repeatable=False, patience=0)
        except asyncio.CancelledError:
            self._leave_stream(message.id)
            raise
        except SurfaceError as error:
            if isinstance(error, MessageGone) or error_code(error) == "ratelimited":
                raise
            log.info("Text for a stream was refused", extra={"why": error_code(error)})
            self._leave_stream(message.id)
            await self._settle(message, text, self._unfinished, error)

    async def finish(
        self, message: AnswerMessage, text: str, buttons: AnswerButtons | None
    ) -> None:
        blocks = _blocks(buttons)
        if message.id not in self._streams:
            is_marked = self._unfinished is not None
            if text != message.text or blocks or is_marked or message.id in self._unsure:
                await self._update(message.id, message.number, text, buttons)
            return
        args = {**self._at(message.id), "metadata": metadata(self._key(message.number))}
        if text != message.text:
            args["chunks"] = _chunks(text[len(message.text) :])
        if blocks:
            args["blocks"] = blocks
        self._leave_stream(message.id)
        try:
            await self._api.call("chat.stopStream", args, is_repeatable=False)
            self._unsure.discard(message.id)
        except SurfaceError as error:
            await self._finish_refused(message, text, buttons, error)

    async def _finish_refused(
        self, message: AnswerMessage, text: str, buttons: AnswerButtons | None, error: SurfaceError
    ) -> None:
        """What Slack's own button has stopped is streamed no more, and may be updated."""
        if error_code(error) != "stopped_by_user":
            await self._settle(message, text, buttons, error)
            return
        try:
            await self._update(message.id, message.number, text, buttons)
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as refused:
            raise AnswerStopped from refused

    async def _settle(
        self, message: AnswerMessage, text: str, buttons: AnswerButtons | None, error: SurfaceError
    ) -> None:
        """Whether a stream took its text may be unknown; the whole text settles it."""
        if isinstance(error, MessageGone):
            raise error
        if error_code(error) == "stopped_by_user":
            raise AnswerStopped from error
        await self._update(message.id, message.number, text, buttons)

    async def _update(
        self, message: MessageId, number: int, text: str, buttons: AnswerButtons | None = None
    ) -> None:
        """A message that is still streamed cannot be updated, so its stream is ended first."""
        args = {
            **self._at(message),
            **_drawn(text, _blocks(buttons)),
            "metadata": metadata(self._key(number)),
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
            await self._api.call("chat.stopStream", self._at(message), patience=1)

    def _take_stream(self) -> bool:
        """The stream that `may_show_first_words` has reserved, or another one."""
        is_reserved, self._has_reserved_stream = self._has_reserved_stream, False
        if is_reserved:
            return True
        if not self._target.thread or not self._api.pacing.may_stream():
            return False
        self._reservation.take_stream()
        return True

    def _leave_stream(self, message: MessageId) -> None:
        del self._streams[message]
        self._unsure.add(message)
        self._reservation.give_stream_back()

    async def _start_stream(self, number: int, text: str) -> MessageId | None:
        """None where Slack does not stream now; a message to update where it might have."""
        target = self._target
        args = {
            **self._new(),
            "recipient_team_id": target.team,
            "recipient_user_id": target.asker,
            "chunks": _chunks(text),
        }
        try:
            answer = await self._call_new("chat.startStream", args, number, patience=0)
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as error:
            log.info("A stream was refused", extra={"why": error_code(error)})
            if is_unknown_method(error):
                self._api.pacing.has_streams = False
            if not error.details.get("is_unknown"):
                return None
            return await self._find_lost(number, text, None, wait=0.3)
        message = self._keep(answer)
        self._streams[message] = self._now()
        return message

    async def _post_once(self, number: int, text: str, buttons: AnswerButtons | None) -> MessageId:
        drawn = _drawn(text, _blocks(buttons))
        args = {**self._new(), **drawn, "metadata": metadata(self._key(number))}
        for attempt in range(_TRIES):
            try:
                message = self._keep(await self._call_new("chat.postMessage", args, number))
                self._reservation.take_update()
                return message
            except SurfaceError as error:
                if not error.details.get("is_unknown") or attempt == _TRIES - 1:
                    raise
                found = await self._find_lost(number, text, buttons, wait=0.3 * 2**attempt)
                if found is not None:
                    return found
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
        """A message that was posted although its call failed; Slack gets `wait` seconds."""
        await asyncio.sleep(wait)
        with contextlib.suppress(SurfaceError):
            found = await self._earlier.find_part(self._key(number))
            if found is not None:
                await self.replace(MessageId(found), number, text, buttons)
                return MessageId(found)
        return None

    def _keep(self, answer: Json) -> MessageId:
        return MessageId(self._earlier.keep(ts_of(answer)))

    def _key(self, number: int) -> str:
        return f"{self._target.key}/{number}" if number else self._target.key

    def _new(self) -> Json:
        return {
            "channel": self._target.channel,
            "thread_ts": self._target.thread,
            "unfurl_links": False,
            "unfurl_media": False,
        }

    def _at(self, message: MessageId) -> Json:
        return {"channel": self._target.channel, "ts": message}


def _blocks(buttons: AnswerButtons | None) -> list[Json]:
    return feedback(buttons.buttons, buttons.first_message) if buttons and buttons.buttons else []


def _drawn(text: str, blocks: list[Json]) -> Json:
    """The fallback text is whole too, for whoever reads that alone."""
    whole = next(chunks(escape(text), LONGEST_TEXT)) or "…"
    return {"text": whole, "blocks": [{"type": "markdown", "text": text or "…"}, *blocks]}


def _chunks(text: str) -> list[Json]:
    return [{"type": "markdown_text", "text": text}]
