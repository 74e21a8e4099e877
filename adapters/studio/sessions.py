"""Who has logged in, by password or token: for how long, and until when at most."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import BaseModel, ValidationError

from bot.ports.store import Clock

COOKIE = "attune-session"
LASTS = timedelta(hours=12)
LONGEST = timedelta(days=7)

_MOST_KEPT = 1000
_SAVED_EVERY = timedelta(minutes=10)


class SessionFile(BaseModel):
    """The token of a studio without a password, and its sessions by the hash of their cookie."""

    token: str
    sessions: Mapping[str, tuple[datetime, datetime]] = {}

    @classmethod
    def read(cls, path: Path) -> SessionFile:
        """A new token where there is none, or none that can be read."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            made = cls(token=secrets.token_urlsafe(32))
            made.write(path)
            return made

    def write(self, path: Path) -> None:
        """For this account alone, whole or not at all."""
        new = path.with_name(f"{path.name}.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600, exist_ok=False)
        new.write_text(self.model_dump_json(), encoding="utf-8")
        new.replace(path)


@dataclass(slots=True)
class _Session:
    begun: datetime
    seen: datetime
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def until(self) -> datetime:
        return min(self.seen + LASTS, self.begun + LONGEST)


class Sessions:
    """Only hashes of cookies are kept: in `file`, else in this process and no longer than it."""

    def __init__(self, secret: str, clock: Clock, *, file: Path | None = None) -> None:
        self._secret = secret
        self._clock = clock
        self._file = file
        self._open: dict[str, _Session] = {}
        self._saved = clock.now()
        if file is not None:
            kept = SessionFile.read(file).sessions
            self._open = {key: _Session(*times) for key, times in kept.items()}

    @property
    def by_token(self) -> bool:
        """Whether the secret is a token of ours, which the address may carry."""
        return self._file is not None

    def open(self, secret: str) -> str | None:
        """A new session's cookie; None for a wrong secret."""
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return None
        cookie, now = secrets.token_urlsafe(32), self._clock.now()
        self._open[_hash(cookie)] = _Session(now, now)
        self._forget_old()
        self._save()
        return cookie

    def is_valid(self, cookie: str, *, is_active: bool = True) -> bool:
        """Activity makes a session last from now on, up to its longest."""
        session, now = self._open.get(_hash(cookie)), self._clock.now()
        if session is None or session.until <= now:
            self.close(cookie)
            return False
        if is_active:
            session.seen = now
            if now - self._saved >= _SAVED_EVERY:
                self._save()
        return True

    def close(self, cookie: str) -> None:
        session = self._open.pop(_hash(cookie), None)
        if session is not None:
            session.closed.set()
            self._save()

    async def wait_for_end(self, cookie: str) -> None:
        """Until the session is closed or its time is over."""
        while (session := self._open.get(_hash(cookie))) and self.is_valid(cookie, is_active=False):
            rest = asyncio.ensure_future(self._clock.sleep(session.until - self._clock.now()))
            closed = asyncio.ensure_future(session.closed.wait())
            try:
                await asyncio.wait({rest, closed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                rest.cancel()
                closed.cancel()

    def _forget_old(self) -> None:
        now = self._clock.now()
        alive = {key: one for key, one in self._open.items() if one.until > now}
        kept = dict(list(alive.items())[-_MOST_KEPT:])
        for key in self._open.keys() - kept.keys():
            self._open[key].closed.set()
        self._open = kept

    def _save(self) -> None:
        self._saved = self._clock.now()
        if self._file is not None:
            sessions = {key: (one.begun, one.seen) for key, one in self._open.items()}
            SessionFile(token=self._secret, sessions=sessions).write(self._file)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
