"""The answers that are being written right now, so that one can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bot.domain import MessageId, UserId
from bot.events import Event, MessageEdited, MessageReceived


@dataclass(slots=True)
class RunningAnswer:
    """One answer, for whoever shows it, in whichever task that is done."""

    task: asyncio.Task[None]
    asker: UserId
    names: set[str]
    message: MessageId | None = None
    is_stopping: bool = field(default=False)

    def add(self, message: MessageId) -> None:
        """One more message of the answer, by which it can be stopped too."""
        self.names.add(message)

    def stop(self) -> None:
        """Once is enough: a second time would end what the first one leaves to be stored."""
        if not self.is_stopping:
            self.is_stopping = True
            self.task.cancel()


class RunningAnswers:
    """The task of each answer by its messages; the port is `bot.ports.dependencies`.

    Before its first message it goes by the key of the event that asks for it, and by the message
    of the question.
    """

    def __init__(self) -> None:
        self._answers: list[RunningAnswer] = []
        self.unstored: dict[MessageId, asyncio.Event] = {}

    def find_by_name(self, name: str) -> RunningAnswer | None:
        return next((one for one in self._answers if name in one.names), None)

    def begin(self, event: Event) -> RunningAnswer:
        """The answer that the current task works on."""
        known = self._own()
        if known is not None:
            return known
        task = asyncio.current_task()
        assert task is not None
        names: set[str] = {event.key}
        match event.what:
            case MessageReceived(message=question):
                names.add(question.id)
            case MessageEdited(message=edited):
                names.add(edited)
        begun = RunningAnswer(task, event.user.id, names)
        self._answers.append(begun)
        return begun

    async def until_stopped(self, work: Awaitable[None]) -> None:
        """The work of the current task, to its end or until somebody stops the answer in it."""
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.is_stopping() or task is None:
                raise
            task.uncancel()
        finally:
            self.leave()

    def is_stopping(self) -> bool:
        own = self._own()
        return own is not None and own.is_stopping

    @contextmanager
    def storing(self, message: MessageId) -> Iterator[None]:
        """The answer of this task stands in `message`; the block stores so."""
        if (own := self._own()) is not None:
            own.message = own.message or message
            own.add(message)
        stored = self.unstored[message] = asyncio.Event()
        try:
            yield
        finally:
            del self.unstored[message]
            stored.set()

    def leave(self) -> None:
        """The current task works on no answer any more."""
        task = asyncio.current_task()
        self._answers = [one for one in self._answers if one.task is not task]

    def _own(self) -> RunningAnswer | None:
        task = asyncio.current_task()
        return next((one for one in self._answers if one.task is task), None)
