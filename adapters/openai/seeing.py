"""Which models of a host take pictures: by names that somebody gave, or by the host's own list."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatch

from bot.errors import HostError
from bot.ports.provider import RemoteModel

LIST_SECONDS = 600.0
"""For so long the list is not read again."""


class SeeingModels:
    """`listed` reads the host's list; a host that cannot be asked names none."""

    def __init__(
        self, named: Sequence[str], listed: Callable[[], Awaitable[Sequence[RemoteModel]]]
    ) -> None:
        self._named = named
        self._listed = listed
        self._found: set[str] = set()
        self._until = 0.0

    async def has(self, *names: str) -> bool:
        """Whether one of the names of a model is among them."""
        if any(fnmatch(name, known) for name in names for known in self._named):
            return True
        now = asyncio.get_running_loop().time()
        if now >= self._until:
            self._until = now + LIST_SECONDS
            with contextlib.suppress(HostError):
                self._found = {one.name for one in await self._listed() if one.takes_pictures}
        return not self._found.isdisjoint(names)
