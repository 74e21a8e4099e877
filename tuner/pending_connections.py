"""Connections that have sent no whole request yet, of which one address has only so many."""

from __future__ import annotations

from collections.abc import Callable


class PendingConnections:
    """By address, the oldest first; each is known by what closes it."""

    def __init__(self, most_of_one_address: int) -> None:
        self._most = most_of_one_address
        self._by_address: dict[str, dict[Callable[[], None], None]] = {}

    def add(self, address: str, close: Callable[[], None]) -> None:
        """Closes the oldest of the address where it has too many now."""
        pending = self._by_address.setdefault(address, {})
        pending[close] = None
        if len(pending) > self._most:
            next(iter(pending))()

    def remove(self, address: str, close: Callable[[], None]) -> None:
        """Its request has come, or it is gone."""
        pending = self._by_address.get(address, {})
        pending.pop(close, None)
        if not pending:
            self._by_address.pop(address, None)
