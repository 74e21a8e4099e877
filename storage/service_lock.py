"""One service per database: a lock file for SQLite, an advisory lock on PostgreSQL."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Protocol

from sqlalchemy import URL, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.errors import DatabaseTaken, SettingsError
from storage.database_engine import (
    EngineRole,
    address_of,
    create_file,
    engine_for,
    is_sqlite,
    translate_connection_errors,
)

log = logging.getLogger(__name__)

ADVISORY_LOCK_KEY = int.from_bytes(b"attune")
"""Key of the advisory lock. Locks are per database, so all installations use the same key."""
_CHECK_SECONDS = 5.0
_MAX_HOLDER_LENGTH = 200

_SET_NAME = text("SELECT set_config('application_name', :holder, false)")
_TRY_LOCK = text("SELECT pg_try_advisory_lock(:key)")
_IS_HELD = text(
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1"
    " AND pid = pg_backend_pid() AND (classid::bigint << 32) + objid::bigint = :key"
)
_HOLDER = text(
    "SELECT a.application_name, a.client_addr::text, a.backend_start"
    " FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
    " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    " AND (l.classid::bigint << 32) + l.objid::bigint = :key"
)


class ServiceLock(Protocol):
    """A held lock of a database."""

    async def keep(self) -> None:
        """Runs until cancelled. Raises DatabaseTaken when another service has taken the lock."""
        ...


@asynccontextmanager
async def service_lock(url: str, *, holder: str) -> AsyncIterator[ServiceLock]:
    """Holds the lock of a database. Raises DatabaseTaken with the current holder's name.

    `holder` is the name that another service is shown. The lock ends with the process.
    """
    address = address_of(url)
    if is_sqlite(address):
        with _file_lock(address, holder):
            yield _FileLock()
        return
    lock = _AdvisoryLock(address, holder)
    try:
        await lock.acquire()
        yield lock
    finally:
        await lock.release()


@contextmanager
def _file_lock(address: URL, holder: str) -> Iterator[None]:
    """Locks a file beside the resolved database file: SQLite locks the database file itself."""
    create_file(address)
    database = Path(address.database or "").resolve()
    _refuse_hard_links(database)
    path = database.with_name(f"{database.name}.service")
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
    except OSError as error:
        raise _settings_error(f"{path} cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            current = file.read(_MAX_HOLDER_LENGTH).strip()
            raise DatabaseTaken(database=database, holder=current or "–") from error
        file.truncate(0)
        file.write(holder[:_MAX_HOLDER_LENGTH])
        file.flush()
        yield


def _refuse_hard_links(database: Path) -> None:
    """Raises SettingsError if the file has hard links.

    SQLite finds the write-ahead log by the file's name, so a second name loses data:
    https://sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file
    """
    if database.stat().st_nlink > 1:
        raise _settings_error(
            f"{database} has a second name (a hard link), and SQLite would lose data"
        )


class _FileLock:
    async def keep(self) -> None:
        """Waits until cancelled; the kernel holds the lock while the file is open."""
        await asyncio.Event().wait()


class _AdvisoryLock:
    """An advisory lock, held by a connection of its own; it ends with the connection."""

    def __init__(self, address: URL, holder: str) -> None:
        self._address = address
        self._holder = holder
        self._engine = engine_for(address, EngineRole.LOCK)
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> None:
        with translate_connection_errors(self._address):
            self._connection = await self._engine.connect()
            await self._connection.execute(_SET_NAME, {"holder": f"attune {self._holder}"[:63]})
            result = await self._connection.execute(_TRY_LOCK, {"key": ADVISORY_LOCK_KEY})
            if not result.scalar():
                current = (
                    await self._connection.execute(_HOLDER, {"key": ADVISORY_LOCK_KEY})
                ).first()
                raise DatabaseTaken(
                    database=self._address.render_as_string(hide_password=True),
                    holder=" ".join(str(part) for part in current if part) if current else "–",
                )

    async def keep(self) -> None:
        """Checks the lock and takes it again after a lost connection. Raises DatabaseTaken."""
        while True:
            await asyncio.sleep(_CHECK_SECONDS)
            if await self._is_held():
                continue
            log.warning("The lock of the database is taken anew")
            await self.release()
            try:
                await self.acquire()
            except DatabaseTaken:
                raise
            except SettingsError:
                log.warning("The database cannot be reached")

    async def _is_held(self) -> bool:
        if self._connection is None:
            return False
        try:
            result = await self._connection.execute(_IS_HELD, {"key": ADVISORY_LOCK_KEY})
            return bool(result.scalar())
        except (DBAPIError, OSError):
            return False

    async def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()
        await self._engine.dispose()


def _settings_error(problem: str) -> SettingsError:
    remedy = "Name another database."
    return SettingsError(variable="DATABASE_URL", problem=problem, remedy=remedy)
