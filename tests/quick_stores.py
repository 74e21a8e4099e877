"""Quick stores: tables are copied, a statement is compiled once, and none waits for a thread."""

from __future__ import annotations

import shutil
import sqlite3
from asyncio import Future
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiosqlite.core import set_exception, set_result
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.database_engine import EngineRole, address_of, engine_for, is_sqlite
from storage.migrations.migrate import migrate
from storage.sqlite_driver import SqliteConnection, connect


class CompiledStatements(dict[tuple[Any, ...], object]):
    """A cache of compiled statements that engines share; SQLAlchemy's keys hold their dialect."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get(_shared(key), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: object) -> None:
        super().__setitem__(_shared(key), compiled)


def _shared(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *statement = key
    return (dialect.name, dialect.driver, *statement)


class AtOnce:
    """In place of the queue of a connection's thread: works in the thread that asks.

    The answer comes with the next turn of the loop, so that other tasks go on in between.
    """

    def put_nowait(self, work: tuple[Future[object] | None, Callable[[], object]]) -> None:
        future, function = work
        tell: Callable[..., None] = set_result
        answer: object
        try:
            answer = function()
        except (sqlite3.Error, ArithmeticError, TypeError, ValueError) as error:
            tell, answer = set_exception, error
        if future is not None:
            future.get_loop().call_soon(tell, future, answer)


class NoThread:
    """In place of a connection's thread."""

    def start(self) -> None:
        """No-op: `AtOnce` needs none."""


async def connect_without_thread(*given: Any, **options: Any) -> SqliteConnection:
    """As `connect`, a third cheaper for each statement."""
    connection = SqliteConnection(partial(sqlite3.connect, *given, **options), 64)
    vars(connection).update(_tx=AtOnce(), _thread=NoThread())
    await connection
    return connection


@pytest.fixture
def threaded_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver as it is, for what is said of statements that take long or are waited for."""
    monkeypatch.setattr("storage.database_engine.connect", connect)


@pytest.fixture(scope="session", autouse=True)
def quick_stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """This is a third of the time of most tests."""
    compiled = CompiledStatements()
    made: list[Path] = []

    def engine_with_cache(address: URL, role: EngineRole) -> AsyncEngine:
        engine = engine_for(address, role)
        engine.sync_engine.update_execution_options(compiled_cache=compiled)
        return engine

    async def copy_or_migrate(url: str) -> None:
        address = address_of(url)
        path = Path(address.database or "")
        if not (is_sqlite(address) and path.is_file() and path.stat().st_size == 0):
            await migrate(url)
            return
        if not made:
            empty = tmp_path_factory.mktemp("store") / "attune.db"
            await migrate(f"sqlite:///{empty}")
            made.append(empty)
        shutil.copyfile(made[0], path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("storage.database.engine_for", engine_with_cache)
        patch.setattr("storage.database.migrate", copy_or_migrate)
        patch.setattr("storage.database_engine.connect", connect_without_thread)
        yield
