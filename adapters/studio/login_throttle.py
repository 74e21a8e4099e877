"""Wrong passwords: each further one is answered later, and the right one still lets in."""

from __future__ import annotations

import ipaddress
import secrets
from collections import Counter, OrderedDict, deque
from datetime import datetime, timedelta

from bot.ports.store import Clock

MOST_AT_ONCE = 10
LONGEST_PAUSE = timedelta(seconds=3)

_FREE = 3
_FIRST_PAUSE = timedelta(seconds=0.25)
_WITHIN = timedelta(minutes=15)
_MOST_ADDRESSES = 1000
_MOST_BROWSERS = 1000
_MOST_BY_ALL = 300


class LoginThrottle:
    """Counts wrong passwords by client address, in bounded memory.

    A right password waits as long as a wrong one, else its speed would tell it; `MOST_AT_ONCE`
    attempts of an address wait at a time, so guessing in parallel is no faster way. A browser that
    has logged in before is counted by itself, so guesses from its address do not keep it waiting:
    https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, datetime]] = OrderedDict()
        self._by_all: deque[datetime] = deque(maxlen=_MOST_BY_ALL)
        self._waiting: Counter[str] = Counter()
        self._browsers: OrderedDict[str, None] = OrderedDict()

    def remember_browser(self) -> str:
        """The cookie of a browser that has just logged in."""
        cookie = secrets.token_urlsafe(32)
        self._browsers[cookie] = None
        if len(self._browsers) > _MOST_BROWSERS:
            self._browsers.popitem(last=False)
        return cookie

    def throttle_key(self, address: str, browser: str) -> str:
        """Whom an attempt counts for: a browser that is remembered, else the address."""
        return browser if browser in self._browsers else address

    async def wait_before_check(self, address: str) -> bool:
        """Wait before a password is looked at; False where too many from there wait already."""
        key = _network(address)
        if self._waiting[key] >= MOST_AT_ONCE:
            return False
        self._waiting[key] += 1
        try:
            await self._clock.sleep(self._pause(key))
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
        return True

    def note_wrong(self, address: str) -> None:
        key, now = _network(address), self._clock.now()
        self._wrong[key] = (self._count(key) + 1, now)
        self._wrong.move_to_end(key)
        if len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)
        self._by_all.append(now)

    def forgive(self, address: str) -> None:
        self._wrong.pop(_network(address), None)

    def _count(self, key: str) -> int:
        count, last = self._wrong.get(key, (0, self._clock.now()))
        return count if last + _WITHIN > self._clock.now() else 0

    def _pause(self, key: str) -> timedelta:
        is_crowd = len(self._by_all) == _MOST_BY_ALL
        if is_crowd and self._by_all[0] + _WITHIN > self._clock.now():
            return LONGEST_PAUSE
        more = min(self._count(key) - _FREE, 10)
        return min(_FIRST_PAUSE * 2**more, LONGEST_PAUSE) if more >= 0 else timedelta()


def _network(address: str) -> str:
    """One household has a whole /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
