"""What is old is removed in parts; what something open refers to stays."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from attune.settings import Settings
from bot.domain import ExampleSource, ExampleState, MessageId, Phase, TurnState, Vote
from bot.ports.store import Records
from bot.retention import RetentionPeriods, delete_old_data
from bot.rows import Method
from storage.database import Database
from tests.scene import MovedClock
from tests.stores import (
    ANN,
    GENERAL,
    HOME,
    PLACE,
    a_job,
    a_turn,
    an_example,
    frozen,
    furnished,
)

DAY = timedelta(days=1)
YEAR = RetentionPeriods(365 * DAY, 365 * DAY, 365 * DAY)
CLOCK = MovedClock()
OLD, NEW = CLOCK.now() - 366 * DAY, CLOCK.now() - 364 * DAY
OLD_AND_NEW = (("old", OLD), ("new", NEW))


async def fill(records: Records) -> None:
    """Of everything an old one that may go, an old one that may not, and a new one."""
    assistant = (await records.assistants.all(HOME))[0].id
    for name, at in OLD_AND_NEW:
        await records.inbox.add(HOME, name, message_key=None, payload="", at=at)
        await records.inbox.mark_done(name)
        await records.audit.add(HOME, ANN, name, at=at)
        await records.outbox.put(name, PLACE, "kind", at=at)
        turn = replace(a_turn(assistant, name), state=TurnState.DONE, at=at)
        kept = await records.turns.add(HOME, replace(turn, reply_message=MessageId(name)))
        await records.turns.put_vote(HOME, Vote(kept.id, ANN, 1, None, at))
    snapshot = await frozen(records, assistant, "one", "two")
    await records.snapshots.create(
        HOME, assistant, Method.SUPERVISED, training_rows=9, validation_rows=0, at=OLD
    )
    job = await records.jobs.add(HOME, replace(a_job(snapshot), phase=Phase.WATCHING))
    await records.inbox.add(HOME, "waiting", message_key=None, payload="", at=OLD)
    await records.outbox.put("of an open job", PLACE, "kind", subject=job.id, at=OLD)
    for notice in await records.outbox.list_due(now=CLOCK.now()):
        await records.outbox.mark_delivered(notice.id, version=1, message=None)
    await records.outbox.put("undelivered", PLACE, "kind", at=OLD)
    asked = replace(a_turn(assistant, "proposed"), state=TurnState.DONE, at=OLD)
    await records.turns.add(HOME, replace(asked, reply_message=MessageId("taken")))
    source = ExampleSource(GENERAL, MessageId("taken"), None, None)
    proposed = replace(an_example(assistant, "three"), state=ExampleState.PROPOSED, source=source)
    await records.examples.add(HOME, proposed, at=OLD)


def column(path: Path, table: str, name: str) -> set[str]:
    connection = sqlite3.connect(path)
    found = {row[0] for row in connection.execute(f"SELECT {name} FROM {table}")}
    connection.close()
    return found


@pytest.mark.parametrize("is_kept", [False, True])
async def test_only_what_is_old_and_closed_goes(tmp_path: Path, is_kept: bool) -> None:
    path = tmp_path / "attune.db"
    store = await Database.open(f"sqlite:///{path}")
    await furnished(store)
    async with store.writing() as records:
        await fill(records)
    keep = RetentionPeriods(timedelta(0), timedelta(0), timedelta(0)) if is_kept else YEAR

    await delete_old_data(keep, store=store, clock=CLOCK)

    old = {"old"} if is_kept else set()
    assert column(path, "inbox", "key") == {"new", "waiting"} | old
    assert column(path, "notices", "key") == {"new", "of an open job", "undelivered"} | old
    assert column(path, "turns", "event_key") == {"new", "proposed"} | old
    assert column(path, "audit", "what") == {"new"} | old
    assert len(column(path, "votes", "turn")) == (2 if is_kept else 1)
    assert len(column(path, "snapshots", "id")) == 1
    await store.close()


async def test_more_than_a_part_goes_too(tmp_path: Path) -> None:
    path = tmp_path / "attune.db"
    store = await Database.open(f"sqlite:///{path}")
    async with store.writing() as records:
        for number in range(1100):
            await records.audit.add(HOME, ANN, f"old {number}", at=OLD)

    await delete_old_data(YEAR, store=store, clock=CLOCK)

    assert column(path, "audit", "what") == set()
    await store.close()


def test_a_year_is_kept_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVENTS", "ANSWERS", "AUDIT"):
        monkeypatch.delenv(f"ATTUNE_KEEP_DAYS_{name}", raising=False)
    settings = Settings.model_construct()

    kept = settings.keep_days_events, settings.keep_days_answers, settings.keep_days_audit
    assert kept == (365, 365, 365)
