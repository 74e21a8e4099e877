"""How often the database is asked does not grow with the data, and nothing reads a whole table."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Table, UniqueConstraint

from attune.http_server import health_routes
from bot import database_batches, workspace_removal
from bot.domain import (
    LOCAL,
    Assistant,
    ChannelId,
    ExampleSource,
    ExampleState,
    MessageId,
    Place,
    Sources,
    TurnState,
    UserId,
    Workspace,
    WorkspaceId,
)
from bot.events import ButtonClicked, ChannelDeleted, CommandInvoked, FormSubmitted
from bot.retention import RetentionPeriods, delete_old_data
from storage.tables import metadata
from tests.scene import Scene
from tests.statements import changed_rows, full_scans, recorded, unbounded
from tests.stores import NOW, a_turn, an_assistant, an_example
from tests.test_tuning_hosted import dying

SMALL = {"workspaces", "remote_cleanups", "undoables"}
"""A row for each workspace at most, or for what waits to be done."""
LARGE = frozenset(metadata.tables) - SMALL


DELETED_SINGLY = {"turns", "snapshots", "room_messages"}
"""Rows that go while others of their workspace stay, so that SQLite looks for their children."""


def test_the_children_of_a_deleted_row_are_found_by_an_index() -> None:
    missing = [
        f"{table.name} {columns}"
        for table in metadata.tables.values()
        for key in table.foreign_key_constraints
        if key.referred_table.name in DELETED_SINGLY
        and (columns := tuple(key.column_keys)) not in beginnings(table, len(columns))
    ]

    assert missing == []


def test_the_rows_of_a_workspace_are_found_by_an_index() -> None:
    owned = [table for table in metadata.tables.values() if "workspace" in table.c]

    assert [one.name for one in owned if ("workspace",) not in beginnings(one, 1)] == []


def beginnings(table: Table, length: int) -> set[tuple[str, ...]]:
    unique = [one for one in table.constraints if isinstance(one, UniqueConstraint)]
    named = [list(one.columns.keys()) for one in unique]
    named += [list(one.columns.keys()) for one in table.indexes]
    named.append(list(table.primary_key.columns.keys()))
    return {tuple(columns[:length]) for columns in named}


async def approved(scene: Scene, count: int) -> str:
    """So many examples that wait for approval; their ids."""
    path = scene.folder / f"{count}.csv"
    rows = [f"question {count} {n},answer {n}" for n in range(count)]
    path.write_text("\n".join(["question,answer", *rows]))
    await scene.command(f"import {path} yes")
    found = [one.id for one in await scene.examples() if f"question {count} " in str(one.row)]
    async with scene.store.writing() as records:
        await records.examples.set_state(LOCAL, found, ExampleState.PROPOSED, at=NOW)
    return ",".join(str(one) for one in found)


async def bulk(scene: Scene, what: str, **values: str) -> None:
    form = FormSubmitted(f"examples:{what}", values)
    await scene.app.handle_for_page(scene.event(form, key=f"bulk {what} {values}"))


async def settled(scene: Scene, count: int, *, first: int) -> None:
    """So many more workspaces, each with a default assistant on the same base."""
    async with scene.store.writing() as records:
        for number in range(first, first + count):
            workspace = WorkspaceId(f"slack:W{number:04}")
            await records.workspaces.add(Workspace(workspace, "W", Sources.OUTSIDE))
            assistant: Assistant = an_assistant()
            await records.assistants.add(workspace, assistant)


async def queries(scene: Scene, act: Callable[[], Awaitable[object]]) -> int:
    with recorded(scene.database) as statements:
        await act()
    return len(statements)


@pytest.mark.parametrize("what", ["approved", "rejected", "withdrawn", "tag"])
async def test_a_bulk_action_asks_no_more_for_more_examples(scene: Scene, what: str) -> None:
    few, many = await approved(scene, 3), await approved(scene, 60)

    asked = await queries(scene, lambda: bulk(scene, what, ids=few, name="greeting"))

    assert await queries(scene, lambda: bulk(scene, what, ids=many, name="greeting")) == asked


async def test_metrics_ask_no_more_for_more_workspaces(scene: Scene) -> None:
    transport = httpx.ASGITransport(app=health_routes(scene.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://attune") as client:
        await settled(scene, 2, first=0)
        few = await queries(scene, lambda: client.get("/metrics"))
        await settled(scene, 30, first=2)
        many = await queries(scene, lambda: client.get("/metrics"))
        metrics = (await client.get("/metrics")).text

    assert few == many
    assert "attune_workspaces 32" in metrics


async def test_the_calendar_asks_no_more_for_more_workspaces(scene: Scene) -> None:
    await dying(scene)
    scene.advance(30 * 24 * 3600)
    calendar = scene.app.runners.jobs.calendar
    await settled(scene, 2, first=0)
    await calendar.poll()
    few = await queries(scene, calendar.poll)
    await settled(scene, 30, first=2)

    assert await queries(scene, calendar.poll) == few


@pytest.mark.parametrize(
    "words", ["examples", "jobs", "models", "assistant teach-next", "admin audit"]
)
async def test_a_page_of_a_list_asks_no_more_for_more_rows(scene: Scene, words: str) -> None:
    await scene.learn(3)
    few = await queries(scene, lambda: scene.command(words))
    await scene.learn(60, origin="more.csv")

    assert await queries(scene, lambda: scene.command(words)) == few


async def test_an_answer_asks_no_more_after_many_answers(scene: Scene) -> None:
    await scene.learn(3)
    await scene.say("@Attune hello")
    few = await queries(scene, lambda: scene.say("@Attune hello again"))
    await scene.learn(60, origin="more.csv")
    for number in range(10):
        await scene.say(f"@Attune hello {number}")

    assert await queries(scene, lambda: scene.say("@Attune hello again")) == few


@pytest.mark.parametrize("page", ["tour", "counts", "workspaces", "dashboard", "consents"])
async def test_a_page_asks_no_more_for_more_rows(scene: Scene, page: str) -> None:
    async def look() -> None:
        await scene.app.handle_read_only(scene.event(ButtonClicked(page), key=page))

    await scene.learn(3)
    few = await queries(scene, look)
    await scene.learn(60, origin="more.csv")
    await settled(scene, 30, first=0)

    assert await queries(scene, look) == few


USES = {"a question": 40, "a lesson": 40, "a list": 8}
"""Statements that one use may cost; what it costs now is less."""


async def test_what_people_do_most_asks_the_database_seldom(scene: Scene) -> None:
    await scene.learn(3)
    await scene.say("@Attune hello")
    asked = {"a question": await queries(scene, lambda: scene.say("@Attune hello again"))}
    answer = await scene.number_of("Hello from the model")

    asked["a lesson"] = await queries(scene, lambda: scene.react(answer, "🎓"))
    look = scene.event(CommandInvoked("examples"), key="look")
    asked["a list"] = await queries(scene, lambda: scene.app.handle_read_only(look))

    assert {use: count for use, count in asked.items() if count > USES[use]} == {}


ROWS, PART = 200, 10
GONE = ChannelId("C9")
MINA = UserId("mina")


async def fill(scene: Scene) -> None:
    """Rows of one person in one channel, all of them old."""
    at = scene.clock.now() - timedelta(days=400)
    async with scene.store.writing() as records:
        own = await records.assistants.default(LOCAL)
        assert own is not None
        for number in map(str, range(ROWS)):
            place = Place(LOCAL, GONE)
            turn = replace(a_turn(own.id, number), place=place, asker=MINA, at=at)
            await records.turns.add(LOCAL, replace(turn, state=TurnState.DONE))
            source = ExampleSource(GONE, MessageId(number), None, None)
            example = replace(an_example(own.id, number), authors=(MINA,), source=source)
            await records.examples.add(LOCAL, example, at=at)
            await records.audit.add(LOCAL, MINA, "example.added", at=at)


async def forget_me(scene: Scene) -> None:
    await scene.command("forget-me", by=MINA)
    await scene.click("Erase it all", by=MINA)


async def lose_channel(scene: Scene) -> None:
    await scene.handle(scene.event(ChannelDeleted(), key="gone", channel=GONE))


async def lose_workspace(scene: Scene) -> None:
    async with scene.store.reading() as records:
        workspace = await records.workspaces.find(LOCAL)
    assert workspace is not None
    await workspace_removal.erase(workspace, store=scene.store, now=scene.clock.now())


async def sweep(scene: Scene) -> None:
    year = timedelta(days=365)
    await delete_old_data(RetentionPeriods(year, year, year), store=scene.store, clock=scene.clock)


@pytest.mark.parametrize("erase", [forget_me, lose_channel, lose_workspace, sweep])
async def test_what_is_erased_goes_in_parts_of_a_bounded_size(
    scene: Scene, erase: Callable[[Scene], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_batches, "_MAX_ROWS", PART)
    await scene.learn(3)
    await fill(scene)

    with changed_rows(scene.database) as changed:
        await erase(scene)

    assert sum(changed) >= ROWS
    # An example has its children: author, revision, message.
    assert max(changed) <= 5 * PART
    async with scene.database.reading() as records:
        left = await records.turns.by_event(LOCAL, "7")
    assert left is None or (left.question, left.reply) == ("", "")


async def test_nothing_that_people_do_reads_a_large_table_from_end_to_end(scene: Scene) -> None:
    with recorded(scene.database) as statements:
        await dying(scene)
        await scene.say("@Attune when do you open?", by="mina")
        answer = await scene.number_of("Hello from the model")
        await scene.react(answer, "👍", by="mina")
        await scene.react(answer, "👍", by="mina", is_removed=True)
        await scene.react(answer, "🎓", by="omar")
        ids = await approved(scene, 5)
        await bulk(scene, "approved", ids=ids)
        await bulk(scene, "tag", all="yes", name="greeting")
        for words in (
            "examples",
            "examples tag:greeting",
            "review",
            "jobs",
            "status",
            "assistant teach-next",
        ):
            await scene.command(words)
        for words in ("my-data", "admin audit", "admin roles", "admin budget", "help", "export"):
            await scene.command(words)
        for page in ("tour", "counts", "workspaces", "dashboard", "evaluations", "consents"):
            await scene.app.handle_read_only(scene.event(ButtonClicked(page), key=page))
        await scene.app.room.channels()
        await scene.app.runners.jobs.calendar.poll()
        await scene.app.dispatch.handle_unfinished()
        await scene.command("forget-me", by="mina")
        await scene.click("Erase it all", by="mina")
        await scene.settle()
        for erase in (lose_channel, sweep, lose_workspace):
            await erase(scene)

    assert full_scans(f"{scene.folder}/attune.db", statements, LARGE) == set()
    assert unbounded(statements) == set()
