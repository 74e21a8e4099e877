"""Several who want the same at the same time: asked once, told to all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Found = TypeVar("Found")


class SingleFlight(Generic[Found]):
    """One piece of work serves everybody who waits for it; whoever gives up stops it for nobody."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[Found]] = {}

    async def run(self, key: str, work: Callable[[], Coroutine[Any, Any, Found]]) -> Found:
        asked = self._tasks.get(key)
        if asked is None:
            asked = asyncio.create_task(work(), name="asked once")
            self._tasks[key] = asked
            asked.add_done_callback(lambda _: self._tasks.pop(key, None))
        return await asyncio.shield(asked)
