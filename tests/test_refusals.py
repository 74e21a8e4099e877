"""A refusal is never a lesson: whoever marks one is asked for the answer instead."""

from __future__ import annotations

import pytest

from bot.domain import LOCAL, Message, MessageId, Place, Turn, User, UserId
from bot.events import ButtonClicked, CommandInvoked, FormSubmitted, ReactionChanged, ShortcutUsed
from bot.replies import Comparison, Form, Text
from tests.scene import GENERAL, SLACK, Scene

ANSWER = MessageId("2")
REFUSALS = {
    "field": (("refusal",), False),
    "both": (("content", "refusal"), False),
    "filter": ((), True),
}


@pytest.fixture(params=REFUSALS)
async def refused(request: pytest.FixtureRequest, scene: Scene) -> Scene:
    """The model declined to answer, and said so in one of the ways of the protocol."""
    scene.host.refuses_by, scene.host.is_filtered = REFUSALS[request.param]
    await scene.say("@attune how do I ship?", by="mina")
    assert (await scene.texts())[-1].startswith("Hello from the model")
    return scene


async def turn_of(scene: Scene) -> Turn:
    async with scene.database.reading() as records:
        turn = await records.turns.by_reply_message(LOCAL, GENERAL, ANSWER)
    assert turn is not None
    return turn


async def test_the_turn_knows_that_it_is_a_refusal(refused: Scene) -> None:
    assert (await turn_of(refused)).is_refusal


async def test_an_answer_is_no_refusal(scene: Scene) -> None:
    await scene.say("@attune how do I ship?")

    assert not (await turn_of(scene)).is_refusal


@pytest.mark.parametrize("emoji", ["🎓", "✅", "👎"])
async def test_a_reaction_to_a_refusal_offers_to_write_the_answer(
    refused: Scene, emoji: str
) -> None:
    await refused.react(2, emoji)

    assert await refused.examples() == []
    text = await refused.last_text()
    assert [button.label for button in text.buttons] == ["What should I have said?"]


async def test_the_answer_that_is_written_is_the_lesson(refused: Scene) -> None:
    await refused.react(2, "🎓")
    await refused.click("What should I have said?")
    await refused.submit(better="On Fridays.")

    taught = [one.row for one in await refused.examples() if "messages" in (one.row or {})]
    (row,) = taught
    assert "On Fridays." in str(row)
    assert "Hello from the model" not in str(row)


@pytest.mark.parametrize("shortcut", ["save", "improve"])
async def test_a_shortcut_opens_the_form_at_once(refused: Scene, shortcut: str) -> None:
    said = await refused.app.room.fetch_message(Place(LOCAL, GENERAL), ANSWER)
    assert said is not None

    reply = await refused.app.handle_for_page(
        refused.event(ShortcutUsed(shortcut, said), key="mark")
    )

    assert isinstance(reply, Form)
    assert reply.title == "What should I have said?"
    assert {field.name: field.value for field in reply.fields} == {"better": "", "never_again": ""}


async def test_a_click_on_thumbs_down_opens_the_form_at_once(refused: Scene) -> None:
    reply = await refused.app.handle_for_page(
        refused.event(ButtonClicked("feedback.bad", ANSWER), key="bad")
    )

    assert isinstance(reply, Form)
    assert reply.title == "What should I have said?"


async def test_the_refusal_itself_is_not_taken_as_the_answer(refused: Scene) -> None:
    turn = await turn_of(refused)
    values = {"better": " Hello from the model\n"}

    await refused.handle(refused.event(FormSubmitted(f"feedback:{turn.id}", values), key="same"))

    assert await refused.examples() == []
    assert "nothing to keep" in await refused.last()


async def test_a_refusal_saved_by_a_form_that_was_open_is_refused(refused: Scene) -> None:
    values = {"question": "how do I ship?", "answer": "Hello from the model"}

    await refused.handle(refused.event(FormSubmitted(f"save:{ANSWER}:2", values), key="save"))

    assert await refused.examples() == []


async def test_a_refusal_in_between_is_no_part_of_the_answer_that_follows(scene: Scene) -> None:
    scene.host.is_filtered = True
    await scene.say("@attune how do I ship?", by="mina")
    await scene.do("/reply 2 on fridays", by="ada")

    await scene.react(3, "🎓", by="omar")

    assert "Hello from the model" not in str([one.row for one in await scene.examples()])


async def test_below_messages_a_refusal_keeps_no_pointer(scene: Scene) -> None:
    scene.host.is_filtered = True
    said = scene.slack.hears("hi", by="mina")
    question = scene.spoken("hi", number=said.id)
    await scene.slack_event(question, key="ask", by="mina")
    answer = scene.slack.own_ids[-1]
    stand = Message(
        Place(SLACK, scene.slack.channel), answer, User(UserId("b"), "b"), "x", said.at, None, True
    )
    scene.slack.said.append(stand)

    await scene.slack_event(ReactionChanged(answer, "🎓"), key="mark", by="mina")

    assert await scene.examples(workspace=SLACK) == []
    send_ephemeral = scene.slack.whispers[-1]
    assert isinstance(send_ephemeral, Text)
    assert send_ephemeral.buttons[0].label == "Tell us why"


async def test_a_comparison_tells_which_answers_are_refusals(scene: Scene) -> None:
    scene.host.is_filtered = True
    what = FormSubmitted("compare", {"question": "hi", "who": "base"})
    reply = await scene.app.handle_for_page(scene.event(what, key="compare"))
    assert isinstance(reply, Comparison)
    (answer,) = reply.answers

    _ = [piece async for piece in answer.pieces]

    column = answer.final_column()
    assert column is not None
    assert column.is_refusal


async def test_a_picked_refusal_asks_for_the_answer(scene: Scene) -> None:
    await scene.app.handle_for_page(scene.event(CommandInvoked("help"), key="help"))
    what = FormSubmitted("prefer", {"question": "how do I ship?", "is_refusal": "yes"})

    reply = await scene.app.handle_for_page(scene.event(what, key="pick"))

    assert isinstance(reply, Form)
    assert (reply.id, reply.fields[0].value) == ("teach", "how do I ship?")
    assert await scene.examples() == []
