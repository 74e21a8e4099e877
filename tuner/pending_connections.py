"""Connections without a complete request, of which each address has a limited number."""

from __future__ import annotations

from collections.abc import Callable


class PendingConnections:
    """Pending connections by address, oldest first; a connection's key is its close function."""

    def __init__(self, limit_per_address: int) -> None:
        self._limit = limit_per_address
        self._by_address: dict[str, dict[Callable[[], None], None]] = {}

    def add(self, address: str, close: Callable[[], None]) -> None:
        """Adds a connection, and closes the oldest one of the address if it now has too many."""
        pending = self._by_address.setdefault(address, {})
        pending[close] = None
        if len(pending) > self._limit:
            next(iter(pending))()

    def remove(self, address: str, close: Callable[[], None]) -> None:
        """Removes a connection whose request is complete or that is closed."""
        pending = self._by_address.get(address, {})
        pending.pop(close, None)
        if not pending:
            self._by_address.pop(address, None)
