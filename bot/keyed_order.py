"""Runs work with the same key in order, while work with other keys does not wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable


class QueueTicket:
    """A place in the queues of one or more keys; `leave` lets the next ticket go on."""

    def __init__(self, last: dict[str, QueueTicket], keys: Iterable[str]) -> None:
        self._last = last
        self._keys = tuple(keys)
        self._before = [last[key] for key in self._keys if key in last]
        self._has_left = asyncio.Event()
        for key in self._keys:
            last[key] = self

    @property
    def is_first(self) -> bool:
        """Whether all earlier tickets of the same keys have left."""
        return all(ticket._has_left.is_set() for ticket in self._before)

    async def wait_turn(self) -> None:
        """Returns once all earlier tickets of the same keys have left."""
        for ticket in self._before:
            await ticket._has_left.wait()
        self._before = []

    def leave(self) -> None:
        """Leaves the queues; further calls have no effect."""
        self._has_left.set()
        for key in self._keys:
            if self._last.get(key) is self:
                del self._last[key]


class KeyedOrder:
    """Queues by key, in memory.

    A ticket joins the queues of all its keys at once, so tickets cannot wait in a circle.
    """

    def __init__(self) -> None:
        self._last: dict[str, QueueTicket] = {}

    def enqueue(self, keys: Iterable[str]) -> QueueTicket:
        """Adds a ticket to the queues of its keys.

        To keep the order of arrival, call this before the first await after an event has arrived.
        """
        return QueueTicket(self._last, keys)
