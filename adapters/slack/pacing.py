"""How much may be said how fast: budgets per method, and one post a second in a channel."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable

_WINDOW_SECONDS = 60.0
_POST_GAP_SECONDS = 1.0

# https://docs.slack.dev/apis/web-api/rate-limits: calls per method, workspace and minute.
_TIER_2, _TIER_3, _TIER_4 = 20, 50, 100
_PER_MINUTE = {
    "assistant.threads.setSuggestedPrompts": _TIER_4,
    "assistant.threads.setTitle": _TIER_4,
    "auth.teams.list": _TIER_2,
    "chat.startStream": _TIER_2,
    "chat.stopStream": _TIER_2,
    "chat.appendStream": _TIER_4,
    "chat.update": _TIER_3,
    "chat.postEphemeral": _TIER_4,
    "conversations.history": _TIER_3,
    "conversations.info": _TIER_3,
    "conversations.open": _TIER_3,
    "conversations.replies": _TIER_3,
    "files.completeUploadExternal": _TIER_4,
    "files.getUploadURLExternal": _TIER_4,
    "files.info": _TIER_4,
    "reactions.add": _TIER_3,
    "usergroups.list": _TIER_2,
    "users.info": _TIER_4,
    "users.list": _TIER_2,
    "views.open": _TIER_4,
    "views.publish": _TIER_4,
    "views.update": _TIER_4,
}
_POSTING = frozenset(("chat.postMessage", "chat.postEphemeral", "chat.startStream"))


class Budget:
    """So many calls in any minute, and none while Slack asks for a pause."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._taken: deque[float] = deque()
        self._closed_until = 0.0

    @property
    def calls_left(self) -> int:
        now = self._now()
        while self._taken and self._taken[0] <= now - _WINDOW_SECONDS:
            self._taken.popleft()
        return 0 if now < self._closed_until else self._most - len(self._taken)

    @property
    def wait_seconds(self) -> float:
        """Seconds until a call may be made."""
        if self.calls_left > 0:
            return 0.0
        free = self._taken[0] + _WINDOW_SECONDS if len(self._taken) >= self._most else 0.0
        return max(self._closed_until, free) - self._now()

    def spend(self) -> None:
        self._taken.append(self._now())

    def give_back(self) -> None:
        """A refused call counts for nothing: else refusals would use the minute up."""
        if self._taken:
            self._taken.pop()

    def close_for(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, self._now() + seconds)


class FinalCallReservation:
    """What one answer holds of the budgets for ends: open streams, and a post not yet whole.

    Leaving the block gives all of it back, also where a start failed or was cancelled.
    """

    def __init__(self, pacing: Pacing) -> None:
        self._pacing = pacing
        self._streams = 0
        self._is_updating = False

    def take_stream(self) -> None:
        self._streams += 1
        self._pacing.streams += 1

    def give_stream_back(self) -> None:
        """Does nothing where none is held."""
        if self._streams:
            self._streams -= 1
            self._pacing.streams -= 1

    def take_update(self) -> None:
        """Counted before anything is awaited, so that a crowd does not count on the same one."""
        if not self._is_updating:
            self._is_updating = True
            self._pacing.updating += 1

    def __enter__(self) -> FinalCallReservation:
        return self

    def __exit__(self, *error: object) -> None:
        self._pacing.streams -= self._streams
        self._pacing.updating -= self._is_updating
        self._streams, self._is_updating = 0, False


class Pacing:
    """Holds calls back until they may be made, so that Slack need not refuse them."""

    def __init__(
        self, now: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._budgets: dict[str, Budget] = {}
        self._next_post: defaultdict[str, float] = defaultdict(float)
        self.streams = 0
        """Streams that are open, each of which will need a stop."""
        self.updating = 0
        """Posts that are not whole yet, each of which will need an update."""
        self.has_streams = True
        """Whether this Slack knows streams at all."""

    async def turn(self, method: str, channel: str | None = None) -> None:
        """Waits for this call's turn and takes it."""
        budget = self.budget(method)
        while (wait := budget.wait_seconds) > 0:
            await self._sleep(wait)
        budget.spend()
        if channel is not None and method in _POSTING:
            await self._post_turn(channel)

    def may_stream(self) -> bool:
        """Whether a stream can be begun now and ended in time."""
        begun = self.budget("chat.startStream").calls_left
        can_end = self.budget("chat.stopStream").calls_left > self.streams
        return self.has_streams and begun > 0 and can_end

    def may_update(self, *, reserve: int = 0) -> bool:
        """Whether there is an update to spare beside the last one of every open answer."""
        return self.budget("chat.update").calls_left > self.updating + reserve

    def has_calls_left(self, method: str, *, reserve: int = 0) -> bool:
        return self.budget(method).calls_left > reserve

    def on_rate_limited(self, method: str, seconds: float, channel: str | None = None) -> None:
        """Slack said 429: the method rests; after a post a second too early, its channel alone."""
        budget = self.budget(method)
        budget.give_back()
        if channel is not None and method in _POSTING and seconds <= _POST_GAP_SECONDS:
            rested = self._now() + seconds
            self._next_post[channel] = max(self._next_post[channel], rested)
        else:
            budget.close_for(seconds)

    def budget(self, method: str) -> Budget:
        if method not in self._budgets:
            self._budgets[method] = Budget(_PER_MINUTE.get(method, 600), self._now)
        return self._budgets[method]

    async def _post_turn(self, channel: str) -> None:
        now = self._now()
        mine = max(now, self._next_post[channel])
        if len(self._next_post) > 10_000:
            self._next_post.clear()
        self._next_post[channel] = mine + _POST_GAP_SECONDS
        if mine > now:
            await self._sleep(mine - now)
