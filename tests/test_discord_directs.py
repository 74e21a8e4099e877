"""A direct message belongs to one server: chosen by its writer, said, switched, and kept."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bot.domain import (
    ChannelId,
    ExampleFilter,
    ExampleId,
    ExampleSource,
    Grant,
    MessageId,
    NewExample,
    Origin,
    Role,
    UserId,
    WorkspaceId,
)
from bot.domain import ExampleState as State
from bot.rows import Method
from tests.discord_scene import TEAM, Scene
from tests.fakes.discord import ADMIN, ANN, GENERAL, GUILD
from tests.fakes.discord_rest import Fault, labels, shown
from tests.fakes.discord_rules import Json
from tests.waiting import until

ANSWER = "Hello from the model"
OTHER = WorkspaceId("discord:30")
MEMBER = "GET /guilds/{guild}/members/{user}"


async def shared_by_two(scene: Scene, *, user: str = ANN) -> str:
    """Somebody is in two servers with the bot; the channel between them and the bot."""
    scene.discord.join("30")
    scene.discord.rename("30", "Other")
    scene.discord.rename(GUILD, "Home")
    await scene.hear("3020")
    await scene.settled()
    assert user in scene.discord.guilds["30"].members
    return scene.discord.direct(user)


async def asked(scene: Scene, channel: str) -> Json:
    await until(lambda: bool(scene.discord.own(channel)), lambda: str(scene.discord.refusals))
    return scene.discord.own(channel)[0]


async def chosen(scene: Scene, name: str, *, user: str = ANN) -> str:
    """A person in two servers has chosen one of them, and got an answer."""
    channel = await shared_by_two(scene, user=user)
    scene.discord.say(user, channel, "hello")
    question = await asked(scene, channel)
    scene.discord.click(user, question, name)
    await scene.hear(channel, 2)
    return channel


async def turns(scene: Scene, workspace: WorkspaceId, user: str = ANN) -> list[str]:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return [one.question for one in await records.turns.by_asker(workspace, UserId(user))]


async def role(scene: Scene, workspace: WorkspaceId, user: str) -> Role | None:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        grant = await records.roles.get(workspace, UserId(user))
    return None if grant is None else grant.role


async def granted(scene: Scene, workspace: WorkspaceId, user: str) -> None:
    assert scene.app is not None
    async with scene.app.store.writing() as records:
        await records.roles.set_grant(
            workspace, UserId(user), Grant(Role.CURATOR, datetime.now(UTC))
        )


def forget_members(scene: Scene) -> None:
    """A minute passes, after which Discord is asked again."""
    assert scene.app is not None
    assert scene.app.discord is not None
    scene.app.discord._direct_messages_or_fail()._directs._members.forget()


async def test_the_only_shared_server_answers_at_once(in_discord: Scene) -> None:
    channel = in_discord.discord.direct(ANN)

    in_discord.discord.say(ANN, channel, "hello")

    assert await in_discord.hear(channel) == [ANSWER]


async def test_with_several_the_writer_is_asked_once_and_nothing_is_dropped(
    in_discord: Scene,
) -> None:
    channel = await shared_by_two(in_discord)

    in_discord.discord.say(ANN, channel, "first")
    in_discord.discord.say(ANN, channel, "second")
    question = await asked(in_discord, channel)
    await in_discord.settled()

    assert labels(question) == ["Home", "Other"]
    assert len(in_discord.discord.own(channel)) == 1
    in_discord.discord.click(ANN, question, "Other")
    await in_discord.hear(channel, 3)
    assert sorted(await turns(in_discord, OTHER)) == ["first", "second"]
    assert await turns(in_discord, TEAM) == []


async def test_posting_elsewhere_never_switches(in_discord: Scene) -> None:
    channel = await chosen(in_discord, "Other")

    in_discord.discord.mention(ANN, GENERAL, "in the other one")
    await in_discord.hear()
    in_discord.discord.say(ANN, channel, "again")

    await in_discord.hear(channel, 3)
    assert "again" in await turns(in_discord, OTHER)
    assert await turns(in_discord, TEAM) == ["in the other one"]


async def test_a_resumed_start_keeps_the_choice(in_discord: Scene) -> None:
    channel = await chosen(in_discord, "Other")
    await in_discord.stop()
    in_discord.discord.say(ANN, channel, "while you were away")

    await in_discord.start()
    in_discord.discord.mention(ADMIN, GENERAL, "somebody else, elsewhere")

    await in_discord.hear(channel, 3)
    assert "while you were away" in await turns(in_discord, OTHER)
    assert len(in_discord.discord.gateway.identifies) == 1


async def test_a_resumed_start_finds_the_shared_servers(in_discord: Scene) -> None:
    channel = await shared_by_two(in_discord)
    await in_discord.restart()

    in_discord.discord.say(ANN, channel, "hello")

    assert labels(await asked(in_discord, channel)) == ["Home", "Other"]


async def test_a_message_that_waits_is_answered_after_a_restart(in_discord: Scene) -> None:
    channel = await shared_by_two(in_discord)
    in_discord.discord.say(ANN, channel, "hello")
    question = await asked(in_discord, channel)
    await in_discord.settled()
    await in_discord.restart()

    in_discord.discord.click(ANN, question, "Home")

    await in_discord.hear(channel, 2)
    assert await turns(in_discord, TEAM) == ["hello"]


async def test_help_says_which_server_answers_and_switches(in_discord: Scene) -> None:
    channel = await chosen(in_discord, "Other")

    in_discord.discord.say(ANN, channel, "tune")
    await in_discord.hear(channel, 3)
    told = in_discord.discord.own(channel)[-1]
    assert "Here the server Other answers." in shown(told)
    assert labels(told) == ["Home"]
    switch = in_discord.discord.click(ANN, told, "Home")
    await in_discord.answered(switch)
    in_discord.discord.say(ANN, channel, "now you")

    await in_discord.hear(channel, 4)
    assert await turns(in_discord, TEAM) == ["now you"]


async def test_whoever_left_is_no_longer_answered_there(in_discord: Scene) -> None:
    channel = await chosen(in_discord, "Other")
    await granted(in_discord, OTHER, ANN)
    in_discord.discord.leave(ANN, "30")
    forget_members(in_discord)

    in_discord.discord.say(ANN, channel, "tune review")

    await until(lambda: any("no longer" in one for one in in_discord.discord.texts(channel)))
    await in_discord.settled()
    assert "From now on the server Home answers" in str(in_discord.discord.texts(channel))
    assert await role(in_discord, OTHER, ANN) is None


async def test_a_kicked_curator_has_no_role_after_a_resumed_start(in_discord: Scene) -> None:
    channel = in_discord.discord.direct(ANN)
    in_discord.discord.say(ANN, channel, "hello")
    await in_discord.hear(channel)
    await granted(in_discord, TEAM, ANN)
    await in_discord.stop()
    in_discord.discord.leave(ANN, GUILD)
    in_discord.discord.say(ANN, channel, "tune review")

    await in_discord.start()

    assert "share no server" in (await in_discord.hear(channel, 2))[-1]
    await in_discord.settled()
    assert await role(in_discord, TEAM, ANN) is None


async def test_a_button_of_one_server_does_nothing_in_another(in_discord: Scene) -> None:
    channel = await chosen(in_discord, "Other", user=ADMIN)
    await _proposed(in_discord, TEAM)
    await _proposed(in_discord, OTHER)
    in_discord.discord.command(ADMIN, channel, "review")
    card = await _card(in_discord, channel)
    in_discord.discord.say(ADMIN, channel, "tune")
    await until(lambda: "Here the server" in shown(in_discord.discord.own(channel)[-1]))
    switch = in_discord.discord.click(ADMIN, in_discord.discord.own(channel)[-1], "Home")
    await in_discord.answered(switch)

    in_discord.discord.click(ADMIN, card, "Approve")

    await in_discord.settled()
    assert await _states(in_discord, OTHER) == [State.APPROVED]
    assert await _states(in_discord, TEAM) == [State.PROPOSED]


@pytest.mark.parametrize("faults", [1, 3])
async def test_a_message_is_tried_again_while_discord_does_not_tell(
    in_discord: Scene, faults: int
) -> None:
    channel = in_discord.discord.direct(ANN)
    in_discord.discord.fail(MEMBER, *[Fault(status=500)] * faults)

    in_discord.discord.say(ANN, channel, "hello")

    assert await in_discord.hear(channel) == [ANSWER]


async def test_a_stranger_is_told_what_to_do(in_discord: Scene) -> None:
    in_discord.discord.add_user("777")
    channel = in_discord.discord.direct("777")

    in_discord.discord.say("777", channel, "hello")

    assert "share no server" in (await in_discord.hear(channel))[0]


async def test_somebody_elses_server_cannot_be_chosen(in_discord: Scene) -> None:
    channel = await shared_by_two(in_discord)
    in_discord.discord.say(ANN, channel, "hello")
    question = await asked(in_discord, channel)
    in_discord.discord.leave(ANN, "30")
    forget_members(in_discord)

    in_discord.discord.click(ANN, question, "Other")

    (told,) = await in_discord.whispered()
    assert "not in that server" in shown(told)
    assert await turns(in_discord, OTHER) == []


async def test_a_deleted_direct_message_is_followed_after_a_switch(in_discord: Scene) -> None:
    channel = await chosen(in_discord, "Other")
    message = in_discord.discord.put(ANN, channel, "a lesson")
    example = await _proposed(in_discord, OTHER, channel=channel, message=message)
    in_discord.discord.say(ANN, channel, "tune")
    await until(lambda: "Here the server" in shown(in_discord.discord.own(channel)[-1]))
    switch = in_discord.discord.click(ANN, in_discord.discord.own(channel)[-1], "Home")
    await in_discord.answered(switch)

    in_discord.discord.delete(channel, message)

    await in_discord.settled()
    assert in_discord.app is not None
    async with in_discord.app.store.reading() as records:
        assert (await records.examples.get(OTHER, example)).row is None


async def test_who_has_not_accepted_the_rules_is_a_stranger(in_discord: Scene) -> None:
    pending = in_discord.discord.member

    def not_yet(guild: str, user: str, *, whole: bool = True) -> Json:
        return {**pending(guild, user, whole=whole), "pending": True}

    in_discord.discord.member = not_yet  # type: ignore[method-assign]

    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.settled()

    assert ANSWER not in in_discord.discord.texts(GENERAL)


async def _card(scene: Scene, channel: str) -> Json:
    def found() -> list[Json]:
        told = [*scene.discord.ephemerals, *scene.discord.own(channel)]
        return [one for one in told if "Approve" in labels(one)]

    await until(lambda: bool(found()), lambda: str(scene.discord.texts(channel)))
    return found()[0]


async def _proposed(
    scene: Scene, workspace: WorkspaceId, *, channel: str = "", message: str = ""
) -> ExampleId:
    assert scene.app is not None
    source = ExampleSource(ChannelId(channel), MessageId(message)) if channel else None
    row = {
        "messages": [
            {"role": "user", "content": f"When, {workspace}?"},
            {"role": "assistant", "content": "At nine."},
        ]
    }
    async with scene.app.store.writing() as records:
        assistant = await records.assistants.default(workspace)
        assert assistant is not None
        new = NewExample(
            assistant.id, Method.SUPERVISED, State.PROPOSED, row, Origin.IMPORT, source=source
        )
        kept, _ = await records.examples.add(workspace, new, at=datetime.now(UTC))
    return kept.id


async def _states(scene: Scene, workspace: WorkspaceId) -> list[State]:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return [one.state for one in await records.examples.page(workspace, ExampleFilter())]
