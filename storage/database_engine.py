"""SQLAlchemy engines from the address in the settings."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from bot.errors import SettingsError
from storage.driver import connect

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
}

LOG_BYTES = 4 * 1024 * 1024
"""What the write-ahead log is cut to once it is in the file."""

# NORMAL syncs the disk at checkpoints, not at every commit. Killing the process
# loses nothing, since what it committed is with the operating system; cutting
# the power may lose the last commits, never the file. FULL would cost every
# event a sync of several milliseconds.
PRAGMAS = (
    "busy_timeout = 5000",
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "secure_delete = ON",
    # The service empties the log beside the writers; this is for who runs without it.
    "wal_autocheckpoint = 40000",
    f"journal_size_limit = {LOG_BYTES}",
    "cache_size = -4096",
)

# A crowd that asks at once reads at once; to open one anew costs more than its question.
_KEPT_OPEN = 20


class EngineRole(StrEnum):
    """What an engine is for."""

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
    """The URL with its async driver; refuses what cannot last."""
    try:
        address = make_url(url)
    except ArgumentError as error:
        raise _wrong("it is not an address of a database") from error
    address = address.set(drivername=_DRIVERS.get(address.drivername, address.drivername))
    if is_sqlite(address) and address.database in (None, "", ":memory:"):
        raise _wrong("a database in memory forgets everything")
    if is_sqlite(address) and str(address.database).lower().startswith("file:"):
        # SQLite would find another file by it than the lock does: https://sqlite.org/uri.html
        raise _wrong("SQLite's own file: addresses are not taken")
    return address


def is_sqlite(address: URL) -> bool:
    return address.get_backend_name() == "sqlite"


def create_file(address: URL) -> None:
    """Make the file before SQLite does, so that nobody else on the machine can ever read it."""
    if is_sqlite(address) and not (path := Path(address.database or "")).exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        except OSError as error:
            raise _wrong(f"{path} cannot be created ({error.strerror})") from error


def engine_for(address: URL, role: EngineRole) -> AsyncEngine:
    """Connections end their own transactions, so the pool resets nothing."""
    try:
        if is_sqlite(address):
            return _sqlite(address, role)
        return create_async_engine(
            address,
            pool_reset_on_return=None,
            max_overflow=-1,
            execution_options=_POSTGRES_OPTIONS.get(role, {}),
        )
    except (NoSuchModuleError, ModuleNotFoundError) as error:
        raise _wrong(f"the driver of {address.drivername} is not installed") from error


def _sqlite(address: URL, role: EngineRole) -> AsyncEngine:
    # Readers are never made to wait for one another, hence no limit to overflow.
    given, options = address.get_dialect()().create_connect_args(address)
    engine = create_async_engine(
        address,
        async_creator=partial(connect, *given, **options),
        pool_reset_on_return=None,
        pool_size=_KEPT_OPEN,
        max_overflow=-1,
    )
    pragmas = [*PRAGMAS]
    if role is not EngineRole.MIGRATE:
        # A migration may have to drop and remake a table that others refer to.
        pragmas.append("foreign_keys = ON")
    if role is EngineRole.READ:
        pragmas.append("query_only = ON")
    script = ";".join(f"PRAGMA {pragma}" for pragma in pragmas)
    # Without IMMEDIATE two transactions that read first and write later would
    # both be refused at once, busy_timeout or not.
    begin = "BEGIN" if role is EngineRole.READ else "BEGIN IMMEDIATE"

    def connected(connection: DBAPIConnection, record: object) -> None:
        # The driver must not begin transactions of its own:
        # https://docs.sqlalchemy.org/en/20/dialects/sqlite.html#sqlite-transactions
        connection.isolation_level = None
        connection.run_async(lambda sqlite: sqlite.executescript(script))

    def began(connection: Connection) -> None:
        # Past the cursor: one way to the driver's thread instead of three.
        if driver := connection.connection.dbapi_connection:
            driver.run_async(lambda sqlite: sqlite.execute(begin))

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "begin", began)
    return engine


@contextmanager
def translate_connection_errors(address: URL) -> Iterator[None]:
    """Say in words that the database cannot be used."""
    try:
        yield
    except (DBAPIError, OSError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        place = address.render_as_string(hide_password=True)
        raise _wrong(f"{place} cannot be used ({cause})") from error


def _wrong(problem: str) -> SettingsError:
    remedy = "Write sqlite:////folder/attune.db or postgresql://user@host/name, or leave it out."
    return SettingsError(variable="DATABASE_URL", problem=problem, remedy=remedy)
