"""The typing indicator, sent once for a channel however many people wait there."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from adapters.discord.api_port import TYPING_PATH, Api
from adapters.discord.rate_limits import Priority
from bot.errors import SurfaceError

log = logging.getLogger(__name__)

_DELAY_SECONDS = 0.5
_REPEAT_SECONDS = 8.0


class TypingIndicator:
    """Shows the typing indicator until the first words of an answer, while calls are to spare."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._waiting: dict[str, int] = {}
        self._shown: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def in_channel(self, channel: str) -> AsyncIterator[Callable[[], None]]:
        """Shows the indicator until the yielded function is called or the context ends."""
        is_waiting = True

        def answered() -> None:
            nonlocal is_waiting
            if is_waiting:
                is_waiting = False
                self._leave(channel)

        self._enter(channel)
        try:
            yield answered
        finally:
            answered()

    async def close(self) -> None:
        tasks = list(self._shown.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _enter(self, channel: str) -> None:
        self._waiting[channel] = self._waiting.get(channel, 0) + 1
        if channel not in self._shown:
            task = asyncio.create_task(self._show(channel), name="discord typing")
            self._shown[channel] = task

    def _leave(self, channel: str) -> None:
        self._waiting[channel] -= 1
        if self._waiting[channel] <= 0:
            del self._waiting[channel]
            self._shown.pop(channel).cancel()

    async def _show(self, channel: str) -> None:
        await asyncio.sleep(_DELAY_SECONDS)
        while True:
            if self._api.pacing.has_spare_calls():
                await self._type(channel)
                await asyncio.sleep(_REPEAT_SECONDS)
            else:
                await asyncio.sleep(_DELAY_SECONDS)

    async def _type(self, channel: str) -> None:
        with contextlib.suppress(SurfaceError):
            at = {"channel_id": channel}
            await self._api.call("POST", TYPING_PATH, at, priority=Priority.PROGRESS, patience=0)
