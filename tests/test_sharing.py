"""Lists are for the asker alone; whoever may see one can show it to the channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from adapters.discord import outbound as discord
from adapters.slack import outbound as slack
from bot.catalogue import CATALOGUE
from bot.domain import (
    AssistantId,
    ChannelId,
    ChannelKind,
    ExampleState,
    MessageId,
    NewExample,
    Origin,
    Place,
    Role,
    User,
    UserId,
)
from bot.events import ButtonClicked, CommandInvoked, What
from bot.replies import Button, Card, Drawn, Listing, ListingRow
from bot.rows import Method
from tests.fakes.platform import FakePlatform
from tests.scene import SLACK, Scene
from tests.stores import a_row

ADMIN = User(UserId("U1"), "ann", is_platform_admin=True)
MEMBER = User(UserId("U2"), "bob")
COMMANDS = CATALOGUE.commands
PRIVATE = [command.path for command in COMMANDS if command.is_private]
SHAREABLE = [command.path for command in COMMANDS if command.is_shareable]


def lesson(assistant: AssistantId, text: str, by: User) -> NewExample:
    return NewExample(
        assistant=assistant,
        method=Method.SUPERVISED,
        state=ExampleState.PROPOSED,
        row=a_row(text),
        origin=Origin.FORM,
        authors=(by.id,),
    )


async def let(scene: Scene, what: What, key: str, *, by: User = ADMIN, kind: str = "open") -> None:
    place = {"workspace": SLACK, "channel": ChannelId("C1"), "kind": ChannelKind(kind)}
    await scene.handle(scene.event(what, key=key, by=by, **place))


async def teach(scene: Scene, text: str, *, by: User) -> None:
    """A lesson of one person's, whatever the workspace allows."""
    await let(scene, CommandInvoked("help"), f"settle {text}", by=by)
    async with scene.store.writing() as records:
        assistant = await records.assistants.default(SLACK)
        assert assistant is not None
        await records.examples.add(SLACK, lesson(assistant.id, text, by), at=scene.clock.now())
    scene.slack.whispers.clear()


def share_of(reply: Drawn) -> Button | None:
    if isinstance(reply, Listing):
        return reply.share
    shown = [one for one in reply.buttons if one.action.startswith("share:")]
    return shown[0] if shown else None


def test_the_lists_are_those_that_are_named() -> None:
    named = {"examples", "jobs", "models", "help", "admin audit", "admin roles", "admin budget"}

    assert named <= set(SHAREABLE) <= set(PRIVATE)


@pytest.mark.parametrize("path", PRIVATE)
async def test_a_list_is_for_the_asker_alone(scene: Scene, path: str) -> None:
    await let(scene, CommandInvoked(path), "e1")

    assert scene.slack.posts == {}
    assert len(scene.slack.whispers) == 1


@pytest.mark.parametrize("path", SHAREABLE)
async def test_its_button_shows_it_to_the_channel(scene: Scene, path: str) -> None:
    await let(scene, CommandInvoked(path), "e1")
    button = share_of(scene.slack.whispers[-1])
    assert button is not None

    await let(scene, ButtonClicked(button.action, MessageId("ephemeral:1")), "e2")

    (posted,) = scene.slack.posts.values()
    assert isinstance(posted, Card | Listing)
    assert not posted.private
    assert share_of(posted) is None


async def test_what_is_shared_keeps_its_filters(scene: Scene) -> None:
    await teach(scene, "one", by=MEMBER)
    await teach(scene, "two", by=MEMBER)
    await let(scene, CommandInvoked("examples search:two"), "e1")
    button = share_of(scene.slack.whispers[-1])
    assert button is not None

    await let(scene, ButtonClicked(button.action), "e2")

    posted = str(list(scene.slack.posts.values()))
    assert "two" in posted
    assert "'one" not in posted


async def test_a_member_shares_only_what_is_their_own(scene: Scene) -> None:
    await teach(scene, "hers", by=ADMIN)
    await teach(scene, "his", by=MEMBER)

    await let(scene, ButtonClicked("share:examples"), "e1", by=MEMBER)

    posted = str(list(scene.slack.posts.values()))
    assert "his" in posted
    assert "hers" not in posted


async def test_what_is_shared_cannot_be_clicked(scene: Scene) -> None:
    for number in range(12):
        await teach(scene, f"lesson {number}", by=MEMBER)

    await let(scene, ButtonClicked("share:examples"), "e1")

    (posted,) = scene.slack.posts.values()
    assert isinstance(posted, Listing)
    assert posted.more is None
    assert not any(line.buttons for line in posted.lines)


@pytest.mark.parametrize("path", [one.path for one in COMMANDS if one.role > Role.MEMBER])
async def test_nobody_shares_what_they_may_not_see(scene: Scene, path: str) -> None:
    await let(scene, ButtonClicked(f"share:{path}"), "e1", by=MEMBER)

    assert scene.slack.posts == {}


@pytest.mark.parametrize("path", [one.path for one in COMMANDS if not one.is_shareable])
async def test_a_command_that_is_no_list_is_not_run_by_sharing(scene: Scene, path: str) -> None:
    await let(scene, CommandInvoked("help"), "e0")
    before = await scene.audited("", SLACK)

    await let(scene, ButtonClicked(f"share:{path}"), "e1")

    assert scene.slack.posts == {}
    assert await scene.audited("", SLACK) == before


async def test_between_the_two_of_us_there_is_nobody_to_share_with(scene: Scene) -> None:
    await let(scene, CommandInvoked("jobs"), "e1", kind="direct")

    assert share_of(scene.slack.whispers[-1]) is None


async def test_the_next_page_is_for_the_asker_too(scene: Scene) -> None:
    await let(scene, ButtonClicked("jobs.more:"), "e1")

    assert scene.slack.posts == {}


@pytest.mark.parametrize("deed", [deed.name for deed in CATALOGUE.buttons if deed.is_private])
async def test_what_a_private_button_shows_is_for_the_clicker_alone(
    scene: Scene, deed: str
) -> None:
    await teach(scene, "lesson", by=MEMBER)

    await let(scene, ButtonClicked(f"{deed}:1"), "e1")

    assert scene.slack.posts == {}
    assert len(scene.slack.whispers) == 1


@dataclass
class Reaching:
    """A platform that cannot whisper, but writes to one person."""

    inner: FakePlatform = field(default_factory=FakePlatform)
    posts: list[tuple[Place, Drawn]] = field(default_factory=list)

    async def direct(self, place: Place, user: UserId) -> Place:
        return Place(place.workspace, ChannelId(f"D{user}"), kind=ChannelKind.DIRECT)

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        self.posts.append((place, reply))
        return MessageId("own0")

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None:
        raise NotImplementedError

    react = fetch = history = messages_before = edit


async def test_where_nothing_can_be_whispered_a_list_comes_as_a_direct_message(
    scene: Scene,
) -> None:
    reaching = Reaching()
    scene.surfaces["slack"] = reaching  # type: ignore[assignment]
    await scene.restart()

    await let(scene, CommandInvoked("jobs"), "e1")

    ((place, _),) = reaching.posts
    assert place.channel == "DU1"


async def test_in_the_local_room_it_stays_in_the_room(scene: Scene) -> None:
    await scene.command("jobs")

    listing = await scene.last_listing()
    assert not listing.private
    assert listing.share is None


@pytest.mark.parametrize("payloads", [slack.payloads, discord.payloads], ids=["slack", "discord"])
def test_the_button_is_drawn(payloads: Callable[[Drawn], Sequence[object]]) -> None:
    listing = Listing("Jobs", (ListingRow("1", "one"),), share=Button("Share here", "share:jobs"))

    assert "share:jobs" in str(payloads(listing))
