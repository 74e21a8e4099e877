"""Rate limits: calls of each method a minute, and one post a second in a channel."""

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
    """The calls of a method in the last minute; closed while Slack asks for a pause."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._call_times: deque[float] = deque()
        self._closed_until = 0.0

    @property
    def calls_left(self) -> int:
        now = self._now()
        while self._call_times and self._call_times[0] <= now - _WINDOW_SECONDS:
            self._call_times.popleft()
        return 0 if now < self._closed_until else self._most - len(self._call_times)

    @property
    def wait_seconds(self) -> float:
        """Seconds until a call is allowed."""
        if self.calls_left > 0:
            return 0.0
        free = self._call_times[0] + _WINDOW_SECONDS if len(self._call_times) >= self._most else 0.0
        return max(self._closed_until, free) - self._now()

    def spend(self) -> None:
        """Counts a call."""
        self._call_times.append(self._now())

    def give_back(self) -> None:
        """Uncounts a rejected call, as rejections would otherwise use up the minute."""
        if self._call_times:
            self._call_times.pop()

    def close_for(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, self._now() + seconds)


class FinalCallReservation:
    """The final calls reserved for one answer: stops of open streams and the last update.

    Leaving the `with` block releases all, also after a failed or cancelled start.
    """

    def __init__(self, pacing: Pacing) -> None:
        self._pacing = pacing
        self._streams = 0
        self._is_updating = False

    def reserve_stream(self) -> None:
        self._streams += 1
        self._pacing.streams += 1

    def return_stream(self) -> None:
        """Releases one stream; does nothing if none is reserved."""
        if self._streams:
            self._streams -= 1
            self._pacing.streams -= 1

    def reserve_update(self) -> None:
        """Reserves the last update; call before any await, so that no two answers share it."""
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
    """Delays calls so that Slack does not reject them."""

    def __init__(
        self, now: Callable[[], float], sleep: Callable[[float], Awaitable[object]]
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._budgets: dict[str, Budget] = {}
        self._next_post: defaultdict[str, float] = defaultdict(float)
        self.streams = 0
        """The number of open streams, each of which needs a stop."""
        self.updating = 0
        """The number of unfinished posts, each of which needs a last update."""
        self.has_streams = True
        """Whether the server implements streams."""

    async def turn(self, method: str, channel: str | None = None) -> None:
        """Waits until the call is allowed, and counts it."""
        budget = self.budget(method)
        while (wait := budget.wait_seconds) > 0:
            await self._sleep(wait)
        budget.spend()
        if channel is not None and method in _POSTING:
            await self._post_turn(channel)

    def may_stream(self) -> bool:
        """Whether a stream can be started now and stopped in time."""
        starts = self.budget("chat.startStream").calls_left
        can_end = self.budget("chat.stopStream").calls_left > self.streams
        return self.has_streams and starts > 0 and can_end

    def may_update(self, *, reserve: int = 0) -> bool:
        """Whether an update is left beside the last one of every unfinished answer."""
        return self.budget("chat.update").calls_left > self.updating + reserve

    def has_calls_left(self, method: str, *, reserve: int = 0) -> bool:
        return self.budget(method).calls_left > reserve

    def on_rate_limited(self, method: str, seconds: float, channel: str | None = None) -> None:
        """Closes the method after status 429.

        A post that came a second early closes only its channel.
        """
        budget = self.budget(method)
        budget.give_back()
        if channel is not None and method in _POSTING and seconds <= _POST_GAP_SECONDS:
            free_at = self._now() + seconds
            self._next_post[channel] = max(self._next_post[channel], free_at)
        else:
            budget.close_for(seconds)

    def budget(self, method: str) -> Budget:
        if method not in self._budgets:
            self._budgets[method] = Budget(_PER_MINUTE.get(method, 600), self._now)
        return self._budgets[method]

    async def _post_turn(self, channel: str) -> None:
        now = self._now()
        send_at = max(now, self._next_post[channel])
        if len(self._next_post) > 10_000:
            self._next_post.clear()
        self._next_post[channel] = send_at + _POST_GAP_SECONDS
        if send_at > now:
            await self._sleep(send_at - now)
