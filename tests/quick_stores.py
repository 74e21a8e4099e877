"""Stores that open quickly: tables are copied, and a statement is compiled once a process."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import AsyncEngine

from storage.database_engine import EngineRole, address_of, engine_for, is_sqlite
from storage.migrations import migrate


class CompiledStatements(dict[tuple[Any, ...], object]):
    """A cache of compiled statements that engines share; SQLAlchemy's keys hold their dialect."""

    def get(self, key: tuple[Any, ...], default: Any = None) -> Any:
        return super().get(_shared(key), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: object) -> None:
        super().__setitem__(_shared(key), compiled)


def _shared(key: tuple[Any, ...]) -> tuple[Any, ...]:
    dialect, *statement = key
    return (dialect.name, dialect.driver, *statement)


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
        yield
