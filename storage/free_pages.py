"""Removes erased text from the database file itself, not only from its tables.

Deleting leaves copies behind: in the write-ahead log, and now and then in the
gaps of pages that SQLite balanced (`secure_delete` does not reach those). So
an erasing transaction names the tables it changed in `residues`, which commits
with it. A small file is then rewritten at once; of a large one these tables are
rewritten in parts, in the background. The log is emptied last. A crash between
is made good by the next start, an open reader by the next try.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from bot.ports.cancellation import shielded
from storage.database_engine import LOG_BYTES, PRAGMAS
from storage.rewriting import TableRewrite
from storage.writer_queue import PriorityLock

T = TypeVar("T")

LOG = ""
"""Stands in `residues` for the write-ahead log."""
_SMALL_BYTES = 4 * 1024 * 1024
_STEPS_BETWEEN = 50


class FreePageEraser:
    """Removes what erasing left in one SQLite file; writes take turns with everybody else's."""

    def __init__(self, path: Path, turns: PriorityLock, *, small: int = _SMALL_BYTES) -> None:
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._turns = turns
        self._small = small

    @property
    def is_small(self) -> bool:
        """Whether the whole file can be rewritten while others wait."""
        return self._path.stat().st_size <= self._small

    @property
    def has_long_log(self) -> bool:
        try:
            return self._log.stat().st_size > LOG_BYTES
        except FileNotFoundError:
            return False

    def scrub_whole(self) -> bool:
        """Rewrite the file and empty its log; False where somebody is in the way."""
        with closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as connection:
            try:
                return _scrub_whole(connection)
            except sqlite3.OperationalError:
                return False

    async def checkpoint(self) -> None:
        """SQLite's own, at a commit, would make the writer wait for all of it.

        The log begins anew only where nothing is left to be brought over, which
        is never so while others write; hence the last of it in a turn of its own.
        """
        if self.has_long_log:
            connection = await shielded(asyncio.to_thread(self._connect))
            try:
                await self._bring_over(connection)
            finally:
                await shielded(asyncio.to_thread(connection.close))

    async def _bring_over(self, connection: sqlite3.Connection) -> None:
        await shielded(asyncio.to_thread(_checkpoint, connection, "PASSIVE"))
        await self._alone(lambda: _checkpoint(connection, "PASSIVE"))

    async def scrub_in_parts(self) -> bool:
        """Rewrite what is named, part by part; False where the log cannot be emptied yet."""
        connection = await shielded(asyncio.to_thread(self._connect))
        try:
            rewriting = TableRewrite(connection)
            steps = 0
            while await self._alone(rewriting.step):
                steps += 1
                if steps % _STEPS_BETWEEN == 0:
                    await self._bring_over(connection)
            await self._bring_over(connection)
            return await self._alone(lambda: _empty_log(connection))
        finally:
            await shielded(asyncio.to_thread(connection.close))

    async def _alone(self, work: Callable[[], T]) -> T:
        async with self._turns.turn(is_urgent=False):
            return await shielded(asyncio.to_thread(work))

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=5, isolation_level=None, check_same_thread=False
        )
        connection.executescript(";".join(f"PRAGMA {pragma}" for pragma in PRAGMAS))
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        return connection


def has_residue(path: Path) -> bool:
    """Whether something was erased whose bytes may still stand in the file."""
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        (found,) = connection.execute(
            "SELECT EXISTS (SELECT * FROM residues) OR EXISTS "
            "(SELECT * FROM sqlite_schema WHERE name GLOB 'rewritten_*')"
        ).fetchone()
    return bool(found)


def _scrub_whole(connection: sqlite3.Connection) -> bool:
    if connection.execute("SELECT 1 FROM residues WHERE name <> ''").fetchone():
        connection.execute("VACUUM")
        connection.execute("DELETE FROM residues WHERE name <> ''")
    return _empty_log(connection)


def _empty_log(connection: sqlite3.Connection) -> bool:
    if not connection.execute("SELECT 1 FROM residues").fetchone():
        return True
    if not _checkpoint(connection, "TRUNCATE"):
        return False
    connection.execute("DELETE FROM residues WHERE name = ''")
    return True


def _checkpoint(connection: sqlite3.Connection, mode: str) -> bool:
    is_busy, _, _ = connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    return not is_busy
