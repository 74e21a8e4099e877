"""One person who asks the assistant, the same on Slack, on Discord and in the local room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from adapters.slack import rate_limits
from attune.bootstrap import App
from tests import discord_scene, scene, slack_scene
from tests.fakes.discord import ANN, GENERAL
from tests.fakes.faulty_host import FaultyHost


class Front(Protocol):
    """A platform with a fake at its wire; `texts` are the assistant's own, oldest first."""

    host: FaultyHost

    @property
    def app(self) -> App: ...
    async def ask(self, text: str) -> list[str]:
        """Everything that was said once the house is quiet again."""
        ...

    async def click(self, label: str) -> list[str]:
        """A click below the newest message of the assistant."""
        ...

    async def restart(self) -> None: ...


class SlackFront:
    def __init__(self, made: slack_scene.Scene) -> None:
        self.made, self.host, self.slack = made, made.host, made.slack
        self.slack.tiers.is_on = False
        self.thread: str | None = None

    @property
    def app(self) -> App:
        assert self.made.app is not None
        return self.made.app

    async def ask(self, text: str) -> list[str]:
        asked = self.slack.mention("U2", "C1", text, thread=self.thread)
        self.thread = self.thread or asked
        await self.made.settled()
        return self.texts()

    async def click(self, label: str) -> list[str]:
        delivery = self.slack.click("U2", self.slack.own("C1")[-1], label)
        assert delivery is not None
        await self.made.settled()
        return self.texts()

    def texts(self) -> list[str]:
        return self.slack.texts("C1")

    async def restart(self) -> None:
        await self.made.restart()


class DiscordFront:
    def __init__(self, made: discord_scene.Scene) -> None:
        self.made, self.host, self.discord = made, made.host, made.discord

    @property
    def app(self) -> App:
        assert self.made.app is not None
        return self.made.app

    async def ask(self, text: str) -> list[str]:
        own = self.discord.own(GENERAL)
        more: dict[str, Any] = {"answers": own[-1]["id"]} if own else {}
        self.discord.mention(ANN, GENERAL, text, **more)
        await self.made.settled()
        return self.texts()

    async def click(self, label: str) -> list[str]:
        self.discord.click(ANN, self.discord.own(GENERAL)[-1], label)
        await self.made.settled()
        return self.texts()

    def texts(self) -> list[str]:
        return self.discord.texts(GENERAL)

    async def restart(self) -> None:
        await self.made.restart()


class RoomFront:
    def __init__(self, made: scene.Scene) -> None:
        self.made, self.host = made, made.host

    @property
    def app(self) -> App:
        return self.made.app

    async def ask(self, text: str) -> list[str]:
        await self.made.say(f"@attune {text}")
        return await self.made.texts()

    async def click(self, label: str) -> list[str]:
        await self.made.click(label)
        return await self.made.texts()

    async def restart(self) -> None:
        await self.made.restart()


@pytest.fixture(params=["slack", "discord", "room"])
async def front(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Front]:
    """One after the other: the same scene has to work on each."""
    monkeypatch.setattr(rate_limits, "_POST_GAP_SECONDS", 0.0)
    if request.param == "slack":
        async with slack_scene.slack_scene(tmp_path) as in_slack:
            yield SlackFront(in_slack)
    elif request.param == "discord":
        async with discord_scene.discord_scene(tmp_path) as in_discord:
            yield DiscordFront(in_discord)
    else:
        async with scene.opened_scene(tmp_path) as in_room:
            yield RoomFront(in_room)
