"""What was granted to somebody ends when they leave, told or not, and does not come back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.domain import Grant, Role, UserId, WorkspaceId
from tests.discord_scene import TEAM as GUILD_TEAM
from tests.discord_scene import Scene as DiscordScene
from tests.fakes.discord import ADMIN, ANN, GENERAL, GUILD
from tests.fakes.discord_rules import MEMBERS_FLAG
from tests.fakes.slack import TEAM
from tests.slack_scene import Scene as SlackScene
from tests.waiting import until

SLACK_TEAM = WorkspaceId(f"slack:{TEAM}")
Scene = DiscordScene | SlackScene


async def grant_of(scene: Scene, workspace: WorkspaceId, user: str) -> Grant | None:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return await records.roles.get(workspace, UserId(user))


async def granted(scene: Scene, workspace: WorkspaceId, user: str) -> None:
    assert scene.app is not None
    async with scene.app.store.writing() as records:
        grant = Grant(Role.ADMIN, datetime.now(UTC))
        await records.roles.set_grant(workspace, UserId(user), grant)


@pytest.mark.parametrize("where", ["the server", "a direct message"])
async def test_who_was_invited_back_while_we_were_away_is_a_member(
    in_discord: DiscordScene, where: str
) -> None:
    fake = in_discord.discord
    channel = GENERAL if where == "the server" else fake.direct(ANN)
    fake.mention(ANN, channel, "hello")
    await in_discord.hear(channel)
    await granted(in_discord, GUILD_TEAM, ANN)
    await in_discord.stop()
    fake.leave(ANN, GUILD)
    fake.come_back(ANN, GUILD)
    await in_discord.start()

    fake.mention(ANN, channel, "tune admin budget person:off")

    assert "needs the role" in (await in_discord.hear(channel, 2))[-1]
    await in_discord.settled()
    assert await grant_of(in_discord, GUILD_TEAM, ANN) is None


async def test_what_is_granted_after_somebody_came_back_counts(in_discord: DiscordScene) -> None:
    """Though our clock may be slower than Discord's."""
    fake = in_discord.discord
    fake.come_back(ANN, GUILD)
    joined = datetime.now(UTC) + timedelta(minutes=5)
    fake.guilds[GUILD].joined[ANN] = joined.isoformat()
    fake.mention(ADMIN, GENERAL, f"tune admin roles <@{ANN}> role:admin")
    await in_discord.hear()

    fake.mention(ANN, GENERAL, "tune admin budget person:off")

    assert "Tokens today" in str(await in_discord.hear(fake.direct(ANN)))
    grant = await grant_of(in_discord, GUILD_TEAM, ANN)
    assert grant is not None
    assert grant.at == joined


async def test_a_kick_that_discord_tells_of_counts_at_once(in_discord: DiscordScene) -> None:
    """Without a minute in which the membership is still believed."""
    fake = in_discord.discord
    await in_discord.stop()
    fake.flags = (fake.flags or 0) | MEMBERS_FLAG
    # What was asked for stands in the session, so it begins anew.
    (in_discord.folder / "discord.json").unlink()
    await in_discord.start()
    channel = fake.direct(ANN)
    fake.say(ANN, channel, "hello")
    await in_discord.hear(channel)
    await granted(in_discord, GUILD_TEAM, ANN)

    fake.leave(ANN, GUILD)
    await in_discord.settled()
    fake.say(ANN, channel, "tune review")

    assert "share no server" in (await in_discord.hear(channel, 2))[-1]
    assert await grant_of(in_discord, GUILD_TEAM, ANN) is None


async def test_who_left_while_we_were_away_holds_nothing_after_a_start(
    in_discord: DiscordScene,
) -> None:
    await granted(in_discord, GUILD_TEAM, ANN)
    await granted(in_discord, GUILD_TEAM, ADMIN)
    await in_discord.stop()
    in_discord.discord.leave(ANN, GUILD)

    await in_discord.start()

    await lost(in_discord, GUILD_TEAM, ANN)
    assert await grant_of(in_discord, GUILD_TEAM, ADMIN) is not None


@pytest.mark.parametrize("is_away", [False, True], ids=["told", "away"])
async def test_a_deactivated_account_holds_nothing_when_it_is_active_again(
    in_slack: SlackScene, is_away: bool
) -> None:
    in_slack.slack.command("U2", "C1", "help")
    await in_slack.whispered()
    await granted(in_slack, SLACK_TEAM, "U2")
    if is_away:
        await in_slack.stop()
    in_slack.slack.add_user("U2", deleted=True)
    if is_away:
        await in_slack.start()
    else:
        in_slack.slack.event({"type": "user_change", "user": in_slack.slack.users["U2"]})

    await lost(in_slack, SLACK_TEAM, "U2")


async def lost(scene: Scene, workspace: WorkspaceId, user: str) -> None:
    async def is_lost() -> bool:
        return await grant_of(scene, workspace, user) is None

    await until(is_lost)
