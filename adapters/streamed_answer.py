"""Shows an answer on a chat platform while the model writes it; a writer hides the platform."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Protocol

from adapters.message_splitting import (
    MAX_CLOSING_FENCE_LENGTH,
    close_code_block,
    cut_position,
    fitting_length,
    reopen_code_block,
    split_off_message,
    utf16_length,
)
from bot.domain import MessageId
from bot.errors import EmptyAnswer, MessageGone, PlaceClosed, SurfaceError
from bot.replies import Button, Stream

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_RETRY_SECONDS = 1.1
_LAST_WRITE_SECONDS = 2.5
"""Time to wait for the write in progress when an answer is aborted."""
_CLOSE_SECONDS = 5.0


class AnswerStopped(Exception):
    """The person stopped the answer with the platform's own stop button."""


@dataclass(slots=True)
class AnswerMessage:
    """A message of an answer, with the text that was written to it and the time of that."""

    id: MessageId
    number: int
    text: str
    written_at: float
    is_full: bool = False
    edits: int = 0


@dataclass(frozen=True, slots=True)
class AnswerButtons:
    """Buttons below the last message; `first_message` is None if it is the last message too."""

    buttons: tuple[Button, ...]
    first_message: MessageId | None


class MessageWriter(Protocol):
    """Writes the messages of one answer on one platform, numbered from 0.

    A text is always the whole text of the message and begins with the text written before. If a
    method raises a SurfaceError, its text counts as not written. `buttons` is None unless the
    answer ends with the message.
    """

    longest: int
    """Maximum UTF-16 code units of a message."""

    def may_show_first_words(self) -> bool:
        """Whether the first words may be shown now; if not, they wait for more text."""
        ...

    async def find_posted(self, number: int) -> MessageId | None:
        """Returns the message with this number that an attempt before a restart has posted."""
        ...

    async def post(self, number: int, text: str, buttons: AnswerButtons | None) -> MessageId: ...

    async def replace(
        self, message: MessageId, number: int, text: str, buttons: AnswerButtons | None
    ) -> None:
        """Overwrites a message of an earlier attempt. Raises MessageGone."""
        ...

    def write_interval(self, message: AnswerMessage) -> float:
        """Returns the seconds between two writes to the message."""
        ...

    def may_extend(self, message: AnswerMessage) -> bool:
        """Whether a write now would leave enough of the rate limit for the ends of answers."""
        ...

    def is_expiring(self, message: AnswerMessage) -> bool:
        """Whether the platform will soon refuse more text for the message."""
        ...

    async def extend(self, message: AnswerMessage, text: str) -> None:
        """Writes more text to a message. Raises AnswerStopped."""
        ...

    async def finish(
        self, message: AnswerMessage, text: str, buttons: AnswerButtons | None
    ) -> None:
        """Writes the last text of a message. Raises AnswerStopped."""
        ...


class StreamedAnswer:
    """Writes one answer; `run` is called once, and cancelling its task stops the answer."""

    def __init__(self, writer: MessageWriter, stream: Stream, *, now: Callable[[], float]) -> None:
        self._writer = writer
        self._stream = stream
        self._now = now
        self._pending = ""
        self._message: AnswerMessage | None = None
        self._first: MessageId | None = None
        self._count = 0
        self._task: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self._ending = asyncio.Event()

    async def run(self) -> MessageId:
        """Writes the answer and returns its first message.

        An error of the stream is raised after the text so far was written.
        """
        try:
            async with aclosing(self._stream.pieces) as pieces:
                async for piece in pieces:
                    self._pending += piece
                    await self._write_or_notify()
            return await self._complete()
        except BaseException as error:
            await self._abort(error)
            raise

    async def _write_or_notify(self) -> None:
        """Posts the first words; later text is written by a task at the writer's pace."""
        if self._task is None:
            if self._may_begin():
                await self._begin()
                self._task = asyncio.create_task(self._write(), name="streamed answer")
            return
        self._news.set()
        if self._task.done():
            self._task.result()

    def _may_begin(self) -> bool:
        is_long = utf16_length(self._pending) > self._max_units
        return bool(self._pending.strip()) and (self._writer.may_show_first_words() or is_long)

    async def _begin(self, *, is_last: bool = False) -> None:
        """Posts the first message and calls `on_posted`, in the task that a stop cancels."""
        await self._open(is_last=is_last)
        assert self._first is not None
        await self._stream.on_posted(self._first)

    async def _open(self, *, is_last: bool = False) -> None:
        """Writes pending text to the next message, with buttons if it ends the answer."""
        number, longest = self._count, self._writer.longest
        unfinished = self._stream.unfinished_message if number == 0 else None
        if unfinished is None:
            unfinished = await self._writer.find_posted(number)
        with self._take_pending() as pending:
            text, rest = split_off_message(pending, longest)
            is_full = bool(rest.strip())
            is_end = is_last and not is_full
            buttons = AnswerButtons(self._stream.buttons(), self._first) if is_end else None
            text = close_code_block(text, longest) if is_end else text
            message = await self._replace_or_post(unfinished, number, text, buttons)
        self._pending = rest + self._pending
        self._count += 1
        if self._first is None:
            self._first = message
        else:
            self._stream.on_continuation_message(message)
        if not is_end:
            self._message = AnswerMessage(message, number, text, self._now(), is_full)

    async def _replace_or_post(
        self, unfinished: MessageId | None, number: int, text: str, buttons: AnswerButtons | None
    ) -> MessageId:
        if unfinished is not None:
            with contextlib.suppress(MessageGone):
                await self._writer.replace(unfinished, number, text, buttons)
                return unfinished
        return await self._writer.post(number, text, buttons)

    @contextlib.contextmanager
    def _take_pending(self) -> Iterator[str]:
        """Takes the pending text; puts it back before newer text if the block fails."""
        pending, self._pending = self._pending, ""
        try:
            yield pending
        except BaseException:
            self._pending = pending + self._pending
            raise

    async def _write(self) -> None:
        """Writes pending text at the writer's pace until the answer ends."""
        while not self._ending.is_set():
            await self._news.wait()
            self._news.clear()
            if self._ending.is_set() or not self._pending:
                continue
            try:
                await self._write_more()
            except AnswerStopped:
                self._stream.on_stopped()
                return
            except (MessageGone, PlaceClosed):
                raise
            except SurfaceError as error:
                log.info("Text of an answer is written later", extra={"why": _error_code(error)})
                await self._sleep(_RETRY_SECONDS)
                self._news.set()

    async def _write_more(self) -> None:
        message = self._message
        if message is None or self._needs_next_message(message):
            await self._next_message()
            return
        await self._sleep(message.written_at + self._writer.write_interval(message) - self._now())
        while not self._ending.is_set() and not self._writer.may_extend(message):
            await self._sleep(_POLL_SECONDS)
        if self._ending.is_set() or self._needs_next_message(message):
            self._news.set()
            return
        try:
            with self._take_pending() as pending:
                await self._writer.extend(message, message.text + pending)
        finally:
            message.written_at = self._now()
        message.text += pending
        message.edits += 1

    async def _sleep(self, seconds: float) -> None:
        """Sleeps, but no longer than until the end of the answer."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._ending.wait()

    def _needs_next_message(self, message: AnswerMessage) -> bool:
        """Whether the pending text must go into the next message."""
        is_expiring = self._writer.is_expiring(message)
        return (
            message.is_full
            or is_expiring
            or utf16_length(self._pending) > self._free_units(message)
        )

    def _free_units(self, message: AnswerMessage) -> int:
        return 0 if message.is_full else max(0, self._max_units - utf16_length(message.text))

    @property
    def _max_units(self) -> int:
        """Maximum UTF-16 code units of a message to which a closing fence may be added."""
        return self._writer.longest - MAX_CLOSING_FENCE_LENGTH

    async def _next_message(self, *, is_last: bool = False) -> None:
        """Finishes the current message and begins the next, which reopens a code block."""
        if self._message is not None:
            await self._fill(self._message)
        if self._pending.strip():
            await self._open(is_last=is_last)
        if self._message is not None and self._pending:
            self._news.set()

    async def _fill(self, message: AnswerMessage) -> None:
        """Finishes a message with as much of the pending text as fits."""
        with self._take_pending() as pending:
            cut = self._cut(message, pending)
            text = message.text + pending[:cut]
            await self._writer.finish(message, close_code_block(text, self._writer.longest), None)
        self._pending = reopen_code_block(text, pending[cut:]) + self._pending
        self._message = None

    def _cut(self, message: AnswerMessage, pending: str) -> int:
        """Returns how many characters of the pending text go into a message to be finished."""
        units = self._free_units(message)
        if utf16_length(pending) > units:
            return cut_position(pending, fitting_length(pending, units))
        return 0 if message.is_full else pending.rfind("\n") + 1 or len(pending)

    async def _complete(self) -> MessageId:
        """Writes the rest of the answer with its buttons. Raises EmptyAnswer without any text."""
        self._end_writing()
        if self._task is not None:
            await self._task
        if self._first is None:
            if not self._pending.strip():
                raise EmptyAnswer(host="–")
            await self._begin(is_last=True)
        with contextlib.suppress(AnswerStopped):
            await self._finish()
        assert self._first is not None
        return self._first

    async def _finish(self) -> None:
        while self._pending.strip() and not self._fits_in_message():
            await self._next_message(is_last=True)
        if self._message is not None:
            first = self._first if self._first != self._message.id else None
            await self._close_or_post(self._message, AnswerButtons(self._stream.buttons(), first))

    async def _close_or_post(self, message: AnswerMessage, buttons: AnswerButtons) -> None:
        """Finishes the last message; if that is refused, tries again without buttons.

        If that is refused too, posts the rest of the text as a message of its own.
        """
        try:
            return await self._close(message, buttons)
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError as error:
            log.warning("The end of an answer was refused", extra={"why": _error_code(error)})
        try:
            await self._close(message, None)
        except (MessageGone, PlaceClosed):
            raise
        except SurfaceError:
            if not self._pending.strip():
                raise
            self._pending = reopen_code_block(message.text, self._pending)
            self._message = None
            await self._open(is_last=True)

    def _fits_in_message(self) -> bool:
        message = self._message
        return message is not None and utf16_length(self._pending) <= self._free_units(message)

    async def _close(self, message: AnswerMessage, buttons: AnswerButtons | None) -> None:
        with self._take_pending() as pending:
            text = message.text + pending[: fitting_length(pending, self._free_units(message))]
            await self._writer.finish(
                message, close_code_block(text, self._writer.longest), buttons
            )
        self._message = None

    def _end_writing(self) -> None:
        self._ending.set()
        self._news.set()

    async def _abort(self, error: BaseException) -> None:
        """Finishes the current message with the text so far, unless the message is gone."""
        self._end_writing()
        if self._task is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LAST_WRITE_SECONDS):
                    await asyncio.gather(self._task, return_exceptions=True)
        message = self._message
        is_gone = isinstance(error, MessageGone | PlaceClosed)
        if message is None or is_gone:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                first = self._first if self._first != message.id else None
                await self._close(message, AnswerButtons(self._stream.buttons(), first))
        except (SurfaceError, TimeoutError, AnswerStopped) as problem:
            log.warning("An answer could not be closed", extra={"why": type(problem).__name__})


def _error_code(error: SurfaceError) -> object:
    return error.details.get("code", error.key)
