"""Erased text is gone from the disk, not only from the answers."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.domain import AssistantId, Example, ExampleFilter, ExampleId, MessageId
from storage.database import Database
from storage.database_engine import MAX_WAL_BYTES
from storage.free_pages import FreePageEraser
from storage.table_rewriting import TableRewrite
from tests.stores import (
    ANN,
    BOB,
    GENERAL,
    HOME,
    NOW,
    a_row,
    a_turn,
    an_example,
    erase_workspace,
    frozen,
    furnished,
)

pytestmark = pytest.mark.usefixtures("threaded_driver")

SECRET = "rosebud"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "attune.db"


@pytest.fixture(params=["whole", "in parts"])
async def store(
    path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Database]:
    if request.param == "in parts":
        monkeypatch.setattr(FreePageEraser, "is_small", False)
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
        await records.examples.add_revision(HOME, first.id, a_row(f"{SECRET}, again"), BOB, at=NOW)
    return first.id


async def test_no_byte_of_an_erased_example_stays(store: Database, path: Path) -> None:
    example = await taught(store)
    assert SECRET.encode() in bytes_of(path)

    async with store.writing() as records:
        await records.examples.erase(HOME, [example])
    await store.scrub()

    assert SECRET.encode() not in bytes_of(path)
    assert b"something else" in bytes_of(path)


async def test_no_byte_stays_where_pages_were_moved(store: Database, path: Path) -> None:
    # Of the first 24 seeds this one leaves a copy behind when the file is not rewritten.
    assistant, chance = await furnished(store), random.Random(20)
    texts = [f"<{n:04}>" + "x" * chance.choice([20, 400, 900]) for n in range(200)]
    async with store.writing() as records:
        await records.examples.add_many(HOME, [an_example(assistant, t) for t in texts], at=NOW)
        kept = await records.examples.page(HOME, ExampleFilter(), limit=200)
        for number in chance.sample(range(200), 100):
            text = f"<{number:04}>" + "y" * chance.choice([20, 900, 2500])
            await records.examples.add_revision(HOME, kept[number].id, a_row(text), ANN, at=NOW)
    gone = chance.sample(range(200), 100)

    async with store.writing() as records:
        await records.examples.erase(HOME, [kept[number].id for number in gone])
    await store.scrub()

    data = bytes_of(path)
    assert [number for number in gone if f"<{number:04}>".encode() in data] == []


async def test_no_byte_of_an_erased_turn_stays(store: Database, path: Path) -> None:
    assistant = await furnished(store)
    async with store.writing() as records:
        turn = await records.turns.add(HOME, a_turn(assistant))
        await records.turns.update_fields(HOME, turn.id, reply=SECRET, reply_message=MessageId("1"))

    async with store.writing() as records:
        await records.turns.erase_by_asker(HOME, ANN)
        assert await records.turns.by_reply_message(HOME, GENERAL, MessageId("1")) is None
    await store.scrub()

    assert SECRET.encode() not in bytes_of(path)


async def test_no_byte_of_an_erased_workspace_stays(store: Database, path: Path) -> None:
    await taught(store)

    async with store.writing() as records:
        await erase_workspace(records, HOME)
    await store.scrub()

    assert SECRET.encode() not in bytes_of(path)


async def test_a_reader_in_the_way_delays_it_to_the_next_try(store: Database, path: Path) -> None:
    example = await taught(store)
    async with store.reading() as reading:
        await reading.examples.get(HOME, example)
        async with store.writing() as records:
            await records.examples.erase(HOME, [example])
        await store.scrub()
        assert SECRET.encode() in bytes_of(path)

    async with store.writing():
        pass
    await store.scrub()

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
    connection.execute("INSERT INTO residues VALUES (''), ('examples'), ('revisions')")
    connection.commit()
    connection.close()


async def test_what_is_written_while_a_table_is_rewritten_is_all_there(path: Path) -> None:
    store = await Database.open(f"sqlite:///{path}")
    assistant = await furnished(store)
    async with store.writing() as records:
        new = [an_example(assistant, f"text {number}") for number in range(300)]
        await records.examples.add_many(HOME, new, at=NOW)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("INSERT INTO residues VALUES ('examples'), ('revisions')")
    rewriting, chance, steps = TableRewrite(connection), random.Random(1), 0

    while rewriting.step():
        rewriting._size.rows = 20
        steps += 1
        if steps < 200:
            await change_something(store, assistant, steps, chance)

    async with store.reading() as records:
        kept = await records.examples.page(HOME, ExampleFilter(), limit=1000)
    assert steps > 30
    assert len(kept) == 300 + min(steps, 199)
    assert {f"text {number}" for number in range(300)} <= {text_of(one) for one in kept} | ERASED
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    connection.close()
    await store.close()


async def change_something(
    store: Database, assistant: AssistantId, step: int, chance: random.Random
) -> None:
    async with store.writing() as records:
        await records.examples.add(HOME, an_example(assistant, f"new {step}"), at=NOW)
        chosen = ExampleId(chance.randint(1, 300))
        example = await records.examples.get(HOME, chosen)
        if example.row is None:
            return
        if step % 3 or step > LAST_ERASURE:
            longer = a_row(f"{text_of(example)}{chr(160) * chance.randint(1, 900)}")
            await records.examples.add_revision(HOME, chosen, longer, ANN, at=NOW)
        else:
            ERASED.add(text_of(example))
            await records.examples.erase(HOME, [chosen])


ERASED: set[str] = set()
LAST_ERASURE = 30
"""Each begins the rewriting anew."""


def text_of(example: Example) -> str:
    messages: Any = (example.row or {"messages": [{"content": ""}]})["messages"]
    return str(messages[0]["content"]).rstrip(chr(160))


async def test_a_rewriting_that_was_killed_is_gone_on_from(path: Path) -> None:
    store = await Database.open(f"sqlite:///{path}")
    await taught(store)
    await store.close()
    for steps in range(1, 8):
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("INSERT OR IGNORE INTO residues VALUES ('examples')")
        rewriting = TableRewrite(connection)
        for _ in range(steps):
            rewriting.step()
        connection.close()

    store = await Database.open(f"sqlite:///{path}")
    await store.scrub()
    async with store.reading() as records:
        assert len(await records.examples.page(HOME, ExampleFilter())) == 2
    await store.close()
    connection = sqlite3.connect(path)
    left = "SELECT name FROM sqlite_schema WHERE name GLOB 'rewritten_*'"
    assert connection.execute(left).fetchall() == []
    connection.close()


async def test_a_long_log_is_brought_into_the_file_and_begins_anew(path: Path) -> None:
    store = await Database.open(f"sqlite:///{path}")
    assistant = await furnished(store)
    log = path.with_name(f"{path.name}-wal")
    async with store.writing() as records:
        new = [an_example(assistant, f"{number} {'x' * 20_000}") for number in range(300)]
        await records.examples.add_many(HOME, new, at=NOW)
    assert log.stat().st_size > MAX_WAL_BYTES
    assert store.has_work.is_set()

    await store.checkpoint()
    store.has_work.clear()
    async with store.writing() as records:
        await records.examples.add(HOME, an_example(assistant, "one more"), at=NOW)

    assert log.stat().st_size <= MAX_WAL_BYTES
    assert not store.has_work.is_set()
    await store.close()
