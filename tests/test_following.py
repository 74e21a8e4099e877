"""Every message that went into an example is followed, and so are questions and answers."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from bot.domain import LOCAL, ChannelId, ExampleState, MessageId, Place, Turn, User, UserId
from bot.events import (
    ChannelDeleted,
    EventContent,
    FormSubmitted,
    MessageEdited,
    MessageReceived,
    MessagesDeleted,
    ReactionChanged,
)
from tests.scene import GENERAL, SLACK, Scene
from tests.test_teaching import only, spoken

MARKER = "quixotic-marmalade"
STATES = [
    ExampleState.PROPOSED,
    ExampleState.APPROVED,
    ExampleState.REJECTED,
    ExampleState.WITHDRAWN,
]


async def exchange(scene: Scene) -> None:
    """A question, more of it, and the answer to both, which is marked; 1, 2 and 4."""
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 on sundays I mean", by="mina")
    await scene.say("something else", by="omar")
    await scene.do("/reply 2 at ten", by="ada")
    await scene.react(4, "🎓", by="omar")


async def moved(scene: Scene, state: ExampleState) -> None:
    example = await only(scene)
    async with scene.store.writing() as records:
        await records.examples.set_state(LOCAL, [example.id], state, at=scene.clock.now())


async def edit(scene: Scene, number: int, text: str) -> None:
    await scene.do(f"/edit {number} {text}", by="mina" if number < 3 else "ada")


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("number", [1, 2, 4])
async def test_deleting_any_of_its_messages_erases_an_example(
    scene: Scene, number: int, state: ExampleState
) -> None:
    await exchange(scene)
    await moved(scene, state)

    await scene.do(f"/delete {number}", by="mina" if number < 3 else "ada")

    example = await only(scene)
    assert (example.row, example.authors, example.source) == (None, (), None)


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize(
    ("state", "after"),
    [
        (ExampleState.PROPOSED, ExampleState.PROPOSED),
        (ExampleState.APPROVED, ExampleState.PROPOSED),
        (ExampleState.REJECTED, ExampleState.PROPOSED),
        (ExampleState.WITHDRAWN, ExampleState.WITHDRAWN),
    ],
)
async def test_editing_any_of_its_messages_sends_an_example_to_review(
    scene: Scene, number: int, state: ExampleState, after: ExampleState
) -> None:
    await exchange(scene)
    await moved(scene, state)

    await edit(scene, number, f"now {MARKER}")

    example = await only(scene)
    assert MARKER in str(example.row)
    assert (example.state, example.revision) == (after, 2)


async def test_a_message_that_is_not_part_of_it_changes_nothing(scene: Scene) -> None:
    await exchange(scene)

    await scene.do("/delete 3", by="omar")

    assert spoken(await only(scene))[-1] == ("assistant", "at ten")


async def test_all_examples_of_one_message_are_followed(scene: Scene) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 at nine", by="ada")
    await scene.do("/reply 1 at ten", by="omar")
    await scene.react(2, "🎓", by="omar")
    await scene.react(3, "🎓", by="omar")
    assert len(await scene.examples()) == 2

    await edit(scene, 1, f"{MARKER}?")
    assert all(MARKER in str(example.row) for example in await scene.examples())
    await scene.do("/delete 1", by="mina")

    assert [example.row for example in await scene.examples()] == [None, None]


async def test_an_example_that_was_edited_here_is_looked_at_again(scene: Scene) -> None:
    await exchange(scene)
    (example,) = await scene.examples()
    await scene.command(f"examples edit:{example.id}")
    await scene.submit(answer="at ten, and tea is free")

    await edit(scene, 4, "at eleven")

    example = await only(scene)
    assert example.state is ExampleState.PROPOSED
    assert spoken(example)[-1] == ("assistant", "at eleven")


async def test_what_cannot_be_read_any_more_is_not_trained_on_until_somebody_looked(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bot.errors import SurfaceError

    await exchange(scene)
    await moved(scene, ExampleState.APPROVED)

    async def away(*given: object) -> None:
        raise SurfaceError(message="away")

    monkeypatch.setattr(scene.app.room, "fetch_message", away)
    await edit(scene, 1, f"{MARKER}?")

    assert (await only(scene)).state is ExampleState.PROPOSED


# Turns, and what was made of them


async def turn(scene: Scene) -> Turn:
    async with scene.database.reading() as records:
        found = await records.turns.by_question_message(LOCAL, GENERAL, MessageId("1"))
    assert found is not None
    return found


async def bettered(scene: Scene) -> None:
    """A question, an answer, and a better answer to it: an example and a preference."""
    await scene.say("@attune when do you open?", by="mina")
    await scene.react(2, "👎", by="mina")
    await scene.click("Tell us why", by="mina")
    await scene.submit(better="at nine", by="mina")
    assert len(await scene.examples()) == 2


async def test_the_question_of_a_turn_changes_with_its_message(scene: Scene) -> None:
    await bettered(scene)

    await edit(scene, 1, f"@attune {MARKER}?")

    assert MARKER in (await turn(scene)).question
    assert all(MARKER in str(example.row) for example in await scene.examples())


async def test_a_deleted_question_leaves_its_turn_and_its_examples(scene: Scene) -> None:
    await bettered(scene)

    await scene.do("/delete 1", by="mina")

    kept = await turn(scene)
    assert (kept.question, kept.prompt) == ("", ())
    assert kept.reply
    assert [example.row for example in await scene.examples()] == [None, None]


async def test_a_deleted_answer_leaves_its_turn_and_the_preference_over_it(scene: Scene) -> None:
    await bettered(scene)

    await scene.handle(scene.event(MessagesDeleted((MessageId("2"),)), key="deleted"))

    assert (await turn(scene)).reply == ""
    rows = [example.row for example in await scene.examples()]
    assert [row is None for row in rows] == [False, True]


async def test_an_answer_that_was_marked_goes_with_its_question(scene: Scene) -> None:
    await scene.say("@attune when do you open?", by="mina")
    await scene.react(2, "🎓", by="omar")

    await scene.do("/delete 1", by="mina")

    assert (await only(scene)).row is None


async def test_many_messages_deleted_at_once_are_all_followed(scene: Scene) -> None:
    await exchange(scene)
    await scene.say("@attune hello there", by="mina")
    others = [MessageId(str(number)) for number in range(100, 12_000)]

    asked = MessageId(str(await scene.number_of("hello there")))

    gone = (*others, MessageId("1"), asked)
    await scene.handle(scene.event(MessagesDeleted(gone), key="deleted"))

    assert (await only(scene)).row is None
    async with scene.database.reading() as records:
        found = await records.turns.by_question_message(LOCAL, GENERAL, asked)
    assert found is not None
    assert found.question == ""


@pytest.mark.parametrize("thread", [None, "1"])
async def test_a_channel_or_thread_that_is_deleted_takes_everything_along(
    scene: Scene, thread: str | None
) -> None:
    mina = scene.event(MessageEdited(MessageId("1"), ""), key="", by="mina").user
    root = await scene.app.room.post_as_person(GENERAL, mina, "when do you open?")
    for who, text in (("mina", "on sundays?"), ("ada", "at ten")):
        user = scene.event(MessageEdited(MessageId("1"), ""), key="", by=who).user
        await scene.app.room.post_as_person(GENERAL, user, text, thread=root.number)
    await scene.react(3, "🎓", by="omar")
    elsewhere = scene.event(ChannelDeleted(), key="elsewhere", channel="other")
    await scene.handle(elsewhere)
    assert (await only(scene)).row is not None

    await scene.handle(scene.event(ChannelDeleted(), key="gone", thread=thread))

    assert (await only(scene)).row is None


# Whose mark it is


async def test_taking_off_ones_mark_does_not_withdraw_somebody_elses(scene: Scene) -> None:
    await exchange(scene)
    await scene.react(4, "🎓", by="zoe")

    await scene.react(4, "🎓", by="omar", is_removed=True)
    assert (await only(scene)).state is ExampleState.PROPOSED
    await scene.react(4, "🎓", by="zoe", is_removed=True)

    assert (await only(scene)).state is ExampleState.WITHDRAWN


async def test_somebody_who_marked_nothing_withdraws_nothing(scene: Scene) -> None:
    await exchange(scene)

    removed = ReactionChanged(MessageId("4"), "🎓", is_removed=True)
    await scene.handle(scene.event(removed, key="off", by="zoe"))

    assert (await only(scene)).state is ExampleState.PROPOSED


ADMIN, MEMBER = User(UserId("U1"), "ann", is_platform_admin=True), User(UserId("U2"), "bob")


@pytest.mark.parametrize("thread", [None, "t1"])
async def test_what_was_typed_into_forms_of_a_channel_or_thread_goes_with_it(
    scene: Scene, thread: str | None
) -> None:
    here = Place(SLACK, ChannelId("C1"), MessageId(thread) if thread else None)
    count = 0

    async def let(what: EventContent, by: User) -> None:
        nonlocal count
        count += 1
        event = scene.event(what, key=f"e{count}", by=by)
        await scene.handle(replace(event, place=here))

    allowing = {"sources": "messages", "allowed": "", "permission": "our own"}
    await let(FormSubmitted("sources", allowing), ADMIN)
    for by in (ADMIN, MEMBER):
        await let(FormSubmitted("teach", {"question": f"{MARKER} {by.id}?", "answer": MARKER}), by)
    for number, typed in enumerate(({"reason": MARKER}, {"better": f"better {MARKER}"})):
        spoken = scene.spoken(f"{MARKER} {number}", number=f"m{number}", by=MEMBER).message
        said = replace(spoken, place=here)
        await let(MessageReceived(said, is_addressed=True), MEMBER)
        await let(FormSubmitted(f"feedback:{number + 1}", typed), MEMBER)
    edit = {"question": f"edited {MARKER}", "answer": MARKER}
    await let(FormSubmitted("example.edit:1", edit), ADMIN)
    assert len(kept_with(scene)) >= 4, kept_with(scene)

    await let(ChannelDeleted(), ADMIN)

    assert kept_with(scene) == []


def kept_with(scene: Scene) -> list[str]:
    """The tables that hold the marker."""
    with closing(sqlite3.connect(scene.folder / "attune.db")) as connection:
        lines = [line for line in connection.iterdump() if MARKER in line]
    return sorted({line.split('"')[1] for line in lines})
