"""Removes erased text from the bytes of the database file.

Deleting rows leaves copies in the write-ahead log, and sometimes in gaps of pages that SQLite
balanced, which `secure_delete` does not reach. An erasing transaction therefore adds the names of
the changed tables to `residues`. A small file is then rewritten at once; in a large file these
tables are rewritten in parts, in the background. The log is truncated last. After a crash, the next
start continues; if a reader blocks the log, the next try does.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from bot.ports.cancellation import shielded
from storage.database_engine import MAX_WAL_BYTES, PRAGMAS
from storage.table_rewriting import TableRewrite
from storage.writer_queue import PriorityLock

T = TypeVar("T")

WAL_RESIDUE_NAME = ""
"""Name of the write-ahead log in `residues`."""
_SMALL_BYTES = 4 * 1024 * 1024
_STEPS_PER_CHECKPOINT = 50


class FreePageEraser:
    """Removes erased bytes from one SQLite file; its writes take the lock that all writers use."""

    def __init__(
        self, path: Path, write_lock: PriorityLock, *, small_bytes: int = _SMALL_BYTES
    ) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._write_lock = write_lock
        self._small_bytes = small_bytes

    @property
    def is_small(self) -> bool:
        """Whether the file is small enough to be rewritten whole while writers wait."""
        return self._path.stat().st_size <= self._small_bytes

    @property
    def has_long_log(self) -> bool:
        """Whether the write-ahead log is longer than the size that it is truncated to."""
        try:
            return self._log.stat().st_size > MAX_WAL_BYTES
        except FileNotFoundError:
            return False

    def scrub_whole(self) -> bool:
        """Rewrites the file and truncates its log; returns False if a connection is in the way."""
        with closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as connection:
            try:
                return _scrub_whole(connection)
            except sqlite3.OperationalError:
                return False

    async def checkpoint(self) -> None:
        """Copies a long write-ahead log into the file in two passes.

        A checkpoint by SQLite at a commit would make the writer wait for all of it. The log starts
        over only when all of it is copied, which never happens beside writers; so the rest is
        copied under the write lock.
        """
        if self.has_long_log:
            connection = await shielded(asyncio.to_thread(self._connect))
            try:
                await self._copy_log(connection)
            finally:
                await shielded(asyncio.to_thread(connection.close))

    async def _copy_log(self, connection: sqlite3.Connection) -> None:
        await shielded(asyncio.to_thread(_checkpoint, connection, "PASSIVE"))
        await self._run_locked(lambda: _checkpoint(connection, "PASSIVE"))

    async def scrub_in_parts(self) -> bool:
        """Rewrites the tables in `residues`; returns False if the log cannot be truncated yet."""
        connection = await shielded(asyncio.to_thread(self._connect))
        try:
            rewriting = TableRewrite(connection)
            steps = 0
            while await self._run_locked(rewriting.step):
                steps += 1
                if steps % _STEPS_PER_CHECKPOINT == 0:
                    await self._copy_log(connection)
            await self._copy_log(connection)
            return await self._run_locked(lambda: _truncate_log(connection))
        finally:
            await shielded(asyncio.to_thread(connection.close))

    async def _run_locked(self, work: Callable[[], T]) -> T:
        async with self._write_lock.acquire(is_urgent=False):
            return await shielded(asyncio.to_thread(work))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=5, isolation_level=None, check_same_thread=False
        )
        connection.executescript(";".join(f"PRAGMA {pragma}" for pragma in PRAGMAS))
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection


def has_residue(path: Path) -> bool:
    """Whether rows were erased whose bytes may still be in the file."""
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        (is_pending,) = connection.execute(
            "SELECT EXISTS (SELECT * FROM residues) OR EXISTS "
            "(SELECT * FROM sqlite_schema WHERE name GLOB 'rewritten_*')"
        ).fetchone()
    return bool(is_pending)


def _scrub_whole(connection: sqlite3.Connection) -> bool:
    if connection.execute("SELECT 1 FROM residues WHERE name <> ''").fetchone():
        connection.execute("VACUUM")
        connection.execute("DELETE FROM residues WHERE name <> ''")
    return _truncate_log(connection)


def _truncate_log(connection: sqlite3.Connection) -> bool:
    if not connection.execute("SELECT 1 FROM residues").fetchone():
        return True
    if not _checkpoint(connection, "TRUNCATE"):
        return False
    connection.execute("DELETE FROM residues WHERE name = ''")
    return True


def _checkpoint(connection: sqlite3.Connection, mode: str) -> bool:
    is_busy, _, _ = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return not is_busy
