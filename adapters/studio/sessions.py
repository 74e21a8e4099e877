"""Who has logged in, and how often somebody may guess."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections import deque
from datetime import datetime, timedelta

from bot.ports.store import Clock

COOKIE = "attune-session"
LASTS = timedelta(hours=12)

_MOST_WRONG = 5
_WRONG_WITHIN = timedelta(minutes=5)
_MOST_WRONG_BY_ALL = 300
_MOST_KEPT = 1000


class Sessions:
    """Sessions of this process; only their hashes are kept, and they end with it."""

    def __init__(self, password: str, clock: Clock) -> None:
        self._password = password.encode()
        self._clock = clock
        self._until: dict[str, datetime] = {}
        self._wrong: dict[str, deque[datetime]] = {}

    def open(self, password: str, *, address: str) -> str | None:
        """A new session's token; None for a wrong password."""
        if not hmac.compare_digest(password.encode(), self._password):
            self._wrong.setdefault(address, deque()).append(self._clock.now())
            return None
        self._wrong.pop(address, None)
        self._forget_old()
        token = secrets.token_urlsafe(32)
        self._until[_hash(token)] = self._clock.now() + LASTS
        return token

    def knows(self, token: str) -> bool:
        """Looking in makes a session last from now on."""
        key, now = _hash(token), self._clock.now()
        if not token or self._until.get(key, now) <= now:
            self._until.pop(key, None)
            return False
        self._until[key] = now + LASTS
        return True

    def close(self, token: str) -> None:
        self._until.pop(_hash(token), None)

    def is_guessing(self, address: str) -> bool:
        """Too many wrong passwords from there lately, or from everywhere together."""
        self._forget_old()
        here = len(self._wrong.get(address, ()))
        return here >= _MOST_WRONG or sum(map(len, self._wrong.values())) >= _MOST_WRONG_BY_ALL

    def _forget_old(self) -> None:
        now = self._clock.now()
        for address, times in list(self._wrong.items()):
            while times and times[0] + _WRONG_WITHIN <= now:
                times.popleft()
            if not times:
                del self._wrong[address]
        alive = {key: until for key, until in self._until.items() if until > now}
        self._until = dict(list(alive.items())[-_MOST_KEPT:])


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
