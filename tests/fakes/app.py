"""An app that does what a test tells it: events in, scripted answers through the room."""

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
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    async def sleep(self, wait: timedelta) -> None:
        self._now += wait
        await asyncio.sleep(0)


async def _silence(event: Event) -> None:
    return None


class FakeApp:
    """Remembers every event and lets `answer` deal with it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.answer: Callable[[Event], Awaitable[None]] = _silence
        self.is_busy: Callable[[], bool] = lambda: False
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        if event.key in {known.key for known in self.events}:
            return None
        self.events.append(event)
        task = asyncio.create_task(self._answer(event), name=f"house: {event.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def handle_for_page(
        self, event: Event, *, progress: ProgressCallback | None = None
    ) -> Reply:
        self.events.append(event)
        return NoReply()

    async def query(self, event: Event) -> Reply:
        return NoReply()

    async def watch(self, topic: str) -> AsyncIterator[str]:
        yield topic

    async def is_idle(self, workspace: WorkspaceId) -> bool:
        return not self.is_busy()

    async def has_closed(self, platform: str) -> bool:
        return False

    def translate(self, key: str, locale: str = "en", /, **details: object) -> str:
        return Words(locale)(key, **details)

    async def _answer(self, event: Event) -> None:
        await self.answer(event)
