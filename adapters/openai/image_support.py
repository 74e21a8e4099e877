"""Which models of a host accept images, by configured names or by the host's list of models."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatch

from bot.errors import HostError
from bot.ports.model_hosts import RemoteModel

MODEL_LIST_CACHE_SECONDS = 600.0
"""Seconds until the host's list is read again."""


class ImageModels:
    """The models of a host that accept images.

    `patterns` are names with `*`. `list_models` reads the host's list; if that fails, only the
    patterns count.
    """

    def __init__(
        self, patterns: Sequence[str], list_models: Callable[[], Awaitable[Sequence[RemoteModel]]]
    ) -> None:
        self._patterns = patterns
        self._list_models = list_models
        self._listed: set[str] = set()
        self._next_read = 0.0

    async def has(self, *names: str) -> bool:
        """Whether a model accepts images; `names` are all names of the model."""
        if any(fnmatch(name, pattern) for name in names for pattern in self._patterns):
            return True
        now = asyncio.get_running_loop().time()
        if now >= self._next_read:
            self._next_read = now + MODEL_LIST_CACHE_SECONDS
            with contextlib.suppress(HostError):
                models = await self._list_models()
                self._listed = {model.name for model in models if model.takes_pictures}
        return not self._listed.isdisjoint(names)
