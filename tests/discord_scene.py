"""The whole house with a Discord on loopback before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from attune.bootstrap import App
from attune.settings import Settings
from bot.domain import ChannelId, Place, WorkspaceId
from bot.ports.surface import Surface
from tests.fakes.discord import ADMIN, GENERAL, GUILD, FakeDiscord, Interaction, fake_discord
from tests.fakes.discord_rest import shown
from tests.fakes.discord_rules import Json
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.opening import opened
from tests.waiting import until

TEAM = WorkspaceId(f"discord:{GUILD}")
HERE = Place(TEAM, ChannelId(GENERAL))


class Scene:
    """A fake Discord, a fake host, and the house between them; the data outlives a restart."""

    def __init__(self, discord: FakeDiscord, host: FaultyHost, folder: Path) -> None:
        self.discord = discord
        self.host = host
        self.folder = folder
        self.greetings = 0
        self._stack: AsyncExitStack | None = None
        self.app: App | None = None

    async def start(self, **settings: str) -> None:
        self._stack = AsyncExitStack()
        self.app = await self._stack.enter_async_context(opened(self.settings(**settings)))
        assert self.app.discord is not None
        await until(lambda: bool(self.discord.gateway.live), lambda: "no gateway")
        await until(self.is_idle)

    async def stop(self) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def settings(self, **more: str) -> Settings:
        known = {
            "ATTUNE_DATA_DIR": str(self.folder),
            "DISCORD_TOKEN": self.discord.token,
            "DISCORD_API_URL": self.discord.url,
            "DISCORD_GATEWAY_URL": self.discord.gateway.url,
            "OPENAI_BASE_URL": self.host.url,
            "OPENAI_API_KEY": self.host.key,
            "ATTUNE_BASE_MODEL": "base",
            "ATTUNE_ADMINS": f"discord:{ADMIN}",
            "ATTUNE_DISCORD_SERVERS": f"{GUILD},30,31",
        }
        return Settings.model_validate(known | more)

    @property
    def surface(self) -> Surface:
        assert self.app is not None
        return self.app.surfaces.surface_of(TEAM)

    async def greeted(self) -> None:
        """The welcome stands, and what comes after it is looked at alone."""
        await until(lambda: bool(self.discord.own(GENERAL)), lambda: str(self.discord.refusals))
        await until(self.is_idle)
        for message in self.discord.own(GENERAL):
            del self.discord.channels[GENERAL].messages[message["id"]]
        self.discord.calls.clear()

    async def hear(self, channel: str = GENERAL, count: int = 1) -> list[str]:
        """The bot's messages in a channel, once there are so many and the house is quiet."""
        await until(
            lambda: len(self.discord.own(channel)) >= count and self.is_idle(),
            lambda: f"{self.discord.texts(channel)} {self.discord.refusals}",
        )
        return self.discord.texts(channel)

    async def read(self, channel: str, count: int = 1) -> list[str]:
        """As `hear`, with what the bot told one person alone there."""
        await until(
            lambda: len(self.discord.read(channel)) >= count and self.is_idle(),
            lambda: f"{[*map(shown, self.discord.read(channel))]} {self.discord.refusals}",
        )
        return [shown(one) for one in self.discord.read(channel)]

    async def whispered(self, count: int = 1) -> list[Json]:
        await until(
            lambda: len(self.discord.ephemerals) >= count,
            lambda: f"{self.discord.ephemerals} {self.discord.refusals}",
        )
        return self.discord.ephemerals

    async def form(self, asked: Interaction) -> Json:
        """The form that answers a command, click or menu."""
        await self.answered(asked)
        assert asked.response is not None
        assert asked.response["type"] == 9, asked.response
        form: Json = asked.response["data"]
        return form

    async def answered(self, asked: Interaction) -> Interaction:
        await until(lambda: asked.response is not None, lambda: str(self.discord.refusals))
        return asked

    async def settled(self) -> None:
        """All that was told so far is in the inbox, and worked on."""
        session = self.discord.gateway.live[-1]
        reached = session.sequence
        await until(lambda: self.heard_up_to(reached) and self.is_idle())

    def heard_up_to(self, sequence: int) -> bool:
        shards = self.app.discord.shards if self.app and self.app.discord else []
        return bool(shards) and all(
            one.connection is not None and (one.connection.sequence or 0) >= sequence
            for one in shards
        )

    def is_idle(self) -> bool:
        return self.app is not None and not self.app.running_tasks

    async def allow_messages(self, *allowed: str) -> None:
        """The admin lets the bot learn from marked messages, and from what else is named."""
        asked = self.discord.command(ADMIN, GENERAL, "admin sources")
        await self.form(asked)
        told = {"sources": "messages", "permission": "Discord's letter", "allowed": list(allowed)}
        sent = self.discord.submit(ADMIN, asked, **told)
        await self.answered(sent)
        await self.settled()


@asynccontextmanager
async def discord_scene(folder: Path) -> AsyncIterator[Scene]:
    async with fake_discord() as discord, faulty_host() as host:
        scene = Scene(discord, host, folder)
        await scene.start()
        await scene.greeted()
        try:
            yield scene
        finally:
            await scene.stop()


@pytest.fixture
async def in_discord(tmp_path: Path) -> AsyncIterator[Scene]:
    async with discord_scene(tmp_path) as scene:
        yield scene
