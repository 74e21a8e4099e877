"""Registry of the answers in progress, so that users can stop them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bot.domain import MessageId, UserId
from bot.events import Event, MessageEdited, MessageReceived


@dataclass(slots=True)
class RunningAnswer:
    """An answer in progress; `names` are its event key and the ids of its messages."""

    task: asyncio.Task[None]
    asker: UserId
    names: set[str]
    message: MessageId | None = None
    is_stopping: bool = field(default=False)

    def add_message(self, message: MessageId) -> None:
        """Adds a message of the answer, by which it can be stopped."""
        self.names.add(message)

    def cancel_task(self) -> None:
        """Cancels the task, only once: a second cancellation would interrupt its storing."""
        if not self.is_stopping:
            self.is_stopping = True
            self.task.cancel()


class RunningAnswers:
    """Implements `bot.ports.dependencies.RunningAnswers`.

    An answer is found by its event's key, by the message of its question, and by its own messages
    once they are posted.
    """

    def __init__(self) -> None:
        self._answers: list[RunningAnswer] = []
        self.turn_stored_events: dict[MessageId, asyncio.Event] = {}

    def find_by_message_or_event(self, name: str) -> RunningAnswer | None:
        return next((answer for answer in self._answers if name in answer.names), None)

    def register_current_task(self, event: Event) -> RunningAnswer:
        """Returns the current task's answer; registers it if there is none."""
        existing = self._current_answer()
        if existing is not None:
            return existing
        task = asyncio.current_task()
        assert task is not None
        names: set[str] = {event.key}
        match event.what:
            case MessageReceived(message=question):
                names.add(question.id)
            case MessageEdited(message=edited):
                names.add(edited)
        answer = RunningAnswer(task, event.user.id, names)
        self._answers.append(answer)
        return answer

    async def until_stopped(self, work: Awaitable[None]) -> None:
        """Awaits `work` to its end, or until a user stops the current task's answer."""
        try:
            await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not self.is_stopping() or task is None:
                raise
            task.uncancel()
        finally:
            self.unregister_current_task()

    def is_stopping(self) -> bool:
        own = self._current_answer()
        return own is not None and own.is_stopping

    @contextmanager
    def storing_turn_of(self, message: MessageId) -> Iterator[None]:
        """Registers a posted message of the current answer while the block stores its turn."""
        if (own := self._current_answer()) is not None:
            own.message = own.message or message
            own.add_message(message)
        stored = self.turn_stored_events[message] = asyncio.Event()
        try:
            yield
        finally:
            del self.turn_stored_events[message]
            stored.set()

    def unregister_current_task(self) -> None:
        """Removes the current task's answer."""
        task = asyncio.current_task()
        self._answers = [answer for answer in self._answers if answer.task is not task]

    def _current_answer(self) -> RunningAnswer | None:
        """Returns the current task's answer."""
        task = asyncio.current_task()
        return next((answer for answer in self._answers if answer.task is task), None)
