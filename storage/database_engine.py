"""SQLAlchemy engines for the database address in the settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path

from sqlalchemy import URL, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection

from bot.errors import SettingsError
from storage.sqlite_driver import connect

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}

MAX_WAL_BYTES = 4 * 1024 * 1024
"""Size to which the write-ahead log is truncated after a checkpoint."""

# NORMAL syncs the disk at checkpoints, not at every commit. If the process is
# killed, nothing is lost, since its commits are with the operating system. If
# the power fails, the last commits may be lost, but the file stays intact. FULL
# would add a sync of several milliseconds to every event.
PRAGMAS = (
    "busy_timeout = 5000",
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "secure_delete = ON",
    # The service checkpoints in the background; this limit is for commands that run without it.
    "wal_autocheckpoint = 40000",
    f"journal_size_limit = {MAX_WAL_BYTES}",
    "cache_size = -4096",
)

# Pooled connections. Many readers at once are usual, and opening one costs more than a query.
_POOL_SIZE = 20


class EngineRole(StrEnum):
    """Purpose of an engine, which decides its isolation level and pragmas."""

    WRITE = "write"
    READ = "read"
    MIGRATE = "migrate"
    LOCK = "lock"


_POSTGRES_OPTIONS: Mapping[EngineRole, dict[str, object]] = {
    EngineRole.READ: {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
    # A connection that waits for hours must not hold a transaction open.
    EngineRole.LOCK: {"isolation_level": "AUTOCOMMIT"},
}


def address_of(url: str) -> URL:
    """Returns the URL with its async driver. Raises SettingsError for an in-memory database."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise _settings_error("it is not an address of a database") from error
    address = address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))
    if is_sqlite(address) and address.database in (None, "", ":memory:"):
        raise _settings_error("a database in memory forgets everything")
    if is_sqlite(address) and str(address.database).lower().startswith("file:"):
        # SQLite would resolve this path differently from the lock file: https://sqlite.org/uri.html
        raise _settings_error("SQLite's own file: addresses are not taken")
    return address


def is_sqlite(address: URL) -> bool:
    return address.get_backend_name() == "sqlite"


def create_file(address: URL) -> None:
    """Creates the file before SQLite does, so that other users of the machine can never read it."""
    if is_sqlite(address) and not (path := Path(address.database or "")).exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as error:
            raise _settings_error(f"{path} cannot be created ({error.strerror})") from error


def engine_for(address: URL, role: EngineRole) -> AsyncEngine:
    """Creates an engine whose pool resets nothing: connections end their own transactions."""
    try:
        if is_sqlite(address):
            return _sqlite_engine(address, role)
        return create_async_engine(
            address,
            pool_reset_on_return=None,
            max_overflow=-1,
            execution_options=_POSTGRES_OPTIONS.get(role, {}),
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise _settings_error(f"the driver of {address.drivername} is not installed") from error


def _sqlite_engine(address: URL, role: EngineRole) -> AsyncEngine:
    # No limit on overflow, so that readers never wait for each other.
    arguments, options = address.get_dialect()().create_connect_args(address)
    engine = create_async_engine(
        address,
        async_creator=partial(connect, *arguments, **options),
        pool_reset_on_return=None,
        pool_size=_POOL_SIZE,
        max_overflow=-1,
    )
    pragmas = [*PRAGMAS]
    if role is not EngineRole.MIGRATE:
        # A migration may drop and recreate a table that other tables refer to.
        pragmas.append("foreign_keys = ON")
    if role is EngineRole.READ:
        pragmas.append("query_only = ON")
    script = ";".join(f"PRAGMA {pragma}" for pragma in pragmas)
    # Without IMMEDIATE, a transaction that reads first and writes later fails at
    # once with SQLITE_BUSY beside another writer, whatever busy_timeout is.
    begin = "BEGIN" if role is EngineRole.READ else "BEGIN IMMEDIATE"

    def connected(connection: DBAPIConnection, record: object) -> None:
        # The driver must not begin transactions of its own:
        # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#sqlite-transactions
        connection.isolation_level = None
        connection.run_async(lambda sqlite: sqlite.executescript(script))

    def do_begin(connection: PoolProxiedConnection) -> None:
        # Bypasses the cursor: one hop to the driver's thread instead of three.
        if driver := connection.dbapi_connection:
            driver.run_async(lambda sqlite: sqlite.execute(begin))

    event.listen(engine.sync_engine, "connect", connected)
    # A method of SQLAlchemy's dialects, empty for SQLite. A listener of the engine's event "begin"
    # would make it look for listeners at every connection and statement.
    vars(engine.sync_engine.dialect).update(do_begin=do_begin)
    return engine


@contextmanager
def translate_connection_errors(address: URL) -> Iterator[None]:
    """Raises SettingsError in place of an error of the driver."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        shown_address = address.render_as_string(hide_password=True)
        raise _settings_error(f"{shown_address} cannot be used ({cause})") from error


def _settings_error(problem: str) -> SettingsError:
    remedy = "Write sqlite:////folder/attune.db or postgresql://user@host/name, or leave it out."
    return SettingsError(variable="DATABASE_URL", problem=problem, remedy=remedy)
