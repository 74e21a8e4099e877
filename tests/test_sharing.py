"""What somebody asks for comes to them alone; they can show it to the channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import pytest

from adapters.discord import embeds_and_modals as discord
from adapters.slack import block_kit as slack
from bot.command_catalogue import CATALOGUE
from bot.domain import (
    AssistantId,
    ChannelId,
    ChannelKind,
    ExampleState,
    MessageId,
    NewExample,
    Origin,
    Place,
    User,
    UserId,
)
from bot.events import ButtonClicked, CommandInvoked, EventContent, FormSubmitted
from bot.replies import Button, Card, Drawn, Listing, ListingRow, Text
from bot.rows import Method
from tests.fakes.platform import FakePlatform
from tests.scene import SLACK, Scene
from tests.stores import a_row

ADMIN = User(UserId("U1"), "ann", is_platform_admin=True)
MEMBER = User(UserId("U2"), "bob")
LINES = {
    "teach": None,  # a form
    "import": "import starter:limericks",
    "use": "use base",
    "compare": "compare what?",
    "assistant create": "assistant create name:second",
    "assistant edit": "assistant edit few_shot:3",
    "assistant bind": "assistant bind always:yes",
    "admin sources": None,  # a form
}
FOR_ALL = ("use", "assistant bind", "assistant unbind")
"""What changes who answers in the channel, which everybody in it hears."""
ASKED = [LINES.get(one.path, one.path) for one in CATALOGUE.commands]


def lesson(assistant: AssistantId, text: str, by: User) -> NewExample:
    return NewExample(
        assistant=assistant,
        method=Method.SUPERVISED,
        state=ExampleState.PROPOSED,
        row=a_row(text),
        origin=Origin.FORM,
        authors=(by.id,),
    )


async def let(
    scene: Scene, what: EventContent, key: str, *, by: User = ADMIN, kind: str = "open"
) -> None:
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


async def test_nothing_but_an_answer_is_said_to_all_who_read_along(scene: Scene) -> None:
    """Every command, on a platform that can whisper; but the channel hears what answers in it."""
    slack = scene.slack
    for number, line in enumerate(filter(None, ASKED)):
        slack.posts.clear()
        before = len(slack.whispers) + len(slack.files)
        await let(scene, CommandInvoked(line), f"e{number}")
        said = len(slack.whispers) + len(slack.files) + len(slack.posts)

        is_for_all = line.startswith(FOR_ALL)
        assert (line, [*slack.posts.values()] != []) == (line, is_for_all)
        assert (line, said) == (line, before + 1)


@pytest.mark.parametrize(
    "line",
    [
        "help",
        "examples search:two",
        "jobs",
        "status",
        "admin budget",
        "compare two",
        "admin budget person:5",
        "assistant edit few_shot:3",
    ],
)
async def test_its_button_shows_what_was_shown_to_the_channel(scene: Scene, line: str) -> None:
    for number in range(12):
        await teach(scene, f"lesson two {number}", by=MEMBER)
    await let(scene, CommandInvoked(line), "e1")
    button = share_of(scene.slack.whispers[-1])
    assert button is not None
    await scene.restart()

    await let(scene, ButtonClicked(button.action, MessageId("ephemeral:1")), "e2")
    await let(scene, ButtonClicked(button.action, MessageId("ephemeral:1")), "e3")

    (posted,) = scene.slack.posts.values()
    assert not posted.private
    assert share_of(posted) is None
    assert "Shared by ann." in str(posted)
    assert "action='" not in str(posted).replace("action=''", "")
    assert "lesson two" in str(posted) or line != "examples search:two"


async def test_what_a_form_has_done_is_told_to_its_sender(scene: Scene) -> None:
    allowing = {"sources": "forms", "permission": "ours"}
    await let(scene, FormSubmitted("sources", allowing), "e1")
    scene.slack.posts.clear()

    await let(scene, FormSubmitted("teach", {"question": "two?", "answer": "two!"}), "e2")

    assert scene.slack.posts == {}
    button = share_of(scene.slack.whispers[-1])
    assert button is not None
    await let(scene, ButtonClicked(button.action, MessageId("ephemeral:2")), "e3")
    (posted,) = scene.slack.posts.values()
    assert "Shared by ann." in str(posted)


async def refused(scene: Scene, action: str, by: User) -> str:
    key = f"click {len(scene.slack.whispers)}"
    await let(scene, ButtonClicked(action, MessageId("ephemeral:1")), key, by=by)
    assert scene.slack.posts == {}
    return str(scene.slack.whispers[-1])


async def test_only_what_one_was_shown_oneself_is_shared(scene: Scene) -> None:
    await let(scene, CommandInvoked("admin budget"), "e1")
    button = share_of(scene.slack.whispers[-1])
    assert button is not None
    before = await scene.audited("", SLACK)

    assert "no longer be shared" in await refused(scene, button.action, MEMBER)
    assert "no longer be shared" in await refused(scene, "share:77", ADMIN)
    assert "no longer be shared" in await refused(scene, "share:admin budget", ADMIN)
    demoted = replace(ADMIN, is_platform_admin=False)
    assert "admin" in await refused(scene, button.action, demoted)
    scene.advance(2 * 24 * 3600)
    assert "no longer be shared" in await refused(scene, button.action, ADMIN)
    assert await scene.audited("", SLACK) == before


async def test_what_was_erased_is_not_shared(scene: Scene) -> None:
    await teach(scene, "secret", by=MEMBER)
    await let(scene, CommandInvoked("examples"), "e1")
    button = share_of(scene.slack.whispers[-1])
    assert button is not None
    await let(scene, CommandInvoked("forget-me"), "e2", by=MEMBER)
    sure = scene.slack.whispers[-1]
    assert isinstance(sure, Card)
    click = ButtonClicked(sure.buttons[0].action, MessageId("ephemeral:1"))
    await let(scene, click, "e3", by=MEMBER)

    assert "no longer be shared" in await refused(scene, button.action, ADMIN)


@pytest.mark.parametrize("line", ["consent", "review", "admin guests", "assistant teach-next"])
async def test_what_concerns_one_person_alone_is_not_shared(scene: Scene, line: str) -> None:
    await let(scene, CommandInvoked(line), "e1")

    assert share_of(scene.slack.whispers[-1]) is None


async def test_between_the_two_of_us_there_is_nobody_to_share_with(scene: Scene) -> None:
    await let(scene, CommandInvoked("jobs"), "e1", kind="direct")

    assert share_of(scene.slack.whispers[-1]) is None


async def test_what_a_click_on_an_open_card_has_done_is_said_to_all(scene: Scene) -> None:
    """What it shows is not: that is for whoever wants to see it."""
    await let(scene, CommandInvoked("help"), "e1")
    use = ButtonClicked("model.use:0:base", MessageId("own0"))

    await let(scene, use, "e2")
    await let(scene, ButtonClicked("jobs.more:", MessageId("own0")), "e3")

    assert "answers with base" in str(scene.slack.posts)
    assert len(scene.slack.posts) == 1


async def test_who_answers_here_is_said_to_all_however_it_changed(scene: Scene) -> None:
    """By another base too, and by an undo; of an assistant that answers elsewhere it is not."""
    await let(scene, CommandInvoked("assistant create", {"name": "second"}), "e1")
    await let(scene, CommandInvoked("assistant edit", {"name": "second", "base": "other"}), "e2")
    assert scene.slack.posts == {}

    await let(scene, CommandInvoked("assistant edit", {"base": "other"}), "e3")
    assert said(scene) == ["“attune” is changed: it answers with other from now on."]

    await let(scene, CommandInvoked("assistant bind", {"name": "second"}), "e4")
    await let(scene, CommandInvoked("assistant unbind"), "e5")
    unbound = list(scene.slack.posts.values())[-1]
    assert isinstance(unbound, Text)
    await let(scene, ButtonClicked(unbound.buttons[0].action, MessageId("own2")), "e6")
    assert said(scene)[-1] == "Taken back by ann: it is as it was."


async def test_what_was_said_to_one_is_undone_before_one(scene: Scene) -> None:
    await let(scene, CommandInvoked("help"), "e1")
    granted = {"user": "U2", "role": "curator"}
    await let(scene, CommandInvoked("admin roles", granted), "e2")
    await let(scene, CommandInvoked("admin roles", {"user": "U2", "role": "none"}), "e3")
    revoked = scene.slack.whispers[-1]
    assert isinstance(revoked, Text)

    await let(scene, ButtonClicked(revoked.buttons[0].action, MessageId("ephemeral:e3")), "e4")

    assert "it is as it was" in str(scene.slack.whispers[-1])
    assert scene.slack.posts == {}


def said(scene: Scene) -> list[str]:
    return [one.text for one in scene.slack.posts.values() if isinstance(one, Text)]


@dataclass
class Reaching:
    """A platform that cannot whisper, but writes to one person."""

    inner: FakePlatform = field(default_factory=FakePlatform)
    posts: list[tuple[Place, Drawn]] = field(default_factory=list)

    async def find_direct_message_place(self, place: Place, user: UserId) -> Place:
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


@pytest.mark.parametrize(
    "payloads", [slack.reply_payloads, discord.reply_payloads], ids=["slack", "discord"]
)
def test_the_button_is_drawn(payloads: Callable[[Drawn], Sequence[object]]) -> None:
    listing = Listing("Jobs", (ListingRow("1", "one"),), share=Button("Share here", "share:jobs"))

    assert "share:jobs" in str(payloads(listing))
