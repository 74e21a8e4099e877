"""Delays password checks after wrong passwords, without locking out the right password."""

from __future__ import annotations

import ipaddress
import secrets
from collections import Counter, OrderedDict, deque
from datetime import datetime, timedelta

from bot.ports.store import Clock

MAX_CONCURRENT_CHECKS = 10
MAX_DELAY = timedelta(seconds=3)

_ATTEMPTS_WITHOUT_PAUSE = 3
_FIRST_PAUSE = timedelta(seconds=0.25)
_WINDOW = timedelta(minutes=15)
_MAX_ADDRESSES = 1000
_MAX_BROWSERS = 1000
_MAX_WRONG_BY_ALL = 300


class LoginThrottle:
    """Counts wrong passwords by client address, in bounded memory.

    The delay is before the check, so its length does not reveal a right password. At most
    `MAX_CONCURRENT_CHECKS` attempts of an address wait at a time, so parallel guessing is not
    faster. A browser that has logged in before is counted by its cookie, so guesses from its
    address do not delay it:
    https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: OrderedDict[str, tuple[int, datetime]] = OrderedDict()
        self._recent_wrong: deque[datetime] = deque(maxlen=_MAX_WRONG_BY_ALL)
        self._waiting: Counter[str] = Counter()
        self._browsers: OrderedDict[str, None] = OrderedDict()

    def remember_browser(self) -> str:
        """Returns a new cookie for a browser that has just logged in."""
        cookie = secrets.token_urlsafe(32)
        self._browsers[cookie] = None
        if len(self._browsers) > _MAX_BROWSERS:
            self._browsers.popitem(last=False)
        return cookie

    def throttle_key(self, address: str, browser: str) -> str:
        """Returns the key that attempts are counted by: a remembered browser, else the address."""
        return browser if browser in self._browsers else address

    async def wait_before_check(self, address: str) -> bool:
        """Waits before a password check; returns False if too many attempts wait already."""
        key = _network(address)
        if self._waiting[key] >= MAX_CONCURRENT_CHECKS:
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
        if len(self._wrong) > _MAX_ADDRESSES:
            self._wrong.popitem(last=False)
        self._recent_wrong.append(now)

    def forgive(self, address: str) -> None:
        self._wrong.pop(_network(address), None)

    def _count(self, key: str) -> int:
        count, last = self._wrong.get(key, (0, self._clock.now()))
        return count if last + _WINDOW > self._clock.now() else 0

    def _pause(self, key: str) -> timedelta:
        is_limit_reached = len(self._recent_wrong) == _MAX_WRONG_BY_ALL
        if is_limit_reached and self._recent_wrong[0] + _WINDOW > self._clock.now():
            return MAX_DELAY
        more = min(self._count(key) - _ATTEMPTS_WITHOUT_PAUSE, 10)
        return min(_FIRST_PAUSE * 2**more, MAX_DELAY) if more >= 0 else timedelta()


def _network(address: str) -> str:
    """Returns the /64 network of an IPv6 address, as one client has a /64; else the address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else address
