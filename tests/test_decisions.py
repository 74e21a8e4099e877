"""A decision is about the state that was shown: cards follow it, and late clicks change nothing."""

from __future__ import annotations

import pytest

from adapters.local_room import render_message
from bot.command_catalogue import CATALOGUE
from bot.domain import LOCAL, ChannelId, Example, ExampleState, MessageId, Role
from bot.events import ButtonClicked, CommandInvoked, FormSubmitted
from bot.examples.example_buttons import examples_in_buttons
from bot.keyed_order import KeyedOrder
from bot.replies import Button, Card, Drawn, Listing, ListingRow, Refused, Text
from tests.scene import Scene

PROPOSED, APPROVED = ExampleState.PROPOSED, ExampleState.APPROVED
REJECTED, WITHDRAWN = ExampleState.REJECTED, ExampleState.WITHDRAWN
OTHER = ChannelId("other")
DECIDING = {
    "example.approve": APPROVED,
    "example.reject": REJECTED,
    "example.drop": WITHDRAWN,
    "example.undo": PROPOSED,
}


async def proposed(scene: Scene, count: int = 1) -> None:
    await scene.do("/tune help")
    await scene.grant("cora", Role.CURATOR)
    await scene.grant("ben", Role.CURATOR)
    for number in range(count):
        lesson = {"question": f"when {number}?", "answer": f"at {number}"}
        await scene.handle(scene.event(FormSubmitted("teach", lesson), key=f"t{number}", by="mina"))


async def example(scene: Scene, number: int = 1) -> Example:
    return next(one for one in await scene.examples() if one.id == number)


async def click(scene: Scene, action: str, *, by: str, on: MessageId | None = None) -> None:
    key = f"{action} {by} {on} {len(await scene.messages())} {scene.clock.now()}"
    await scene.handle(scene.event(ButtonClicked(action, on), key=key, by=by))


async def card_in(scene: Scene, channel: ChannelId) -> Drawn:
    """The newest message of a channel, as it stands now."""
    return render_message((await scene.app.room.recent(channel, limit=50))[-1])


async def review_in(scene: Scene, channel: ChannelId, *, by: str) -> MessageId:
    await scene.handle(
        scene.event(CommandInvoked("review"), key=f"review {channel}", by=by, channel=channel)
    )
    number = (await scene.app.room.recent(channel, limit=50))[-1].number
    return MessageId(str(number))


async def move(scene: Scene, state: ExampleState, *, by: str) -> None:
    """Somebody else decides, with a button that is as new as can be."""
    found = await example(scene)
    action = next(name for name, wanted in DECIDING.items() if wanted is state)
    await click(scene, f"{action}:1.r{found.revision}.{found.state}", by=by)


@pytest.mark.parametrize("action", DECIDING)
async def test_a_second_click_changes_and_notes_nothing(scene: Scene, action: str) -> None:
    await proposed(scene)
    if action == "example.undo":
        await move(scene, REJECTED, by="ben")
    before = await example(scene)
    button = f"{action}:1.r1.{before.state}"

    await click(scene, button, by="cora")
    noted = await scene.audited("example.")
    await click(scene, button, by="cora")

    assert (await example(scene)).state is DECIDING[action]
    assert await scene.audited("example.") == noted


@pytest.mark.parametrize("action", DECIDING)
@pytest.mark.parametrize("meanwhile", [APPROVED, REJECTED, WITHDRAWN])
async def test_a_click_after_somebody_else_decided_is_refused_with_their_name(
    scene: Scene, action: str, meanwhile: ExampleState
) -> None:
    await proposed(scene)
    shown = PROPOSED if action != "example.undo" else WITHDRAWN
    await move(scene, meanwhile, by="ben")
    if shown is meanwhile:
        await move(scene, PROPOSED, by="ben")
        meanwhile = PROPOSED

    reply = await scene.app.handle_for_page(
        scene.event(ButtonClicked(f"{action}:1.r1.{shown}"), key="late", by="cora")
    )

    assert isinstance(reply, Refused)
    assert "ben" in reply.text
    assert isinstance(reply.card, Card)
    assert any(f"1.r1.{meanwhile}" in button.action for button in reply.card.buttons)
    assert (await example(scene)).state is meanwhile


@pytest.mark.parametrize("action", DECIDING)
@pytest.mark.parametrize("shown", ["1", "1.r2.proposed", "1.r1.nonsense", "1.r1.proposed.x"])
async def test_a_click_that_names_no_state_that_holds_is_refused(
    scene: Scene, action: str, shown: str
) -> None:
    await proposed(scene)

    await click(scene, f"{action}:{shown}", by="cora")

    assert (await example(scene)).state is PROPOSED
    assert await scene.audited("example.") == 1


async def test_an_edit_after_the_card_was_drawn_makes_its_buttons_old(scene: Scene) -> None:
    await proposed(scene)
    form = FormSubmitted("example.edit:1:1", {"answer": "at noon"})
    await scene.handle(scene.event(form, key="edit", by="ben"))

    await click(scene, "example.approve:1.r1.proposed", by="cora")

    assert (await example(scene)).state is PROPOSED


async def test_every_card_of_a_decided_example_loses_its_buttons(scene: Scene) -> None:
    await proposed(scene)
    await review_in(scene, OTHER, by="ben")
    await scene.command("review", by="cora")

    await scene.click("Reject", by="cora")
    await scene.settle()

    card = await card_in(scene, OTHER)
    assert isinstance(card, Card)
    assert card.buttons == ()
    assert "rejected (cora)" in str(card.lines)


async def test_a_rejected_example_does_not_come_back_by_a_card_that_still_stood(
    scene: Scene,
) -> None:
    await proposed(scene)
    standing = await review_in(scene, OTHER, by="ben")
    await scene.command("review", by="cora")
    await scene.click("Reject", by="cora")

    await click(scene, "example.approve:1.r1.proposed", by="ben", on=standing)

    assert (await example(scene)).state is REJECTED


async def test_a_card_whose_example_waits_again_has_its_buttons_again(scene: Scene) -> None:
    await proposed(scene)
    await review_in(scene, OTHER, by="ben")
    await move(scene, REJECTED, by="cora")
    await scene.settle()

    await move(scene, PROPOSED, by="cora")
    await scene.settle()

    card = await card_in(scene, OTHER)
    assert isinstance(card, Card)
    assert card.buttons[0].action == "example.approve:1.r1.proposed"


async def test_a_list_shows_what_was_decided_since(scene: Scene) -> None:
    await proposed(scene, 3)
    await scene.command("examples", by="cora")

    await move(scene, WITHDRAWN, by="ben")
    await scene.settle()

    listing = await scene.last_listing()
    third, second, first = listing.lines
    assert "withdrawn" in first.note
    assert "proposed" in third.note
    assert "example.drop:2.r1.proposed" in str(second.buttons)


async def test_the_queue_goes_on_where_a_card_was_clicked(scene: Scene) -> None:
    await proposed(scene, 2)
    await scene.command("review", by="cora")

    await scene.click("Approve", by="cora")
    await scene.settle()

    card = await scene.last_card()
    assert "Example 2" in card.title
    assert "example.approve:2.r1.proposed" in str(card.buttons)


async def test_a_decision_is_not_refused_when_its_event_runs_again(scene: Scene) -> None:
    """A crash after the decision and before its event was done."""
    await proposed(scene)
    event = scene.event(ButtonClicked("example.reject:1.r1.proposed"), key="e", by="cora")
    await scene.handle(event)

    await scene.app.dispatch._run(event, KeyedOrder().enqueue(()))

    assert "not what the button was for" not in await scene.last()
    assert (await example(scene)).state is REJECTED


async def test_a_source_that_its_author_edits_redraws_the_cards(scene: Scene) -> None:
    await scene.say("when do you open?", by="mina")
    await scene.do("/reply 1 at nine", by="ada")
    await scene.react(2, "🎓")
    await scene.command("review")

    await scene.do("/edit 2 at ten", by="ada")
    await scene.settle()

    assert "at ten" in str((await scene.last_card()).lines)


async def test_bulk_leaves_what_was_decided_meanwhile(scene: Scene) -> None:
    await proposed(scene, 3)
    await move(scene, REJECTED, by="ben")

    chosen = ",".join(f"{number}.r1.proposed" for number in (1, 2, 3))
    reply = await scene.app.handle_for_page(
        scene.event(FormSubmitted("examples:approved", {"ids": chosen}), key="bulk", by="cora")
    )

    assert isinstance(reply, Text)
    assert "meanwhile" in reply.text
    assert [one.state for one in await scene.examples()] == [REJECTED, APPROVED, APPROVED]


async def test_a_command_decides_about_what_there_is(scene: Scene) -> None:
    await proposed(scene)

    await scene.command("examples withdraw:1")

    assert (await example(scene)).state is WITHDRAWN


def test_every_button_that_decides_about_examples_is_tried_here() -> None:
    looks = {"show", "revisions", "similar", "context", "lineage", "edit", "skip"}
    writes = {"write", "write_page"}
    # They look at the state for themselves, and each says what it does.
    marks = {"must_answer", "not_must_answer", "teach", "mask", "keep", "assign", "ask_author"}
    named = {deed.name for deed in CATALOGUE.buttons if deed.name.startswith("example.")}

    assert named == set(DECIDING) | {f"example.{name}" for name in looks | writes | marks}


def test_examples_are_told_from_all_buttons() -> None:
    card = Card("x", buttons=(Button("a", "example.approve:7.r2.proposed"), Button("b", "save:3")))
    lines = (ListingRow("8", "", buttons=(Button("c", "example.drop:8.r1.approved"),)),)

    assert examples_in_buttons(card) == {7: "7.r2.proposed"}
    assert examples_in_buttons(Listing("x", lines)) == {8: "8.r1.approved"}


async def test_a_card_that_is_gone_is_let_go(scene: Scene) -> None:
    await proposed(scene)
    await scene.command("review")
    await scene.app.room.delete_message((await scene.messages())[-1].number)

    await move(scene, REJECTED, by="ben")
    await scene.settle()

    async with scene.database.reading() as records:
        assert await records.outbox.is_empty(LOCAL)
