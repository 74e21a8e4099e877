"""What is deleted at its source goes in short transactions, all of it, also after a kill."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Row, Select

from bot.domain import LOCAL, ExampleSource, MessageId, Place, Role
from bot.events import ButtonClicked, ChannelDeleted, CommandInvoked, EventContent, MessagesDeleted
from bot.personal_data import _PART
from bot.replies import Card, Document, Reply
from storage.connection import Connection
from tests.scene import GENERAL, Death, Scene
from tests.stores import ANN, NOW, a_turn, an_example

COUNT = 2 * _PART + 7
MESSAGES = tuple(MessageId(str(number)) for number in range(1, COUNT + 1))
HAPPENINGS: list[EventContent] = [ChannelDeleted(), MessagesDeleted(MESSAGES)]


async def furnished(scene: Scene) -> None:
    """As many answered questions, and as many examples of them."""
    await scene.do("/tune help")
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        for message in MESSAGES:
            new = an_example(assistant.id, f"question {message}")
            new = replace(new, messages=(ExampleSource(GENERAL, message),))
            await records.examples.add(LOCAL, new, at=NOW)
            turn = replace(a_turn(assistant.id, f"turn {message}"), place=Place(LOCAL, GENERAL))
            turn = replace(turn, question_message=message, reply_message=message, reply="PARROT")
            await records.turns.add(LOCAL, turn)


async def left(scene: Scene) -> int:
    async with scene.database.reading() as records:
        found = await records.turns.by_asker(LOCAL, ANN)
    examples = await scene.examples()
    return sum(bool(one.question or one.reply) for one in found) + sum(
        one.row is not None for one in examples
    )


@pytest.mark.parametrize("what", HAPPENINGS, ids=lambda one: one.kind)
async def test_all_of_it_goes(scene: Scene, what: EventContent) -> None:
    await furnished(scene)

    await scene.handle(scene.event(what, key="gone"))

    assert await left(scene) == 0


@pytest.mark.parametrize("what", HAPPENINGS, ids=lambda one: one.kind)
@pytest.mark.parametrize("dies_at", range(2, 5))
async def test_a_kill_between_two_parts_leaves_nothing_for_ever(
    scene: Scene, what: EventContent, dies_at: int
) -> None:
    await furnished(scene)
    await scene.end()
    await scene.open(dies_at)
    task = await scene.app.handle(scene.event(what, key="gone"))
    assert task is not None
    with pytest.raises(Death):
        await task
    assert await left(scene) > 0

    await scene.restart()
    await scene.settle()

    assert await left(scene) == 0


async def test_nothing_of_one_persons_is_read_in_one_go(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await furnished(scene)
    shown = (await scene.examples())[0]
    async with scene.store.writing() as records:
        for message in MESSAGES:
            await records.example_cards.put_card(LOCAL, Place(LOCAL, GENERAL), message, [shown.id])
    lengths, rows = [], Connection.fetch_rows

    async def counted(
        connection: Connection, statement: Select[Any], *, most: int
    ) -> Sequence[Row[Any]]:
        found = await rows(connection, statement, most=most)
        # The courier reads along, what it has to deliver.
        lengths.append(0 if "FROM notices" in str(statement) else len(found))
        return found

    monkeypatch.setattr(Connection, "fetch_rows", counted)

    async def ask(what: EventContent) -> Reply:
        return await scene.app.handle_for_page(scene.event(what, key=str(what), by=ANN))

    await scene.grant(ANN, Role.CURATOR)
    await ask(ButtonClicked(f"example.drop:{shown.id}.r1.{shown.state}"))
    document = await ask(CommandInvoked("my-data"))
    assert isinstance(document, Document)
    lines = b"".join([chunk async for chunk in document.chunks]).splitlines()
    kinds = Counter(json.loads(line)["kind"] for line in lines)
    parts = Counter(json.loads(line).get("part") for line in lines)
    card = await ask(CommandInvoked("forget-me"))
    assert isinstance(card, Card)
    await ask(ButtonClicked(card.buttons[0].action))

    assert (kinds["turn"], kinds["author"], parts["author"]) == (COUNT, COUNT, COUNT)
    assert max(lengths) < COUNT
    assert await left(scene) == 0
