"""A person or channel that is named exists, as far as its platform can tell."""

from __future__ import annotations

import pytest

from bot.domain import LOCAL, ChannelId, Place, Role, User, UserId
from bot.events import ButtonClicked, CommandInvoked, EventContent, FormSubmitted
from bot.replies import Listing, Refused, Reply, Text
from tests.fakes.platform import FakePlatform
from tests.scene import SLACK, Scene

ADMIN = User(UserId("U1"), "ann", is_platform_admin=True)
OPERATOR = User(UserId("you"), "you", is_operator=True)
KNOWN = User(UserId("U5"), "mia")


class Telephone(FakePlatform):
    """A platform that knows its people and channels."""

    async def find_person(self, place: Place, typed: str) -> User | None:
        return KNOWN if typed == KNOWN.id else None

    async def has_channel(self, place: Place) -> bool:
        return place.channel == self.channel


@pytest.fixture
async def known(scene: Scene) -> Scene:
    scene.slack = Telephone()
    scene.surfaces["slack"] = scene.slack
    await scene.restart()
    await let(scene, CommandInvoked("help"), "settle")
    return scene


async def let(scene: Scene, what: EventContent, key: str) -> None:
    await scene.slack_event(what, key=key, by=ADMIN)


async def on_page(scene: Scene, what: EventContent, key: str, *, channel: str) -> Reply:
    """As the studio asks, where a channel is typed."""
    place = {"workspace": SLACK, "channel": ChannelId(channel)}
    return await scene.app.handle_for_page(scene.event(what, key=key, by=OPERATOR, **place))


async def granted(scene: Scene) -> dict[str, Role]:
    async with scene.database.reading() as records:
        return dict(await records.roles.all(SLACK))


async def bound(scene: Scene) -> list[str]:
    async with scene.database.reading() as records:
        return [one.channel for one in await records.assistants.bindings(SLACK)]


@pytest.mark.parametrize("said", ["U404", "nobody", "mia", "U5 trainer"])
async def test_nobody_who_does_not_exist_gets_a_role(known: Scene, said: str) -> None:
    await let(known, CommandInvoked("admin roles", {"user": said, "role": "trainer"}), "grant")

    assert await granted(known) == {}
    assert said in str(known.slack.whispers[-1])


async def test_who_exists_gets_it_and_it_can_be_taken_back_beside_it(known: Scene) -> None:
    await let(known, CommandInvoked("admin roles U5 role:trainer"), "grant")
    before = await granted(known)
    said = known.slack.whispers[-1]
    assert isinstance(said, Text)

    await let(known, ButtonClicked(said.buttons[0].action), "back")

    assert before == {KNOWN.id: Role.TRAINER}
    assert await granted(known) == {}


async def test_the_list_of_roles_has_the_button_for_admins(known: Scene) -> None:
    await let(known, CommandInvoked("admin roles U5 role:trainer"), "grant")

    await let(known, CommandInvoked("admin roles"), "list")

    listing = known.slack.whispers[-1]
    assert isinstance(listing, Listing)
    assert listing.lines[0].buttons[0].action == f"role.take_back:{int(Role.TRAINER)}:U5"


async def test_a_role_without_a_person_is_refused(known: Scene) -> None:
    await let(known, CommandInvoked("admin roles role:trainer"), "grant")

    assert "user" in str(known.slack.whispers[-1])


async def test_a_channel_that_does_not_exist_is_not_bound(known: Scene) -> None:
    reply = await on_page(known, CommandInvoked("assistant bind"), "bind", channel="nowhere")

    assert isinstance(reply, Refused)
    assert "nowhere" in reply.text
    assert await bound(known) == []


async def test_a_channel_that_exists_is_bound_and_unbound_beside_it(known: Scene) -> None:
    reply = await on_page(known, CommandInvoked("assistant bind"), "bind", channel="C1")
    before = await bound(known)
    assert isinstance(reply, Text)

    await on_page(known, ButtonClicked(reply.buttons[0].action), "unbind", channel="elsewhere")

    assert before == ["C1"]
    assert await bound(known) == []


async def test_the_list_of_bindings_has_the_button_too(known: Scene) -> None:
    bind = CommandInvoked("assistant bind", {"threads": "yes"})
    await on_page(known, bind, "bind", channel="C1")

    listing = await on_page(known, ButtonClicked("bindings"), "list", channel="C1")

    assert isinstance(listing, Listing)
    assert listing.lines[0].note == "answers when mentioned · each question in a thread of its own"
    assert listing.lines[0].buttons[0].action == "assistant.unbind:1:C1"


async def test_in_the_local_room_a_channel_is_where_something_was_said(scene: Scene) -> None:
    await scene.say("hello")
    asked = [
        scene.event(
            CommandInvoked("assistant bind"),
            key=f"bind {name}",
            by=OPERATOR,
            channel=ChannelId(name),
        )
        for name in ("general", "nowhere")
    ]
    replies = [await scene.app.handle_for_page(event) for event in asked]

    async with scene.database.reading() as records:
        found = [one.channel for one in await records.assistants.bindings(LOCAL)]
    assert found == ["general"]
    assert isinstance(replies[1], Refused)


async def test_the_audit_names_things_as_people_do(scene: Scene) -> None:
    """No ids, no `None`, no names of the code."""
    job = await scene.tuned("use:no")
    await scene.command("use latest share:25%")
    await scene.command("admin budget person:5000")
    await scene.command("admin guests where:everywhere")
    await scene.settle()

    await scene.command("admin audit limit:200")
    notes = [line.note for line in (await scene.last_listing()).lines]

    assert job.model is not None
    assert not any(word in note for note in notes for word in ("None", "_", job.model))
    assert "attune 1 · 25%" in notes
    assert "5,000 tokens a day for each person · no cap for all · no cap on training" in notes
    assert "in every channel" in notes
    confirmed = [note for note in notes if note.startswith("training 1 · ")]
    assert len(confirmed) == 1, notes
    assert confirmed[0].endswith(" rows · free")


async def test_the_audit_says_what_a_cap_on_training_is_as_prices_are_said(scene: Scene) -> None:
    for cap in ("1234.5", "0"):
        await scene.command(f"admin budget training:{cap}")

    await scene.command("admin audit")

    notes = str([line.note for line in (await scene.last_listing()).lines])
    assert "$1,234.50 a month for training" in notes
    assert "$0.00 a month for training" in notes


async def test_the_audit_says_that_masking_was_switched_off(scene: Scene) -> None:
    scene.admins = "slack:ada"
    await scene.restart()
    values = {"sources": "forms", "allowed": "", "permission": "Letter of 3 May"}
    for mask in ("yes", "no"):
        form = FormSubmitted("sources", {**values, "mask": mask})
        await scene.slack_event(form, key=mask, by="ada")

    await scene.slack_event(CommandInvoked("admin audit"), key="audit", by="ada")

    listing = scene.slack.whispers[-1]
    assert isinstance(listing, Listing)
    notes = [line.note for line in listing.lines]
    assert "private text need not be masked" in notes[0]
    assert "private text has to be masked" in notes[1]


async def test_an_audit_entry_with_an_unexpected_value_is_still_shown(scene: Scene) -> None:
    async with scene.store.writing() as records:
        now = scene.clock.now()
        await records.audit.add(LOCAL, None, "canary.share", at=now, share="a half")
        await records.audit.add(LOCAL, None, "examples.deleted_at_source", at=now, examples=[3, 4])

    await scene.command("admin audit")

    notes = [line.note for line in (await scene.last_listing()).lines]
    assert {"a half", "2 examples"} <= set(notes)
