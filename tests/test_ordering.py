"""Events about one message take effect in the order they came in, whatever each has to wait for."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from bot.domain import LOCAL, Example, ExampleState, Message, MessageId, Place
from bot.events import (
    ButtonClicked,
    Event,
    EventContent,
    MessageEdited,
    MessagesDeleted,
    ReactionChanged,
    to_json,
)
from bot.ports.store import Records
from bot.replies import Drawn
from storage.database import Database
from tests.scene import GENERAL, SLACK, Scene
from tests.waiting import until

Reading = Callable[[], AbstractAsyncContextManager[Records]]

ANSWER = MessageId("2")


class HeldFetch:
    """The first look at a message takes until it is let go."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_asked = asyncio.Event()
        self.may_go = asyncio.Event()
        self._fetch = scene.app.room.fetch_message
        monkeypatch.setattr(scene.app.room, "fetch_message", self._held)

    async def _held(self, place: Place, message: MessageId) -> Message | None:
        if not self.is_asked.is_set() and message == ANSWER:
            self.is_asked.set()
            await self.may_go.wait()
        return await self._fetch(place, message)


async def send(scene: Scene, what: EventContent, key: str) -> asyncio.Task[None]:
    task = await scene.app.handle(scene.event(what, key=key))
    assert task is not None
    return task


async def votes(scene: Scene, message: MessageId = ANSWER) -> int:
    async with scene.database.reading() as records:
        turn = await records.turns.by_reply_message(LOCAL, GENERAL, message)
        assert turn is not None
        return len(await records.turns.votes(LOCAL, turn.id))


async def only(scene: Scene) -> Example:
    (example,) = await scene.examples()
    return example


async def test_a_vote_taken_off_quickly_stays_off(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.say("@attune hi")
    held = HeldFetch(scene, monkeypatch)

    first = await send(scene, ReactionChanged(ANSWER, "👍"), "on")
    await held.is_asked.wait()
    second = await send(scene, ReactionChanged(ANSWER, "👍", is_removed=True), "off")
    await scene.say("@attune another question")
    held.may_go.set()
    await asyncio.wait({first, second})

    assert await votes(scene) == 0


async def test_other_messages_are_not_held_up(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.say("@attune hi")
    held = HeldFetch(scene, monkeypatch)
    first = await send(scene, ReactionChanged(ANSWER, "👍"), "on")
    await held.is_asked.wait()

    async with asyncio.timeout(20):
        await scene.say("@attune another question")
        await scene.react(4, "👍")

    assert await votes(scene, MessageId("4")) == 1
    held.may_go.set()
    await asyncio.wait({first})


async def test_an_edit_that_comes_while_a_mark_is_worked_on_is_followed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 at nine", by="ada")
    fetched = scene.app.room.fetch_message
    held = HeldFetch(scene, monkeypatch)

    async def fetch_first(place: Place, message: MessageId) -> Message | None:
        said = await fetched(place, message)
        await held._held(place, message)
        return said

    monkeypatch.setattr(scene.app.room, "fetch_message", fetch_first)
    mark = await send(scene, ReactionChanged(ANSWER, "🎓"), "mark")
    await held.is_asked.wait()
    await scene.app.room.edit_as_person(2, "at ten")
    edit = await send(scene, MessageEdited(ANSWER, "at ten"), "edit")
    held.may_go.set()
    await asyncio.wait({mark, edit})

    assert "at ten" in str((await only(scene)).row)


async def test_a_deletion_after_an_edit_has_the_last_word(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 at nine", by="ada")
    await scene.react(2, "🎓")
    await scene.app.room.edit_as_person(2, "at ten")
    held = HeldFetch(scene, monkeypatch)

    edit = await send(scene, MessageEdited(ANSWER, "at ten"), "edit")
    await held.is_asked.wait()
    deletion = await send(scene, MessagesDeleted((ANSWER,)), "deletion")
    await asyncio.sleep(0)
    held.may_go.set()
    await asyncio.wait({edit, deletion})

    example = await only(scene)
    assert (example.row, example.state) == (None, ExampleState.WITHDRAWN)


async def test_the_order_lasts_over_a_restart(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    await scene.say("@attune hi")
    held = HeldFetch(scene, monkeypatch)
    await send(scene, ReactionChanged(ANSWER, "👍"), "z first")
    await held.is_asked.wait()
    await send(scene, ReactionChanged(ANSWER, "👍", is_removed=True), "a second")

    await scene.restart()
    await scene.settle()

    assert await votes(scene) == 0


async def test_what_comes_in_anew_waits_for_what_was_promised_before(scene: Scene) -> None:
    await scene.say("@attune hi")
    await scene.end()
    await promise_vote(scene)
    await scene.open()

    await scene.react(2, "👍", is_removed=True)
    await scene.settle()

    assert await votes(scene) == 0


async def promise_vote(scene: Scene) -> None:
    """A 👍 that was acknowledged by a process that died before it counted."""
    event = scene.event(ReactionChanged(ANSWER, "👍"), key="before")
    database = await Database.open(f"sqlite:///{scene.folder}/attune.db")
    async with database.writing() as records:
        await records.inbox.add(
            LOCAL, event.key, message_key=None, payload=to_json(event), at=scene.clock.now()
        )
    await database.close()


@pytest.mark.parametrize("seed", range(8))
async def test_the_last_of_many_reactions_counts_however_the_work_is_scheduled(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    await scene.say("@attune one")
    await scene.say("@attune two")
    chance = random.Random(seed)
    monkeypatch.setattr(scene.store, "reading", late(scene.store.reading, chance))
    events = [
        (message, is_removed)
        for message in (MessageId("2"), MessageId("4"))
        for is_removed in [chance.random() < 0.5 for _ in range(6)]
    ]

    tasks = [
        asyncio.create_task(scene.handle(reaction(scene, message, is_removed, number)))
        for number, (message, is_removed) in enumerate(events)
    ]
    await asyncio.gather(*tasks)

    for message in (MessageId("2"), MessageId("4")):
        last = [is_removed for known, is_removed in events if known == message][-1]
        assert await votes(scene, message) == (0 if last else 1)


def reaction(scene: Scene, message: MessageId, is_removed: bool, number: int) -> Event:
    return scene.event(ReactionChanged(message, "👍", is_removed), key=f"e{number}")


def late(reading: Reading, chance: random.Random) -> Reading:
    """A store that makes each reader wait for a while that nobody can foresee."""

    @asynccontextmanager
    async def read() -> AsyncIterator[Records]:
        for _ in range(chance.randrange(30)):
            await asyncio.sleep(0)
        async with reading() as records:
            yield records

    return read


async def test_a_queue_is_forgotten_once_it_is_empty(scene: Scene) -> None:
    await scene.say("@attune hi")
    await scene.react(2, "👍")

    await until(lambda: not scene.app.running_tasks)

    assert scene.app.dispatch._handling_order._last == {}


async def test_a_click_waits_for_the_effect_of_the_one_before_and_not_for_its_whisper(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A platform lets us whisper so often in a minute; what was clicked is done all the same."""
    said = scene.spoken("hello?", number=7, by="U2")
    await scene.slack_event(said, key="asked", by="U2")
    message = scene.slack.own_ids[-1]
    is_waiting, may_go = asyncio.Event(), asyncio.Event()
    send_ephemeral = scene.slack.send_ephemeral
    whispered: list[str] = []

    async def slow(event: Event, reply: Drawn) -> None:
        is_waiting.set()
        await may_go.wait()
        whispered.append(event.key)
        await send_ephemeral(event, reply)

    monkeypatch.setattr(type(scene.slack), "send_ephemeral", lambda self, *told: slow(*told))
    clicks = []
    for action in ("feedback.good", "feedback.bad"):
        at = {"workspace": SLACK, "channel": scene.slack.channel}
        event = scene.event(ButtonClicked(action, message), key=action, by="U2", **at)
        clicks.append(await scene.app.handle(event))
        await is_waiting.wait()

    async def is_counted() -> bool:
        return await value_of(scene, message) == -1

    await until(is_counted)
    assert (whispered, scene.slack.forms) == ([], [])
    may_go.set()
    await asyncio.gather(*(one for one in clicks if one is not None))
    assert (whispered, len(scene.slack.forms)) == (["feedback.good"], 1)


async def value_of(scene: Scene, message: MessageId) -> int:
    async with scene.database.reading() as records:
        turn = await records.turns.by_reply_message(SLACK, scene.slack.channel, message)
        assert turn is not None
        (vote,) = await records.turns.votes(SLACK, turn.id)
    return vote.value
