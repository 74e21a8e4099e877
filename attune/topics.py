"""Names of what changed, told to everyone who watches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

EVERYTHING = "all"
_MOST_WAITING = 100


class Topics:
    """A watcher that falls behind loses repeats, never the newest name."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Queue[str]] = set()
        self.news = asyncio.Event()
        """Set by `publish_and_wake`; whoever delivers notices clears it."""

    def publish_and_wake(self, topic: str) -> None:
        """Publish, and wake the delivery of notices."""
        self.publish(topic)
        self.news.set()

    def publish(self, topic: str) -> None:
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(topic)

    async def watch(self, topic: str) -> AsyncIterator[str]:
        """From now on, until the iterator is closed."""
        queue: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._watchers.add(queue)
        try:
            while True:
                name = await queue.get()
                if topic in (name, EVERYTHING):
                    yield name
        finally:
            self._watchers.discard(queue)
