"""The answers that are being written right now, so that one can be stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bot.domain import MessageId


@dataclass(frozen=True, slots=True)
class RunningAnswer:
    """One answer, for whoever shows it, in whichever task that is done."""

    _task: asyncio.Task[None]
    _tasks: dict[MessageId, asyncio.Task[None]]
    _stopping: set[asyncio.Task[None]]

    def add(self, message: MessageId) -> None:
        """One more message of the answer, by which it can be stopped too."""
        self._tasks[message] = self._task

    def stop(self) -> None:
        self._stopping.add(self._task)
        self._task.cancel()


class RunningAnswers:
    """The task of each answer by its message; the port is `bot.ports.dependencies`."""

    def __init__(self) -> None:
        self._tasks: dict[MessageId, asyncio.Task[None]] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self.unstored: dict[MessageId, asyncio.Event] = {}

    def stop(self, message: MessageId) -> bool:
        task = self._tasks.get(message)
        if task is None:
            return False
        self._stopping.add(task)
        return task.cancel()

    def answer_of(self, message: MessageId) -> MessageId | None:
        task = self._tasks.get(message)
        return next((first for first, known in self._tasks.items() if known is task), None)

    def begin(self) -> RunningAnswer:
        """The answer that the current task writes."""
        task = asyncio.current_task()
        assert task is not None
        return RunningAnswer(task, self._tasks, self._stopping)

    def is_stopping(self) -> bool:
        return asyncio.current_task() in self._stopping

    @contextmanager
    def storing(self, message: MessageId) -> Iterator[None]:
        """The answer of this task stands in `message`; the block stores so."""
        task = asyncio.current_task()
        if task is not None:
            self._tasks[message] = task
        stored = self.unstored[message] = asyncio.Event()
        try:
            yield
        finally:
            del self.unstored[message]
            stored.set()

    def leave(self) -> None:
        task = asyncio.current_task()
        self._stopping = {known for known in self._stopping if known is not task}
        for message in [known for known, kept in self._tasks.items() if kept is task]:
            del self._tasks[message]
