"""Guilds dealt out over several connections, and what the library is relied on for."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import discord
import pytest
from discord.gateway import DiscordWebSocket
from discord.http import HTTPClient, Ratelimit

from adapters.discord import adapter, gateway, shard_connections
from adapters.discord.session_file import SessionFile
from tests.discord_scene import Scene
from tests.fakes.discord import ANN, GENERAL, GUILD, fake_discord
from tests.fakes.discord_rest import Fault
from tests.fakes.faulty_host import faulty_host
from tests.waiting import until

FAR, FAR_CHANNEL = str((1 << 22) + 5), "77"
ANSWER = "Hello from the model"
SERVERS = f"{GUILD},{FAR}"
COMMANDS = "PUT /applications/{application}/commands"


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """Two servers, which belong to different shards as soon as there are two."""
    monkeypatch.setattr(shard_connections, "_IDENTIFY_SECONDS", 0.1)
    monkeypatch.setattr(adapter, "_RESHARD_SECONDS", 0.1)
    async with fake_discord() as fake, faulty_host() as host:
        fake.add_guild(FAR)
        fake.add_channel(FAR_CHANNEL, FAR)
        made = Scene(fake, host, tmp_path)
        yield made
        await made.stop()


async def begin(scene: Scene, count: int) -> None:
    scene.discord.gateway.shards = count
    await scene.start(ATTUNE_DISCORD_SERVERS=SERVERS)
    await connected(scene, count)


async def connected(scene: Scene, count: int) -> None:
    discord = scene.discord
    await until(
        lambda: (
            len(discord.gateway.live) == count
            and {one.shard for one in discord.gateway.live} == {(n, count) for n in range(count)}
        ),
        lambda: str(discord.gateway.identifies),
    )


async def answered(scene: Scene, channel: str, count: int) -> None:
    await until(lambda: scene.discord.texts(channel).count(ANSWER) == count)
    await until(scene.is_idle)
    assert scene.discord.texts(channel).count(ANSWER) == count


async def test_every_shard_hears_its_own_servers(scene: Scene) -> None:
    await begin(scene, 2)

    scene.discord.mention(ANN, GENERAL, "hello")
    scene.discord.mention(ANN, FAR_CHANNEL, "hello")

    await answered(scene, GENERAL, 1)
    await answered(scene, FAR_CHANNEL, 1)
    assert sorted(one["shard"] for one in scene.discord.gateway.identifies) == [[0, 2], [1, 2]]


async def test_every_shard_is_resumed_by_the_next_process(scene: Scene) -> None:
    await begin(scene, 2)
    await scene.settled()
    await scene.stop()
    scene.discord.mention(ANN, GENERAL, "while you were away")
    scene.discord.mention(ANN, FAR_CHANNEL, "while you were away")

    await begin(scene, 2)

    await answered(scene, GENERAL, 1)
    await answered(scene, FAR_CHANNEL, 1)
    assert len(scene.discord.gateway.identifies) == 2
    assert len(scene.discord.gateway.resumes) == 2


async def test_a_session_is_on_disk_before_its_first_question_is_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter, "_KEEP_EVERY_SECONDS", 3600.0)
    await begin(scene, 2)

    scene.discord.mention(ANN, GENERAL, "hello")
    scene.discord.mention(ANN, FAR_CHANNEL, "hello")
    await answered(scene, GENERAL, 1)
    await answered(scene, FAR_CHANNEL, 1)

    files = [scene.folder / "discord.json", scene.folder / "discord-1.json"]
    kept = {SessionFile(one).kept.session for one in files}
    assert kept == {one.id for one in scene.discord.gateway.live}


async def test_a_bot_that_outgrows_its_shards_gets_more(scene: Scene) -> None:
    await begin(scene, 1)
    scene.discord.gateway.shards = 2
    await scene.discord.gateway.invalidate(is_resumable=False)

    await connected(scene, 2)
    scene.discord.mention(ANN, FAR_CHANNEL, "hello")

    await answered(scene, FAR_CHANNEL, 1)
    assert 4011 in scene.discord.gateway.closes


async def test_no_server_is_taken_for_left_because_another_shard_has_it(scene: Scene) -> None:
    await begin(scene, 2)
    await scene.settled()
    assert scene.app is not None
    assert scene.app.discord is not None

    own = await scene.app.discord._directory_or_fail().own_guilds()

    assert own == sorted([GUILD, FAR])


async def test_commands_that_were_refused_are_registered_later_and_it_is_said(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.discord.fail(COMMANDS, Fault(status=403, code=50001))
    with caplog.at_level(logging.ERROR):
        await begin(scene, 1)

        await until(lambda: bool(scene.discord.called(COMMANDS)))

    assert "slash commands could not be registered" in caplog.text


def test_the_library_is_the_version_whose_insides_are_overridden() -> None:
    """`RateLimitBucket` waits before a call, `GatewaySocket` names the last event that was kept.

    Both lean on names that discord.py does not promise; look at them before raising this.
    """
    assert discord.__version__.startswith("2.7.")
    assert issubclass(gateway.RateLimitBucket, Ratelimit)
    assert issubclass(gateway.GatewaySocket, DiscordWebSocket)
    assert {"acquire", "__aexit__", "update", "is_expired", "reset", "_wake"} <= set(dir(Ratelimit))
    assert {"from_client", "received_message", "poll_event"} <= set(dir(DiscordWebSocket))
    assert {"get_ratelimit", "request", "static_login"} <= set(dir(HTTPClient))
