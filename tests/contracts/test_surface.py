"""Contract tests of every surface: the local room, Slack through Bolt, Discord through
discord.py.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from bot.domain import LOCAL, ChannelId, MessageId, Place, UserId, WorkspaceId
from bot.errors import EmptyAnswer, MessageGone
from bot.ports.surface import CanStream, Surface
from bot.replies import (
    Button,
    Card,
    Column,
    Drawn,
    Fact,
    Listing,
    ListingRow,
    Progress,
    Stream,
    Text,
)
from tests.discord_scene import HERE, discord_scene
from tests.discord_scene import Scene as DiscordScene
from tests.fakes.discord import ANN, GENERAL
from tests.fakes.room_scene import MINA, RoomScene
from tests.slack_scene import Scene as SlackScene
from tests.slack_scene import slack_scene

ASKER = UserId("U2")


class Stage:
    """A surface, a place on it, and what users see there."""

    def __init__(self, surface: Surface, place: Place) -> None:
        self.surface = surface
        self.place = place

    async def texts(self) -> list[str]:
        raise NotImplementedError

    async def say(self, text: str, *, after: MessageId | None = None) -> MessageId:
        """Posts a user's message; `after` is the message it answers, in its thread if there is
        one.
        """
        raise NotImplementedError

    async def delete(self, message: MessageId) -> None:
        raise NotImplementedError

    async def reactions(self, message: MessageId) -> list[str]:
        """Returns the emoji below a message, once per user."""
        raise NotImplementedError


@pytest.fixture(params=["room", "slack", "discord"])
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    if request.param == "room":
        yield room_stage(tmp_path)
        return
    if request.param == "discord":
        async with discord_scene(tmp_path) as scene:
            yield discord_stage(scene)
        return
    async with slack_scene(tmp_path) as scene_:
        yield slack_stage(scene_)


def slack_stage(scene: SlackScene) -> Stage:
    assert scene.app is not None
    scene.slack.tiers.is_on = False
    team = WorkspaceId("slack:T1")
    root = MessageId(scene.slack.put("U2", "C1", "the root"))
    slack = scene.slack

    class SlackStage(Stage):
        async def texts(self) -> list[str]:
            return slack.texts("C1")

        async def say(self, text: str, *, after: MessageId | None = None) -> MessageId:
            return MessageId(slack.put("U2", "C1", text, thread=root))

        async def delete(self, message: MessageId) -> None:
            slack.delete("C1", message)

        async def reactions(self, message: MessageId) -> list[str]:
            stored = slack.channels["C1"].find(message)
            assert stored is not None
            return ["🎓" if name == "mortar_board" else name for name in stored["reactions"]]

    return SlackStage(scene.app.surfaces.surface_of(team), Place(team, ChannelId("C1"), root))


def discord_stage(scene: DiscordScene) -> Stage:
    discord = scene.discord

    class DiscordStage(Stage):
        async def texts(self) -> list[str]:
            return discord.texts(GENERAL)

        async def say(self, text: str, *, after: MessageId | None = None) -> MessageId:
            return MessageId(discord.put(ANN, GENERAL, text, answers=after))

        async def delete(self, message: MessageId) -> None:
            discord.delete(GENERAL, message)

        async def reactions(self, message: MessageId) -> list[str]:
            return list(discord.channels[GENERAL].messages[message]["reactions"])

    return DiscordStage(scene.surface, HERE)


def room_stage(folder: Path) -> Stage:
    scene = RoomScene(folder)

    class RoomStage(Stage):
        async def texts(self) -> list[str]:
            return [m.text for m in scene.store.room.messages.values() if m.is_own]

        async def say(self, text: str, *, after: MessageId | None = None) -> MessageId:
            message = await scene.room.post_as_person(
                self.place.channel,
                MINA,
                text,
                reply_to=None if after is None else int(after),
            )
            return MessageId(str(message.number))

        async def delete(self, message: MessageId) -> None:
            del scene.store.room.messages[int(message)]

        async def reactions(self, message: MessageId) -> list[str]:
            return [emoji for emoji, _ in scene.store.room.messages[int(message)].reactions]

    return RoomStage(scene.room, Place(LOCAL, ChannelId("general")))


def pieces(*texts: str) -> AsyncGenerator[str]:
    async def flow() -> AsyncGenerator[str]:
        for text in texts:
            yield text

    return flow()


async def stream(stage: Stage, *texts: str, key: str = "k") -> tuple[MessageId, list[MessageId]]:
    posted: list[MessageId] = []

    async def note(message: MessageId) -> None:
        posted.append(message)

    assert isinstance(stage.surface, CanStream)
    buttons = (Button("👍", "feedback.good"), Button("👎", "feedback.bad"))
    answer = Stream(pieces(*texts), note, lambda: buttons)
    message = await stage.surface.stream(stage.place, answer, key=key, asker=ASKER)
    return message, posted


async def test_a_post_stands(stage: Stage) -> None:
    await stage.surface.post(stage.place, Text("hello"), key="a")

    assert await stage.texts() == ["hello"]


async def test_a_second_post_with_the_same_key_edits(stage: Stage) -> None:
    first = await stage.surface.post(stage.place, Text("one"), key="a")
    second = await stage.surface.post(stage.place, Text("two"), key="a")

    assert first == second
    assert await stage.texts() == ["two"]


async def test_different_keys_are_different_posts(stage: Stage) -> None:
    await stage.surface.post(stage.place, Text("one"), key="a")
    await stage.surface.post(stage.place, Text("two"), key="b")

    assert await stage.texts() == ["one", "two"]


async def test_an_edit_takes_the_place(stage: Stage) -> None:
    message = await stage.surface.post(stage.place, Text("one"), key="a")

    await stage.surface.edit(stage.place, message, Text("two"))

    assert await stage.texts() == ["two"]


async def test_what_is_gone_cannot_be_edited(stage: Stage) -> None:
    message = await stage.surface.post(stage.place, Text("one"), key="a")
    await stage.delete(message)

    with pytest.raises(MessageGone):
        await stage.surface.edit(stage.place, message, Text("two"))


@pytest.mark.parametrize(
    "reply",
    [
        Text("A text", buttons=(Button("Go", "go"),)),
        Card("A card", ("line",), (Fact("a", "b"),), (Column("c", "d", "e"),)),
        Card("A bar", progress=Progress(1, 2)),
        Listing("A list", (ListingRow("1", "one", "note", (Button("Go", "go:1"),)),)),
        Listing("A list", (), empty="Nothing"),
    ],
)
async def test_every_kind_of_reply_can_be_shown(stage: Stage, reply: Drawn) -> None:
    await stage.surface.post(stage.place, reply, key="a")

    (text,) = await stage.texts()
    assert text.startswith(reply.text if isinstance(reply, Text) else reply.title)


async def test_a_message_can_be_fetched(stage: Stage) -> None:
    message = await stage.say("What is neon?")

    fetched = await stage.surface.fetch_message(stage.place, message)

    assert fetched is not None
    assert (fetched.id, fetched.text, fetched.is_own) == (message, "What is neon?", False)


async def test_what_never_was_is_fetched_as_nothing(stage: Stage) -> None:
    assert await stage.surface.fetch_message(stage.place, MessageId("99")) is None


async def test_history_is_what_was_said_before_oldest_first(stage: Stage) -> None:
    first = await stage.say("one")
    second = await stage.say("two", after=first)
    third = await stage.say("three", after=second)

    history = await stage.surface.thread_before(stage.place, third, 2)

    assert [message.text for message in history] == ["one", "two"]


async def test_ones_own_words_are_known_as_such(stage: Stage) -> None:
    message = await stage.surface.post(stage.place, Text("mine"), key="a")

    fetched = await stage.surface.fetch_message(stage.place, message)

    assert fetched is not None
    assert fetched.is_own


async def test_a_reaction_put_twice_stands_once(stage: Stage) -> None:
    message = await stage.say("What is neon?")

    await stage.surface.react(stage.place, message, "🎓")
    await stage.surface.react(stage.place, message, "🎓")

    assert await stage.reactions(message) == ["🎓"]


async def test_a_stream_becomes_one_message(stage: Stage) -> None:
    message, posted = await stream(stage, "One", " two", " three")

    assert posted == [message]
    assert (await stage.texts())[0].startswith("One two three")


async def test_white_space_alone_is_no_answer(stage: Stage) -> None:
    with pytest.raises(EmptyAnswer):
        await stream(stage, " ", "\n")

    assert await stage.texts() == []


async def test_when_a_stream_breaks_what_was_shown_stays(stage: Stage) -> None:
    async def broken() -> AsyncGenerator[str]:
        yield "One"
        raise ValueError

    async def note(message: MessageId) -> None:
        return None

    assert isinstance(stage.surface, CanStream)
    with pytest.raises(ValueError):
        await stage.surface.stream(stage.place, Stream(broken(), note), key="k", asker=ASKER)

    assert await stage.texts() == ["One"]
