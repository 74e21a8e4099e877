"""Slack, Discord and the studio in one process: each sees its own workspaces alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from attune.bootstrap import App
from attune.settings import Settings
from bot.domain import LOCAL, UserId, WorkspaceId
from tests.fakes.discord import ADMIN, ANN, GENERAL, GUILD, FakeDiscord, fake_discord
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.fakes.slack import FakeSlack, fake_slack
from tests.opening import opened
from tests.waiting import until

IN_SLACK, IN_DISCORD = WorkspaceId("slack:T1"), WorkspaceId(f"discord:{GUILD}")
ANSWER = "Hello from the model"


@asynccontextmanager
async def all_open(
    slack: FakeSlack, discord: FakeDiscord, host: FaultyHost, folder: Path
) -> AsyncIterator[App]:
    settings = Settings.model_validate(
        {
            "ATTUNE_DATA_DIR": str(folder),
            **slack.settings,
            "DISCORD_TOKEN": discord.token,
            "ATTUNE_DISCORD_SERVERS": GUILD,
            "DISCORD_API_URL": discord.url,
            "DISCORD_GATEWAY_URL": discord.gateway.url,
            "OPENAI_BASE_URL": host.url,
            "OPENAI_API_KEY": host.key,
            "ATTUNE_BASE_MODEL": "base",
            "ATTUNE_ADMINS": f"slack:U1,discord:{ADMIN}",
        }
    )
    async with opened(settings) as built:
        assert built.slack is not None
        assert built.discord is not None
        yield built


async def until_created(built: App, workspace: WorkspaceId, name: str) -> None:
    """A command that changed something is answered to its asker alone."""

    async def is_created() -> bool:
        async with built.store.reading() as records:
            return any(one.name == name for one in await records.assistants.all(workspace))

    await until(is_created)


async def test_each_sees_its_own_workspaces_alone(tmp_path: Path) -> None:
    async with (
        fake_slack() as slack,
        fake_discord() as discord,
        faulty_host() as host,
        all_open(slack, discord, host, tmp_path) as built,
    ):
        await until(lambda: len(slack.sockets) == 2 and bool(discord.own(GENERAL)))
        slack.mention("U1", "C1", "tune assistant create slacker")
        discord.command(ADMIN, GENERAL, "assistant create", name="discorder")
        await until_created(built, IN_SLACK, "slacker")
        await until_created(built, IN_DISCORD, "discorder")
        slack.mention("U2", "C1", "hello")
        discord.mention(ANN, GENERAL, "hello")
        await until(lambda: ANSWER in slack.texts("C1") and ANSWER in discord.texts(GENERAL))
        await until(lambda: not built.running_tasks)

        async with built.store.reading() as records:
            names = {
                workspace: {one.name for one in await records.assistants.all(workspace)}
                for workspace in (IN_SLACK, IN_DISCORD, LOCAL)
            }
            turns = {
                (workspace, user): len(await records.turns.by_asker(workspace, UserId(user)))
                for workspace in (IN_SLACK, IN_DISCORD)
                for user in ("U2", ANN)
            }

    assert "slacker" in names[IN_SLACK] - names[IN_DISCORD] - names[LOCAL]
    assert "discorder" in names[IN_DISCORD] - names[IN_SLACK] - names[LOCAL]
    assert turns == {
        (IN_SLACK, "U2"): 1,
        (IN_SLACK, ANN): 0,
        (IN_DISCORD, "U2"): 0,
        (IN_DISCORD, ANN): 1,
    }
