"""Who sees and changes what: over all that the catalogue holds, so that what is added is tried."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bot.command_catalogue import CATALOGUE
from bot.commands import Action, Command, Option, OptionKind
from bot.domain import (
    ChannelId,
    ExampleSource,
    ExampleState,
    MessageId,
    Model,
    ModelKind,
    ModelName,
    Origin,
    Phase,
    Place,
    Role,
    TurnState,
    User,
    Vote,
)
from bot.errors import AttuneError, template
from bot.events import ButtonClicked, CommandInvoked, EventContent, FormSubmitted, ReactionChanged
from bot.number_formats import parse_id
from bot.ports.store import Records
from storage.database import Database
from tests.fakes.platform import FakePlatform
from tests.scene import Scene, copy_data, opened_scene
from tests.stores import (
    ANN,
    BOB,
    FOREIGN,
    HOME,
    HOST,
    NOW,
    a_job,
    a_row,
    a_turn,
    an_example,
    frozen,
    furnished,
)

MARKER = "secretplum"
TUNED = ModelName("ft:base:attune:ada:1")
THERE, HERE = ChannelId("C2"), ChannelId("C1")
MEMBER = User(BOB, "bob")
STRANGER = User(BOB, "bob", is_guest=True)
ADMIN = User(BOB, "bob", is_platform_admin=True)
UNFORESEEN = template(AttuneError)
ARGUMENTS = ("", "1", "2", "3", "4", "1.0", "1::::plum", "U1", "C2", TUNED, "base", "tag", "1:2")
THINGS = ("1", "1.0", TUNED, "U1", "tag")
"""A thing of each kind, as an action names it."""
CRAFTED = (
    ("-1", "+1", " 1"),
    ("٣", "１", "²"),
    ("0", "9" * 40, "1:9" + "9" * 30),
    ("1e3", "1_0", "1/2"),
    ("1:x", "1.-1", "1:nowhere:::"),
    ("#", "../1", "None"),
    ("\x00", "x" * 90, ":" * 20),
)
"""Ids by what is wrong with them."""
VALUES = {
    "question": "q",
    "answer": "a",
    "reason": "r",
    "better": "b",
    "ids": "1,2",
    "all": "yes",
    "sources": "messages",
    "permission": "p",
    "name": "n",
    "who": "base",
    "preferred": "x",
    "rejected": "y",
}
KEPT = (
    *("workspaces", "roles", "assistants", "bindings", "examples", "example_authors", "revisions"),
    *("snapshots", "snapshot_rows", "jobs", "models", "deployments", "turns", "votes", "consents"),
    *("guest_channels", "example_tags"),
)


# What somebody else has


@pytest.fixture(scope="module")
def furnished_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which all that there is belongs to Ann, and was said in another channel."""
    folder = tmp_path_factory.mktemp("ann")
    asyncio.run(furnish(folder))
    return folder


async def furnish(folder: Path) -> None:
    store = await Database.open(f"sqlite:///{folder}/attune.db")
    await furnished(store)
    async with store.writing() as records:
        await fill(records)
    await store.close()


async def fill(records: Records) -> None:
    assistant = await records.assistants.default(HOME)
    assert assistant is not None
    secret = replace(assistant, instructions=MARKER)
    await records.assistants.update(HOME, secret)
    said = ExampleSource(THERE, MessageId("300.1"))
    for number, state in enumerate(ExampleState):
        row = a_row(f"{MARKER} {state}")
        new = replace(an_example(assistant.id), row=row, state=state, tags=(MARKER,))
        source = replace(said, message=MessageId(f"30{number}.1"))
        await records.examples.add(HOME, replace(new, source=source), at=NOW)
    pointer = replace(an_example(assistant.id), row=None, state=ExampleState.PROPOSED)
    pointer = replace(pointer, origin=Origin.MESSAGE, source=said)
    await records.examples.add(HOME, pointer, at=NOW)
    snapshot = await frozen(records, assistant.id, f"{MARKER} train", f"{MARKER} held")
    job = await records.jobs.add(HOME, replace(a_job(snapshot), place=Place(HOME, THERE)))
    await records.jobs.update_if(HOME, job.id, when=None, phase=Phase.SUCCEEDED, model=TUNED)
    await records.jobs.add(
        HOME,
        replace(a_job(snapshot, "start-2"), place=Place(HOME, THERE), phase=Phase.ESTIMATED),
    )
    model = Model(HOME, assistant.id, TUNED, HOST, ModelKind.TUNED, assistant.base, job.id, NOW)
    await records.models.add(HOME, model)
    turn = replace(a_turn(assistant.id), place=Place(HOME, THERE), question=MARKER, reply=MARKER)
    turn = replace(turn, reply_message=MessageId("200.1"), state=TurnState.DONE)
    kept = await records.turns.add(HOME, turn)
    await records.turns.put_vote(HOME, Vote(kept.id, ANN, -1, MARKER, NOW))


@pytest.fixture
async def home(tmp_path: Path, furnished_store: Path, quick_hosts: None) -> AsyncIterator[Scene]:
    copy_data(furnished_store, tmp_path)
    async with opened_scene(tmp_path) as scene:
        yield scene


# Everything that can be asked


def asked(command: Command) -> Iterator[EventContent]:
    yield CommandInvoked(command.path)
    for option in command.options:
        for value in plausible(option):
            yield CommandInvoked(command.path, {option.name: value})


def plausible(option: Option) -> Sequence[str]:
    values = {
        OptionKind.EXAMPLE: ("1", "2"),
        OptionKind.JOB: ("1", "2"),
        OptionKind.MODEL: ("latest", TUNED),
        OptionKind.ASSISTANT: ("Ada",),
        OptionKind.USER: (ANN,),
        OptionKind.HOST: (HOST,),
        OptionKind.INTEGER: ("1",),
        OptionKind.NUMBER: ("1",),
        OptionKind.TEXT: ("plum", ANN, "1"),
    }
    return option.choices or values.get(option.kind, ())


def clicked(deed: Action, arguments: Sequence[str] = ARGUMENTS) -> Iterator[EventContent]:
    for argument in arguments:
        yield ButtonClicked(f"{deed.name}:{argument}"[:100], MessageId("200.1"))


def submitted(deed: Action, arguments: Sequence[str] = ARGUMENTS) -> Iterator[EventContent]:
    for argument in arguments:
        yield FormSubmitted(f"{deed.name}:{argument}"[:100], VALUES)


def entries(arguments: Sequence[str]) -> dict[str, list[EventContent]]:
    return {
        **{f"/{command.path}": list(asked(command)) for command in CATALOGUE.commands},
        **{f"button {deed.name}": list(clicked(deed, arguments)) for deed in CATALOGUE.buttons},
        **{f"form {deed.name}": list(submitted(deed, arguments)) for deed in CATALOGUE.forms},
        **{
            f"reaction {deed.name}": [
                ReactionChanged(MessageId("200.1"), deed.name),
                ReactionChanged(MessageId("200.1"), deed.name, is_removed=True),
            ]
            for deed in CATALOGUE.reactions
        },
    }


ENTRIES = entries(ARGUMENTS)


def numbered(entries: Mapping[str, Sequence[EventContent]]) -> Iterator[tuple[int, EventContent]]:
    return enumerate(itertools.chain.from_iterable(entries.values()))


async def tell(
    scene: Scene, what: EventContent, number: int, by: User, *, is_page: bool = False
) -> str:
    """All that comes back, in every way that a platform has."""
    place = {"workspace": HOME, "channel": HERE}
    event = scene.event(what, key=f"tried{number}", by=by, **place)
    if is_page:
        return await read(await scene.app.handle_for_page(event))
    await scene.handle(event)
    return told_on(scene.slack)


def told_on(slack: FakePlatform) -> str:
    """All that was said since the last look."""
    told = [*slack.posts.values(), *slack.whispers, *slack.forms, *slack.files]
    for kept in (slack.posts, slack.whispers, slack.forms, slack.files):
        kept.clear()
    return str(told)


async def read(reply: object) -> str:
    chunks = getattr(reply, "chunks", None)
    if chunks is None:
        return str(reply)
    return f"{reply} {b''.join([chunk async for chunk in chunks])!r}"


def kept(folder: Path, workspace: str = HOME) -> dict[str, set[tuple[object, ...]]]:
    """Every row of a workspace."""
    with sqlite3.connect(folder / "attune.db") as database:
        return {
            table: set(
                database.execute(
                    f"SELECT * FROM {table} WHERE {owner(table)} = ?",
                    (workspace,),
                ).fetchall()
            )
            for table in KEPT
        }


def owner(table: str) -> str:
    return "id" if table == "workspaces" else "workspace"


def test_what_is_tried_are_the_tables_that_hold_what_people_own(furnished_store: Path) -> None:
    with sqlite3.connect(furnished_store / "attune.db") as database:
        named = "SELECT name FROM sqlite_master WHERE type = 'table'"
        tables = {name for (name,) in database.execute(named)}

    assert set(KEPT) <= tables


async def test_nobody_below_curator_sees_or_changes_what_is_anothers(home: Scene) -> None:
    """Every other one is asked by a stranger."""
    by = (MEMBER, STRANGER)
    before = kept(home.folder)
    seen = [
        what
        for number, what in numbered(ENTRIES)
        if MARKER in await tell(home, what, number, by[number % 2])
    ]

    after = kept(home.folder)
    assert seen == []
    assert {table: rows - after[table] for table, rows in before.items()} == {
        key: set() for key in KEPT
    }


async def test_nor_on_a_page(home: Scene) -> None:
    """Every other one is asked by a stranger."""
    on_pages = entries(THINGS)
    tried = {name: all_of for name, all_of in on_pages.items() if not name.startswith("reaction")}
    by = (STRANGER, MEMBER)
    seen = [
        what
        for number, what in numbered(tried)
        if MARKER in await tell(home, what, number, by[number % 2], is_page=True)
    ]

    assert seen == []


async def test_a_curator_sees_it(home: Scene) -> None:
    """So that the tests above can fail."""
    await home.grant(BOB, Role.CURATOR, HOME)
    for number, what in enumerate(
        (CommandInvoked("examples"), CommandInvoked("review"), CommandInvoked("assistant show"))
    ):
        assert MARKER in await tell(home, what, number, MEMBER), what


async def test_a_member_sees_what_is_their_own(home: Scene) -> None:
    await tell(home, FormSubmitted("teach", {"question": "mine?", "answer": "yes"}), 1, MEMBER)
    async with home.store.writing() as records:
        assistant = await records.assistants.default(HOME)
        assert assistant is not None
        own = replace(an_example(assistant.id), row=a_row("my own"), authors=(BOB, ANN))
        example, _ = await records.examples.add(HOME, own, at=NOW)

    listed = await tell(home, CommandInvoked("examples"), 2, MEMBER)
    shown = await tell(home, ButtonClicked(f"example.show:{example.id}"), 3, MEMBER)

    assert "my own" in listed
    assert "my own" in shown
    assert "example.edit" not in listed + shown


# Crafted ids


FOR_PAGES = {
    *(f"button {deed.name}" for deed in CATALOGUE.buttons if deed.is_for_pages),
    *(f"form {deed.name}" for deed in CATALOGUE.forms if deed.is_for_pages),
}
TRIED = itertools.cycle(list(zip(*CRAFTED, strict=True)))
TARGETS = {
    **{f"button {deed.name}": list(clicked(deed, next(TRIED))) for deed in CATALOGUE.buttons},
    **{f"form {deed.name}": list(submitted(deed, next(TRIED))) for deed in CATALOGUE.forms},
}
"""One crafted id of each kind for every action."""


async def test_a_crafted_id_is_refused_in_words_even_to_an_admin(
    home: Scene, furnished_store: Path
) -> None:
    """Every other one on a page, and there all that only pages offer."""
    unforeseen: list[EventContent] = []
    for position, (name, crafted) in enumerate(TARGETS.items()):
        for number, what in enumerate(crafted):
            is_page = name in FOR_PAGES or (position + number) % 2 == 1
            by = replace(ADMIN, is_operator=is_page)
            told = await tell(home, what, number, by, is_page=is_page)
            unforeseen += [what] if UNFORESEEN in told else []
        await home.end()
        copy_data(furnished_store, home.folder)
        await home.open()

    assert unforeseen == []


async def test_what_is_of_another_workspace_stays_as_it_is(home: Scene) -> None:
    before = kept(home.folder)
    seen: list[EventContent] = []

    for number, what in numbered(entries(THINGS)):
        event = home.event(what, key=f"tried{number}", by=ADMIN, workspace=FOREIGN, channel=THERE)
        await home.handle(event)
        seen += [what] if MARKER in told_on(home.slack) else []

    assert seen == []
    assert kept(home.folder) == before


@pytest.mark.parametrize("deed", ["job.confirm", "job.confirm_unpriced", "job.decline"])
async def test_a_price_is_answered_where_it_was_told(home: Scene, deed: str) -> None:
    before = kept(home.folder)

    await tell(home, ButtonClicked(f"{deed}:{await home.estimate()}"), 1, ADMIN)

    assert kept(home.folder) == before


@pytest.mark.parametrize(
    "said", ["", "-1", "0", "٣", "１", "²", "9" * 40, str(2**63), "1e3", "1_0", " 1", "+1", "x"]
)
def test_only_plain_digits_name_a_thing(said: str) -> None:
    with pytest.raises(ValueError):
        parse_id(said)


# The studio's own


PAGES_ALONE: Mapping[str, EventContent] = {
    **{one.name: ButtonClicked(f"{one.name}:1") for one in CATALOGUE.buttons if one.is_for_pages},
    **{one.name: FormSubmitted(one.name, VALUES) for one in CATALOGUE.forms if one.is_for_pages},
}


async def test_what_the_studio_alone_offers_is_refused_from_a_chat(home: Scene) -> None:
    """By its own name: what it was asked for may not be there either."""
    before = kept(home.folder)

    for number, (name, what) in enumerate(PAGES_ALONE.items()):
        told = await tell(home, what, number, replace(ADMIN, is_operator=True))

        assert f"There is no button “{name}” here" in told
        assert MARKER not in told
    assert kept(home.folder) == before


async def test_every_button_that_a_chat_shows_works_in_a_chat(home: Scene) -> None:
    """Whatever an admin is shown there can be pressed there."""
    shown: set[str] = set()
    asked_by = {f"/{command.path}": list(asked(command)) for command in CATALOGUE.commands}
    pressed = {deed.name: list(clicked(deed, ("1", "2", TUNED))) for deed in CATALOGUE.buttons}
    for number, what in numbered({**asked_by, **pressed}):
        told = await tell(home, what, number, ADMIN)
        shown |= {deed.name for deed in CATALOGUE.buttons if f"action='{deed.name}" in told}

    pages = {deed.name for deed in CATALOGUE.buttons if deed.is_for_pages}
    assert "example.approve" in shown
    assert shown & pages == set()
