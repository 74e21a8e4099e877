"""What is deleted at its source goes in short transactions, all of it, also after a kill."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.domain import LOCAL, MessageId, Place, Source
from bot.events import MessagesDeleted, PlaceDeleted, What
from bot.privacy import _PART
from tests.scene import GENERAL, Death, Scene
from tests.stores import ANN, NOW, a_turn, an_example

COUNT = 2 * _PART + 7
MESSAGES = tuple(MessageId(str(number)) for number in range(1, COUNT + 1))
HAPPENINGS: list[What] = [PlaceDeleted(), MessagesDeleted(MESSAGES)]


async def furnished(scene: Scene) -> None:
    """As many answered questions, and as many examples of them."""
    await scene.do("/tune help")
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(LOCAL)
        assert assistant is not None
        for message in MESSAGES:
            new = an_example(assistant.id, f"question {message}")
            new = replace(new, messages=(Source(GENERAL, message),))
            await records.examples.add(LOCAL, new, at=NOW)
            turn = replace(a_turn(assistant.id, f"turn {message}"), place=Place(LOCAL, GENERAL))
            turn = replace(turn, asked_message=message, message=message, reply="PARROT")
            await records.turns.add(LOCAL, turn)


async def left(scene: Scene) -> int:
    async with scene.database.reading() as records:
        found = await records.turns.of(LOCAL, ANN)
    examples = await scene.examples()
    return sum(bool(one.question or one.reply) for one in found) + sum(
        one.row is not None for one in examples
    )


@pytest.mark.parametrize("what", HAPPENINGS, ids=lambda one: one.kind)
async def test_all_of_it_goes(scene: Scene, what: What) -> None:
    await furnished(scene)

    await scene.handle(scene.event(what, key="gone"))

    assert await left(scene) == 0


@pytest.mark.parametrize("what", HAPPENINGS, ids=lambda one: one.kind)
@pytest.mark.parametrize("dies_at", range(3, 8))
async def test_a_kill_between_two_parts_leaves_nothing_for_ever(
    scene: Scene, what: What, dies_at: int
) -> None:
    await furnished(scene)
    await scene.end()
    await scene.open(dies_at)
    task = await scene.house.handle(scene.event(what, key="gone"))
    assert task is not None
    with pytest.raises(Death):
        await task
    assert await left(scene) > 0

    await scene.restart()
    await scene.settle()

    assert await left(scene) == 0
