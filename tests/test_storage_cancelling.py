"""A cancelled task leaves no open transaction behind, wherever it was."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from sqlalchemy.pool import QueuePool

from storage.database import Database
from tests.stores import ANN, HOME, furnished

pytestmark = pytest.mark.usefixtures("threaded_driver")

TODAY = date(2026, 11, 21)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{tmp_path}/attune.db")
    await furnished(database)
    yield database
    await database.close()


async def spend_twice(store: Database) -> None:
    async with store.writing() as records:
        await records.daily_tokens.add(HOME, ANN, TODAY, 1)
        await records.daily_tokens.add(HOME, ANN, TODAY, 1)


async def spent(store: Database) -> int:
    async with store.reading() as records:
        return (await records.daily_tokens.tokens_of_day(HOME, ANN, TODAY))[0]


async def turns_of_the_loop(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def lent(store: Database) -> int:
    pools = [engine.pool for engine in (store._writers, store._readers)]
    return sum(pool.checkedout() for pool in pools if isinstance(pool, QueuePool))


async def test_a_write_works_at_once_after_a_cancelled_one(store: Database) -> None:
    for moment in range(80):
        before = await spent(store)
        task = asyncio.create_task(spend_twice(store))
        await turns_of_the_loop(moment)

        task.cancel()
        async with asyncio.timeout(2):
            await spend_twice(store)
        await asyncio.wait([task])

        assert await spent(store) - before in (2, 4)
        assert lent(store) == 0


async def test_a_hundred_writers_half_of_them_cancelled(store: Database) -> None:
    chance = random.Random(7)
    tasks = [asyncio.create_task(spend_twice(store)) for _ in range(100)]

    for task in chance.sample(tasks, 50):
        await turns_of_the_loop(chance.randrange(30))
        task.cancel()
    done, _ = await asyncio.wait(tasks)

    unharmed = sum(not task.cancelled() for task in done)
    assert unharmed >= 50
    assert await spent(store) >= 2 * unharmed
    assert await spent(store) % 2 == 0
    assert lent(store) == 0


async def test_a_cancelled_reader_gives_its_connection_back(store: Database) -> None:
    for moment in range(40):
        task = asyncio.create_task(spent(store))
        await turns_of_the_loop(moment)

        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

        assert lent(store) == 0


async def test_a_second_cancel_does_not_tear_the_statement(store: Database) -> None:
    task = asyncio.create_task(spend_twice(store))
    for _ in range(30):
        await asyncio.sleep(0)
        task.cancel()
    await asyncio.wait([task])

    await spend_twice(store)

    assert await spent(store) in (2, 4)
    assert lent(store) == 0


async def test_a_time_limit_inside_a_transaction_ends_as_a_time_limit(store: Database) -> None:
    async def too_long() -> None:
        async with asyncio.timeout(0.01), store.writing() as records:
            await records.daily_tokens.add(HOME, ANN, TODAY, 1)
            await asyncio.sleep(60)

    with pytest.raises(TimeoutError):
        await too_long()

    assert await spent(store) == 0
