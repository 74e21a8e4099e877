"""A fake app that records events and answers them as a test scripts it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta

from bot.domain import WorkspaceId
from bot.events import Event
from bot.ports.dependencies import ProgressCallback
from bot.replies import NoReply, Reply
from bot.words import Words


class StillClock:
    """A clock that advances only by `sleep`."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, wait: timedelta) -> None:
        self._now += wait
        await asyncio.sleep(0)


async def _no_answer(event: Event) -> None:
    return None


class FakeApp:
    """An app that stores every event and passes it to `answer`."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answer: Callable[[Event], Awaitable[None]] = _no_answer
        self.is_busy: Callable[[], bool] = lambda: False
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        if event.key in {earlier.key for earlier in self.events}:
            return None
        self.events.append(event)
        task = asyncio.create_task(self._answer(event), name=f"app: {event.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def handle_for_page(
        self, event: Event, *, progress: ProgressCallback | None = None
    ) -> Reply:
        self.events.append(event)
        return NoReply()

    async def handle_read_only(self, event: Event) -> Reply:
        return NoReply()

    async def watch_changes(self, topic: str) -> AsyncIterator[str]:
        yield topic

    async def is_idle(self, workspace: WorkspaceId) -> bool:
        return not self.is_busy()

    async def has_closed_workspace(self, platform: str) -> bool:
        return False

    def translate(self, key: str, locale: str = "en", /, **details: object) -> str:
        return Words(locale)(key, **details)

    async def _answer(self, event: Event) -> None:
        await self.answer(event)
