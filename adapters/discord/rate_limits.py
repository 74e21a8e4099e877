"""The global rate limit: fifty calls a second, the most urgent ones first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from enum import IntEnum

# https://docs.discord.com/developers/topics/rate-limits#global-rate-limit: fifty requests a second.
# The window is a little longer, because the latency of requests differs.
_CALLS, _WINDOW_SECONDS = 50, 1.08
_RESERVED_CALLS = 20
_EDIT_GAP_SECONDS = 1.0
_MAX_CHANNELS = 10_000


class Priority(IntEnum):
    """Priority of a call while the rate limit is exhausted; lower values go first."""

    FIRST_WORDS = 0
    LAST_WORDS = 1
    PLAIN = 2
    PROGRESS = 3


class Pacing:
    """Delays calls so that Discord does not reject them."""

    def __init__(self) -> None:
        self._call_times: deque[float] = deque()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._last_progress: dict[str, float] = {}

    async def turn(self, priority: Priority) -> None:
        """Waits until the call may be made, and counts it."""
        if not self._waiting and self._remaining() > 0:
            self._count_call()
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._count), turn))
        self._release()
        await turn

    def has_spare_calls(self) -> bool:
        """Whether optional calls may be made without delaying others."""
        return not self._waiting and self._remaining() > _RESERVED_CALLS

    def claim_progress_edit(self, channel: str) -> bool:
        """Whether the channel's answer may show progress now; counts the edit if so."""
        now = asyncio.get_running_loop().time()
        if now - self._last_progress.get(channel, -_EDIT_GAP_SECONDS) < _EDIT_GAP_SECONDS:
            return False
        if len(self._last_progress) >= _MAX_CHANNELS:
            self._last_progress.clear()
        self._last_progress[channel] = now
        return True

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _remaining(self) -> int:
        now = asyncio.get_running_loop().time()
        while self._call_times and self._call_times[0] <= now - _WINDOW_SECONDS:
            self._call_times.popleft()
        return _CALLS - len(self._call_times)

    def _count_call(self) -> None:
        self._call_times.append(asyncio.get_running_loop().time())

    def _release(self) -> None:
        """Releases waiting calls while the limit allows, and schedules the next release."""
        while self._waiting and self._remaining() > 0:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._count_call()
                turn.set_result(None)
        self.close()
        if self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._call_times[0] + _WINDOW_SECONDS + 0.001, self._release)
