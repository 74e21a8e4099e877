"""Publishes the names of changed things to those who watch them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

ALL_TOPICS = "all"
_MAX_QUEUED = 100


class Topics:
    """Topics with a bounded queue for each watcher, which drops its oldest names when full."""

    def __init__(self) -> None:
        self._watchers: set[asyncio.Queue[str]] = set()
        self.news = asyncio.Event()
        """Set by `publish_and_wake`, and cleared by the loop that delivers notices."""

    def publish_and_wake(self, topic: str) -> None:
        """Publishes a change and wakes the delivery of notices."""
        self.publish(topic)
        self.news.set()

    def publish(self, topic: str) -> None:
        for queue in self._watchers:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(topic)

    async def watch(self, topic: str) -> AsyncIterator[str]:
        """Yields the names of later changes of a topic, or "all", until the iterator is closed."""
        queue: asyncio.Queue[str] = asyncio.Queue(_MAX_QUEUED)
        self._watchers.add(queue)
        try:
            while True:
                name = await queue.get()
                if topic in (name, ALL_TOPICS):
                    yield name
        finally:
            self._watchers.discard(queue)
