"""Single flight: concurrent callers with the same key share one execution of the work."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Shares running work by key; cancelling one caller does not cancel the work."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[T]] = {}

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Returns the result of the running work with this key; starts `work` if there is none."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.create_task(work(), name="single flight")
            self._tasks[key] = task
            task.add_done_callback(lambda ended: self._forget(key, ended))
        return await asyncio.shield(task)

    def _forget(self, key: str, task: asyncio.Task[T]) -> None:
        """Removes an ended task; reads its exception, which nobody may be waiting for any more."""
        self._tasks.pop(key, None)
        if not task.cancelled():
            task.exception()
