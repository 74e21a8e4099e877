"""How much may be said how fast: fifty calls a second, the most urgent first."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from enum import IntEnum

# https://docs.discord.com/developers/topics/rate-limits#global-rate-limit: fifty requests a
# second; a little more than a second is counted, because requests do not travel equally fast.
_MOST, _WINDOW_SECONDS = 50, 1.08
_KEPT_FOR_PEOPLE = 20
_EDIT_GAP_SECONDS = 1.0
_MOST_CHANNELS = 10_000


class Priority(IntEnum):
    """Who goes first when there are more calls than Discord takes."""

    FIRST_WORDS = 0
    LAST_WORDS = 1
    PLAIN = 2
    PROGRESS = 3


class Pacing:
    """Holds calls back until they may be made, so that Discord need not refuse them."""

    def __init__(self) -> None:
        self._taken: deque[float] = deque()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._edited: dict[str, float] = {}

    async def turn(self, priority: Priority) -> None:
        """Waits for this call's turn and takes it."""
        if not self._waiting and self._left() > 0:
            self._spend()
            return
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (priority, next(self._count), turn))
        self._let_go()
        await turn

    def has_spare_calls(self) -> bool:
        """Whether what could be left out may be said without keeping anybody waiting."""
        return not self._waiting and self._left() > _KEPT_FOR_PEOPLE

    def claim_progress_edit(self, channel: str) -> bool:
        """Takes the channel's turn to show progress, where it has come."""
        now = asyncio.get_running_loop().time()
        if now - self._edited.get(channel, -_EDIT_GAP_SECONDS) < _EDIT_GAP_SECONDS:
            return False
        if len(self._edited) >= _MOST_CHANNELS:
            self._edited.clear()
        self._edited[channel] = now
        return True

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _left(self) -> int:
        now = asyncio.get_running_loop().time()
        while self._taken and self._taken[0] <= now - _WINDOW_SECONDS:
            self._taken.popleft()
        return _MOST - len(self._taken)

    def _spend(self) -> None:
        self._taken.append(asyncio.get_running_loop().time())

    def _let_go(self) -> None:
        """Lets go whom it may, and comes back when the next one may."""
        while self._waiting and self._left() > 0:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._spend()
                turn.set_result(None)
        self.close()
        if self._waiting:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._taken[0] + _WINDOW_SECONDS + 0.001, self._let_go)
