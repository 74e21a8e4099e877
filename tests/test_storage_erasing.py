"""Erased text is gone from the disk, not only from the answers."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.model import ExampleFilter, ExampleId, MessageId
from storage.database import Database
from storage.erasure import WISH
from tests.stores import (
    ANN,
    BOB,
    GENERAL,
    HOME,
    NOW,
    a_row,
    a_turn,
    an_example,
    frozen,
    furnished,
)

SECRET = "rosebud"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attune.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Database]:
    database = await Database.open(f"sqlite:///{path}")
    yield database
    await database.close()


def bytes_of(path: Path) -> bytes:
    files = (path, path.with_name(f"{path.name}-wal"))
    return b"".join(file.read_bytes() for file in files if file.exists())


async def taught(store: Database) -> ExampleId:
    assistant = await furnished(store)
    async with store.writing() as records:
        await frozen(records, assistant, f"say {SECRET}", "something else")
        first, _ = await records.examples.page(HOME, ExampleFilter())
        await records.examples.revise(HOME, first.id, a_row(f"{SECRET}, again"), BOB, at=NOW)
    return first.id


async def test_no_byte_of_an_erased_example_stays(store: Database, path: Path) -> None:
    example = await taught(store)
    assert SECRET.encode() in bytes_of(path)

    async with store.writing() as records:
        await records.examples.erase(HOME, [example])

    assert SECRET.encode() not in bytes_of(path)
    assert b"something else" in bytes_of(path)


async def test_no_byte_stays_where_pages_were_moved(store: Database, path: Path) -> None:
    # Of the first dozen seeds this one leaves a copy behind when the file is not rewritten.
    assistant, chance = await furnished(store), random.Random(0)
    texts = [f"<{n:04}>" + "x" * chance.choice([20, 400, 900]) for n in range(200)]
    async with store.writing() as records:
        await records.examples.add_many(HOME, [an_example(assistant, t) for t in texts], at=NOW)
        kept = await records.examples.page(HOME, ExampleFilter(), limit=200)
        for number in chance.sample(range(200), 100):
            text = f"<{number:04}>" + "y" * chance.choice([20, 900, 2500])
            await records.examples.revise(HOME, kept[number].id, a_row(text), ANN, at=NOW)
    gone = chance.sample(range(200), 100)

    async with store.writing() as records:
        await records.examples.erase(HOME, [kept[number].id for number in gone])

    data = bytes_of(path)
    assert [number for number in gone if f"<{number:04}>".encode() in data] == []


async def test_no_byte_of_an_erased_turn_stays(store: Database, path: Path) -> None:
    assistant = await furnished(store)
    async with store.writing() as records:
        turn = await records.turns.add(HOME, a_turn(assistant))
        await records.turns.change(HOME, turn.id, reply=SECRET, message=MessageId("1"))

    async with store.writing() as records:
        await records.turns.erase(HOME, ANN)
        assert await records.turns.by_message(HOME, GENERAL, MessageId("1")) is None

    assert SECRET.encode() not in bytes_of(path)


async def test_no_byte_of_an_erased_workspace_stays(store: Database, path: Path) -> None:
    await taught(store)

    async with store.writing() as records:
        await records.workspaces.erase(HOME)

    assert SECRET.encode() not in bytes_of(path)


async def test_a_reader_in_the_way_delays_it_to_the_next_write(store: Database, path: Path) -> None:
    example = await taught(store)
    async with store.reading() as reading:
        await reading.examples.get(HOME, example)
        async with store.writing() as records:
            await records.examples.erase(HOME, [example])
        assert SECRET.encode() in bytes_of(path)

    async with store.writing():
        pass

    assert SECRET.encode() not in bytes_of(path)


async def test_a_crash_before_it_is_made_good_at_the_next_start(path: Path) -> None:
    store = await Database.open(f"sqlite:///{path}")
    await taught(store)
    await store.close()
    await asyncio.to_thread(erase_and_die, path)

    store = await Database.open(f"sqlite:///{path}")
    await store.close()

    assert SECRET.encode() not in bytes_of(path)


def erase_and_die(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM revisions")
    connection.execute("UPDATE examples SET row = NULL, search_text = NULL")
    connection.execute(WISH)
    connection.commit()
    connection.close()
