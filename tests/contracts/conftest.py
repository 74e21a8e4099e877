"""Stores under the contract: always SQLite in a file, and PostgreSQL if one is configured."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.ports.store import Store
from storage.database import Database
from storage.database_engine import EngineRole, address_of, engine_for

POSTGRES = os.environ.get("ATTUNE_TEST_POSTGRES")


@pytest.fixture(params=["sqlite", *(["postgres"] if POSTGRES else [])])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """Yields an empty store per database."""
    url = f"sqlite:///{tmp_path}/attune.db"
    if request.param == "postgres" and POSTGRES:
        url = POSTGRES
        await emptied(url)
    database = await Database.open(url)
    yield database
    await database.close()


async def emptied(url: str) -> None:
    """Drops and recreates the schema of a PostgreSQL database."""
    engine = engine_for(address_of(url), EngineRole.MIGRATE)
    async with engine.begin() as connection:
        await connection.execute(text("DROP SCHEMA public CASCADE"))
        await connection.execute(text("CREATE SCHEMA public"))
    await engine.dispose()
