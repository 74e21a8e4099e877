"""Deleting and withdrawing can be undone for ten seconds, by whoever did it."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable

import pytest

from bot.domain import LOCAL, ExampleState, MessageId, Role, UserId
from bot.events import ButtonClicked, FormSubmitted, ReactionChanged
from bot.replies import Button, Card, Listing, Reply, Text
from tests.fakes.faults import answers
from tests.fakes.faulty_host import FaultyHost
from tests.scene import GENERAL, Scene

WITHDRAWN, REJECTED = ExampleState.WITHDRAWN, ExampleState.REJECTED
COUNT = itertools.count()
Deletion = Callable[[Scene], Awaitable[Reply]]


async def ask(scene: Scene, action: str, *, by: str = "you") -> Reply:
    key = f"{action} {by} {next(COUNT)}"
    return await scene.app.handle_for_page(scene.event(ButtonClicked(action), key=key, by=by))


async def proposed(scene: Scene) -> None:
    await scene.do("/tune help")
    lesson = {"question": "when?", "answer": "at nine"}
    await scene.handle(scene.event(FormSubmitted("teach", lesson), key="t", by="mina"))


async def withdraw(scene: Scene) -> Reply:
    await proposed(scene)
    return await ask(scene, "example.drop:1.r1.proposed")


async def reject(scene: Scene) -> Reply:
    await proposed(scene)
    return await ask(scene, "example.reject:1.r1.proposed")


async def reject_many(scene: Scene) -> Reply:
    await proposed(scene)
    chosen = {"ids": "1.r1.proposed"}
    return await scene.app.handle_for_page(
        scene.event(FormSubmitted("examples:rejected", chosen), key="bulk")
    )


async def unbind(scene: Scene) -> Reply:
    await scene.command("assistant bind attune always:yes")
    return await ask(scene, f"assistant.unbind:1:{GENERAL}")


async def take_back(scene: Scene) -> Reply:
    await scene.do("/tune help")
    await scene.grant("mina", Role.CURATOR)
    return await ask(scene, f"role.take_back:{int(Role.CURATOR)}:mina")


async def state(scene: Scene) -> object:
    """Everything that these deletions touch."""
    async with scene.database.reading() as records:
        return (
            [one.state for one in await scene.examples()],
            await records.assistants.binding(LOCAL, GENERAL),
            await records.roles.get(LOCAL, UserId("mina")),
            [model.name for model in await scene.models()],
        )


async def delete_model(scene: Scene) -> Reply:
    job = await scene.tuned("use:no")
    card = await ask(scene, f"model.delete:{job.model}")
    assert isinstance(card, Card)
    return await ask(scene, card.buttons[0].action)


DELETIONS: list[Deletion] = [withdraw, reject, reject_many, unbind, take_back, delete_model]


async def before(scene: Scene, deletion: Deletion) -> tuple[object, Button]:
    """What was there before, as it is after a deletion that was taken back at once."""
    reply = await deletion(scene)
    deleted = await state(scene)
    (button,) = undo_buttons(reply)
    return deleted, button


def undo_buttons(reply: Reply) -> list[Button]:
    assert isinstance(reply, Text | Card | Listing), reply
    lines = reply.lines if isinstance(reply, Listing) else ()
    shown = [button for line in lines for button in line.buttons]
    shown += [] if isinstance(reply, Listing) else reply.buttons
    return [button for button in shown if button.action.startswith("undo:")]


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_a_deletion_is_undone_within_ten_seconds(scene: Scene, deletion: Deletion) -> None:
    deleted, button = await before(scene, deletion)
    scene.advance(9.9)

    reply = await ask(scene, button.action)

    assert isinstance(reply, Text), reply
    assert await state(scene) != deleted


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_after_ten_seconds_it_stays_deleted(scene: Scene, deletion: Deletion) -> None:
    deleted, button = await before(scene, deletion)
    scene.advance(10)

    reply = await ask(scene, button.action)

    assert "no longer be undone" in str(reply)
    assert await state(scene) == deleted


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_nobody_else_undoes_it(scene: Scene, deletion: Deletion) -> None:
    deleted, button = await before(scene, deletion)
    await scene.grant("ben", Role.ADMIN)

    reply = await ask(scene, button.action, by="ben")

    assert "Only whoever did it" in str(reply)
    assert await state(scene) == deleted


@pytest.mark.parametrize("deletion", DELETIONS)
async def test_undoing_twice_does_it_once(scene: Scene, deletion: Deletion) -> None:
    _, button = await before(scene, deletion)
    await ask(scene, button.action)
    undone = await state(scene)

    reply = await ask(scene, button.action)

    assert "no longer be undone" in str(reply)
    assert await state(scene) == undone


async def test_what_somebody_decided_since_is_not_undone(scene: Scene) -> None:
    (button,) = undo_buttons(await reject(scene))
    await scene.grant("ben", Role.CURATOR)
    await ask(scene, "example.approve:1.r1.rejected", by="ben")

    reply = await ask(scene, button.action)

    assert "changed since" in str(reply)
    assert [one.state for one in await scene.examples()] == [ExampleState.APPROVED]


async def test_a_mark_taken_off_can_be_undone(scene: Scene) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 at nine", by="ada")
    await scene.react(2, "🎓", by="omar")
    await scene.handle(
        scene.event(ReactionChanged(MessageId("2"), "🎓", is_removed=True), key="off", by="omar")
    )

    await scene.click("Undo", by="omar")

    assert [one.state for one in await scene.examples()] == [ExampleState.PROPOSED]


async def test_the_host_deletes_nothing_while_it_can_be_undone(scene: Scene) -> None:
    _, button = await before(scene, delete_model)
    scene.advance(9)
    await scene.turn()

    await ask(scene, button.action)
    scene.advance(60)
    await scene.settle()

    assert len(scene.host.tuned) == 1


async def test_a_process_that_dies_meanwhile_deletes_after_its_restart(scene: Scene) -> None:
    await delete_model(scene)

    await scene.restart()
    scene.advance(11)
    await scene.settle()

    assert scene.host.tuned == []


async def test_a_host_that_is_away_is_asked_again(scene: Scene) -> None:
    await delete_model(scene)
    away(scene.host)
    scene.advance(11)
    await scene.turn()
    assert len(scene.host.tuned) == 1

    scene.host.recover()
    scene.advance(3600)
    await scene.turn()

    assert scene.host.tuned == []


def away(host: FaultyHost) -> None:
    host.fail_always("DELETE /models/{id:path}", answers(503, "Down for repair."))
