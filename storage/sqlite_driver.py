"""An aiosqlite driver that fetches a statement's first rows in the same thread hop.

aiosqlite switches threads for the cursor, the statement, its rows and the close; most of our
statements return one row.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import aiosqlite

_PREFETCH = 200
_BULK = 10_000

Rows = list[Any]


class SqliteConnection(aiosqlite.Connection):
    """aiosqlite connection whose cursors prefetch rows."""

    def cursor(self) -> Any:
        return SqliteCursor(self)

    async def run_in_thread(self, work: Callable[..., None], *arguments: Any) -> None:
        """Runs a callable in the thread of the connection."""
        execute: Callable[..., Awaitable[None]] = self._execute
        await execute(work, *arguments)


class SqliteCursor:
    """The part of a DB-API cursor that SQLAlchemy uses.

    https://peps.python.org/pep-0249/#cursor-objects
    """

    def __init__(self, connection: SqliteConnection) -> None:
        self._connection = connection
        self._open: sqlite3.Cursor | None = None
        self._rows: Rows = []
        self.description: Any = None
        self.rowcount = -1
        self.lastrowid: int | None = None
        self.arraysize = 1

    async def __aenter__(self) -> SqliteCursor:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> SqliteCursor:
        await self._connection.run_in_thread(self._run, sql, parameters)
        return self

    async def executemany(self, sql: str, parameters: Any) -> SqliteCursor:
        await self._connection.run_in_thread(self._run_many, sql, parameters)
        return self

    async def fetchone(self) -> Any:
        rows = await self.fetchmany(1)
        return rows[0] if rows else None

    async def fetchmany(self, size: int | None = None) -> Sequence[Any]:
        count = self.arraysize if size is None else size
        if len(self._rows) < count and self._open is not None:
            missing = max(_PREFETCH, count - len(self._rows))
            await self._connection.run_in_thread(self._fetch, self._open, missing)
        rows, self._rows = self._rows[:count], self._rows[count:]
        return rows

    async def fetchall(self) -> Sequence[Any]:
        while self._open is not None:
            await self._connection.run_in_thread(self._fetch, self._open, _BULK)
        return await self.fetchmany(len(self._rows))

    async def close(self) -> None:
        cursor, self._open = self._open, None
        if cursor is not None:
            await self._connection.run_in_thread(cursor.close)

    def _run(self, sql: str, parameters: Any) -> None:
        cursor = self._connection._conn.execute(sql, parameters)
        self._rows, self._open, self.description = [], None, cursor.description
        if cursor.description is not None:
            self._fetch(cursor, _PREFETCH)
        # A change with RETURNING has a row count only once its rows are fetched.
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid

    def _run_many(self, sql: str, parameters: Any) -> None:
        cursor = self._connection._conn.executemany(sql, parameters)
        self.rowcount = cursor.rowcount

    def _fetch(self, cursor: sqlite3.Cursor, count: int) -> None:
        """Fetches up to `count` rows; closes the cursor if there are fewer."""
        rows = cursor.fetchmany(count)
        self._rows += rows
        if len(rows) < count:
            cursor.close()
            self._open = None
        else:
            self._open = cursor


async def connect(*arguments: Any, **options: Any) -> SqliteConnection:
    """Opens a connection like `sqlite3.connect`. Its thread is a daemon, so the process can end."""
    connection = SqliteConnection(partial(sqlite3.connect, *arguments, **options), 64)
    connection._thread.daemon = True
    await connection
    return connection
