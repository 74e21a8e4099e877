"""Sessions after a login by password or token, with their idle and absolute time limits."""

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

SESSION_COOKIE = "attune-session"
IDLE_LIFETIME = timedelta(hours=12)
MAX_LIFETIME = timedelta(days=7)

_MAX_SESSIONS = 1000
_SAVED_EVERY = timedelta(minutes=10)


class SessionFile(BaseModel):
    """The token of a studio without a password, and its sessions by the hash of their cookie.

    A session is stored as its start and its last activity.
    """

    token: str
    sessions: Mapping[str, tuple[datetime, datetime]] = {}

    @classmethod
    def read(cls, path: Path) -> SessionFile:
        """Reads the file; creates one with a new token if it is missing or unreadable."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            created = cls(token=secrets.token_urlsafe(32))
            created.write(path)
            return created

    def write(self, path: Path) -> None:
        """Writes the file atomically, readable only by its owner."""
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
        return min(self.seen + IDLE_LIFETIME, self.begun + MAX_LIFETIME)


class Sessions:
    """The open sessions by the hash of their cookie; saved in `file`, if given, for a restart."""

    def __init__(self, secret: str, clock: Clock, *, file: Path | None = None) -> None:
        self._secret = secret
        self._clock = clock
        self._file = file
        self._sessions: dict[str, _Session] = {}
        self._saved = clock.now()
        if file is not None:
            stored = SessionFile.read(file).sessions
            self._sessions = {key: _Session(*times) for key, times in stored.items()}

    @property
    def by_token(self) -> bool:
        """Whether the secret is a generated token, which may be in the address."""
        return self._file is not None

    def open(self, secret: str) -> str | None:
        """Opens a session and returns its cookie; None for a wrong secret."""
        if not hmac.compare_digest(secret.encode(), self._secret.encode()):
            return None
        cookie, now = secrets.token_urlsafe(32), self._clock.now()
        self._sessions[_hash(cookie)] = _Session(now, now)
        self._drop_expired()
        self._save()
        return cookie

    def is_valid(self, cookie: str, *, is_active: bool = True) -> bool:
        """Whether the cookie's session is open; extends it by `IDLE_LIFETIME` if `is_active`."""
        session, now = self._sessions.get(_hash(cookie)), self._clock.now()
        if session is None or session.until <= now:
            self.close(cookie)
            return False
        if is_active:
            session.seen = now
            if now - self._saved >= _SAVED_EVERY:
                self._save()
        return True

    def close(self, cookie: str) -> None:
        session = self._sessions.pop(_hash(cookie), None)
        if session is not None:
            session.closed.set()
            self._save()

    async def wait_for_end(self, cookie: str) -> None:
        """Waits until the session is closed or expires."""
        while (session := self._sessions.get(_hash(cookie))) and self.is_valid(
            cookie, is_active=False
        ):
            expiry = asyncio.ensure_future(self._clock.sleep(session.until - self._clock.now()))
            closed = asyncio.ensure_future(session.closed.wait())
            try:
                await asyncio.wait({expiry, closed}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                expiry.cancel()
                closed.cancel()

    def _drop_expired(self) -> None:
        now = self._clock.now()
        valid = {key: session for key, session in self._sessions.items() if session.until > now}
        newest = dict(list(valid.items())[-_MAX_SESSIONS:])
        for key in self._sessions.keys() - newest.keys():
            self._sessions[key].closed.set()
        self._sessions = newest

    def _save(self) -> None:
        self._saved = self._clock.now()
        if self._file is not None:
            sessions = {
                key: (session.begun, session.seen) for key, session in self._sessions.items()
            }
            SessionFile(token=self._secret, sessions=sessions).write(self._file)


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
