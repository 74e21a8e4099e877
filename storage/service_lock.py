"""One service per database: a file lock beside SQLite's file, an advisory lock on PostgreSQL."""

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

ADVISORY_KEY = int.from_bytes(b"attune")
"""Advisory locks belong to one database of a server, so one key serves every installation."""
_CHECK_SECONDS = 5.0
_LONGEST_HOLDER = 200

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
    """The lock while it is held."""

    async def keep(self) -> None:
        """Runs until cancelled. Raises DatabaseTaken once another service has the lock."""
        ...


@asynccontextmanager
async def service_lock(url: str, *, holder: str) -> AsyncIterator[ServiceLock]:
    """Hold the lock of a database. Raises DatabaseTaken, naming who holds it already.

    `holder` tells the next one who we are. The lock ends with the process, however it ends.
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
    """Beside the file that symbolic links lead to: SQLite has locks of its own on the file."""
    create_file(address)
    database = Path(address.database or "").resolve()
    _refuse_second_name(database)
    path = database.with_name(f"{database.name}.service")
    try:
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+", encoding="utf-8")
    except OSError as error:
        raise _unusable(f"{path} cannot be written ({error.strerror})") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            known = file.read(_LONGEST_HOLDER).strip()
            raise DatabaseTaken(database=database, holder=known or "–") from error
        file.truncate(0)
        file.write(holder[:_LONGEST_HOLDER])
        file.flush()
        yield


def _refuse_second_name(database: Path) -> None:
    """SQLite finds the write-ahead log by the file's name, so a second name loses data:
    https://sqlite.org/howtocorrupt.html#_multiple_links_to_the_same_file."""
    if database.stat().st_nlink > 1:
        raise _unusable(f"{database} has a second name (a hard link), and SQLite would lose data")


class _FileLock:
    async def keep(self) -> None:
        """The kernel keeps it as long as the file is open."""
        await asyncio.Event().wait()


class _AdvisoryLock:
    """Held by one connection of its own: the server lets go of it when the connection ends."""

    def __init__(self, address: URL, holder: str) -> None:
        self._address = address
        self._holder = holder
        self._engine = engine_for(address, EngineRole.LOCK)
        self._connection: AsyncConnection | None = None

    async def acquire(self) -> None:
        with translate_connection_errors(self._address):
            self._connection = await self._engine.connect()
            await self._connection.execute(_SET_NAME, {"holder": f"attune {self._holder}"[:63]})
            taken = await self._connection.execute(_TRY_LOCK, {"key": ADVISORY_KEY})
            if not taken.scalar():
                found = (await self._connection.execute(_HOLDER, {"key": ADVISORY_KEY})).first()
                raise DatabaseTaken(
                    database=self._address.render_as_string(hide_password=True),
                    holder=" ".join(str(part) for part in found if part) if found else "–",
                )

    async def keep(self) -> None:
        """A connection that broke has lost the lock, so it is taken anew or the service ends."""
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
            found = await self._connection.execute(_IS_HELD, {"key": ADVISORY_KEY})
            return bool(found.scalar())
        except (DBAPIError, OSError):
            return False

    async def release(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.invalidate()
            await connection.close()
        await self._engine.dispose()


def _unusable(problem: str) -> SettingsError:
    remedy = "Name another database."
    return SettingsError(variable="DATABASE_URL", problem=problem, remedy=remedy)
