"""The database: one writing transaction at a time, any number of reading transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from bot.ports.cancellation import shielded
from storage.connection import Connection
from storage.database_engine import EngineRole, address_of, create_file, engine_for, is_sqlite
from storage.free_pages import WAL_RESIDUE_NAME, FreePageEraser, has_residue
from storage.migrations.migrate import migrate
from storage.records import Records
from storage.tables import residues
from storage.writer_queue import PriorityLock


class Database:
    """SQLite or PostgreSQL database of all records.

    A transaction committed by `writing` survives the death of the process. If a task is cancelled
    inside a transaction, the running statement finishes first and the transaction is rolled back.
    If the running statement is the commit, the whole transaction stays.
    """

    def __init__(self, address: URL) -> None:
        self._writers = engine_for(address, EngineRole.WRITE)
        self._readers = engine_for(address, EngineRole.READ)
        self._write_lock = PriorityLock()
        path = Path(address.database or "") if is_sqlite(address) else None
        self._eraser = FreePageEraser(path, self._write_lock) if path else None
        self._writer: asyncio.Task[object] | None = None
        self.has_work = asyncio.Event()
        """Event that is set when `checkpoint` or `scrub` has something to do."""
        self._has_residue = path is not None and has_residue(path)

    @classmethod
    async def open(cls, url: str) -> Database:
        """Opens the database; creates or migrates it first if necessary."""
        address = address_of(url)
        create_file(address)
        await migrate(url)
        database = cls(address)
        await database._scrub_small()
        return database

    async def close(self) -> None:
        await self._writers.dispose()
        await self._readers.dispose()
        await self._scrub_small()

    async def checkpoint(self) -> None:
        """Copies the write-ahead log into the file; writers wait only for the last part of it."""
        if self._eraser:
            await self._eraser.checkpoint()

    async def scrub(self) -> None:
        """Removes the bytes of erased rows from the file in parts, if there are any."""
        if self._eraser and self._has_residue:
            self._has_residue = False
            try:
                is_done = await self._eraser.scrub_in_parts()
                self._has_residue = self._has_residue or not is_done
            except BaseException:
                self._has_residue = True
                raise

    @asynccontextmanager
    async def writing(self, *, is_urgent: bool = False) -> AsyncIterator[Records]:
        if self._writer is asyncio.current_task():
            raise RuntimeError("a task that is writing would wait for itself")
        # Waiting for this lock costs nothing, while SQLite would poll for its own.
        async with self._write_lock.acquire(is_urgent=is_urgent):
            self._writer = asyncio.current_task()
            try:
                async with _transaction(self._writers) as connection:
                    yield Records(connection)
                    if connection.has_erased and self._eraser:
                        self._has_residue = True
                        await _add_residues(connection)
                await self._scrub_small()
                if self._has_residue or (self._eraser and self._eraser.has_long_log):
                    self.has_work.set()
            finally:
                self._writer = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Records]:
        async with _transaction(self._readers) as connection:
            yield Records(connection)

    async def _scrub_small(self) -> None:
        """Scrubs a small file at once, which takes no longer than any other write."""
        eraser = self._eraser
        if eraser and self._has_residue and eraser.is_small:
            self._has_residue = not await shielded(asyncio.to_thread(eraser.scrub_whole))


@asynccontextmanager
async def _transaction(engine: AsyncEngine) -> AsyncIterator[Connection]:
    connection = engine.connect()
    try:
        await shielded(_begin(connection))
        yield Connection(connection)
        await shielded(connection.commit())
    finally:
        # Closing rolls back an uncommitted transaction.
        if connection.sync_connection is not None:
            await shielded(connection.close())


async def _add_residues(connection: Connection) -> None:
    names = [WAL_RESIDUE_NAME, *sorted(connection.changed_tables)]
    insert = connection.insert(residues).on_conflict_do_nothing()
    await connection.execute_for_each(insert, [{"name": name} for name in names])


async def _begin(connection: AsyncConnection) -> None:
    await connection.start()
    await connection.begin()
