"""Work about one thing in the order it was asked for; work about other things does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class QueueTicket:
    """A place in the queues of one or more keys; `leave` lets the next one go on."""

    def __init__(self, last: dict[str, QueueTicket], keys: Iterable[str]) -> None:
        self._last = last
        self._keys = tuple(keys)
        self._before = [last[key] for key in self._keys if key in last]
        self._has_left = asyncio.Event()
        for key in self._keys:
            last[key] = self

    @property
    def is_first(self) -> bool:
        return all(ticket._has_left.is_set() for ticket in self._before)

    async def wait_turn(self) -> None:
        """Returns once everything that came before about the same keys is done."""
        for ticket in self._before:
            await ticket._has_left.wait()
        self._before = []

    def leave(self) -> None:
        self._has_left.set()
        for key in self._keys:
            if self._last.get(key) is self:
                del self._last[key]


class KeyedOrder:
    """Queues by key, in memory. Tickets of several keys cannot wait for one another in a circle."""

    def __init__(self) -> None:
        self._last: dict[str, QueueTicket] = {}

    def enqueue(self, keys: Iterable[str]) -> QueueTicket:
        """Without an await between an arrival and this call, the order is that of arrival."""
        return QueueTicket(self._last, keys)
