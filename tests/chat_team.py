"""A team that works by commands, buttons and forms, the same on Slack and Discord, en and zh."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Protocol

import pytest

from adapters.slack import rate_limits
from bot.words import Words
from tests import discord_scene, slack_scene
from tests.fakes import discord_rest, slack
from tests.fakes.discord import ADMIN, ANN, BEN, GENERAL, Interaction
from tests.fakes.faulty_host import FaultyHost
from tests.fakes.slack_rules import Json
from tests.waiting import until

PEOPLE = ("admin", "ann", "ben")
"""An admin and two members."""


class Team(Protocol):
    """`words` are those of everybody; a message is named by a part of its text."""

    host: FaultyHost
    words: Words

    async def command(self, command: str, *, by: str = "admin", **options: str) -> None: ...
    async def bring(self, name: str, data: bytes, *, by: str = "admin", **options: str) -> None:
        """The import command with a file."""
        ...

    async def share(self, name: str, data: bytes) -> None:
        """A message of the admin to the bot, `tune import`, with a file."""
        ...

    async def press(self, label: str, *, on: str = "", by: str = "admin") -> None: ...
    async def press_again(self) -> None:
        """The last click once more, as of a person who saw nothing happen."""
        ...

    async def fill(self, label: str, *, on: str, **values: str) -> None:
        """Opens the form of a button and submits it."""
        ...

    async def shown(self, part: str, count: int = 1) -> list[str]:
        """The messages of the bot that contain a part, once there are so many."""
        ...

    def texts(self) -> list[str]: ...
    def find(self, part: str) -> list[str]:
        """The messages that contain a part now."""
        ...

    def labels(self, part: str) -> list[str]:
        """The buttons of the newest message that contains a part."""
        ...

    async def settled(self) -> None: ...
    async def restart(self) -> None: ...
    async def mention(self, text: str, *, by: str = "ann") -> None: ...


class _Team:
    """What the two have in common: messages are found by their text."""

    made: Any
    words: Words
    _last: tuple[str, Json, str]
    _shown: Callable[[Json], str]
    _labels: Callable[[Json], list[str]]

    def messages(self) -> list[Json]:
        raise NotImplementedError

    def texts(self) -> list[str]:
        return [self._shown(message) for message in self.messages()]

    def find(self, part: str) -> list[str]:
        return [self._shown(message) for message in self._found(part)]

    def labels(self, part: str) -> list[str]:
        return self._labels(self._found(part)[-1])

    async def shown(self, part: str, count: int = 1) -> list[str]:
        await until(lambda: len(self._found(part)) >= count, lambda: f"{part!r}: {self.texts()}")
        await self.settled()
        return [self._shown(message) for message in self._found(part)]

    async def settled(self) -> None:
        await self.made.settled()

    async def restart(self) -> None:
        await self.made.restart()

    def _found(self, part: str) -> list[Json]:
        return [message for message in self.messages() if part in self._shown(message)]

    async def _with_button(self, part: str, label: str) -> Json:
        def found() -> list[Json]:
            return [one for one in self._found(part) if label in self._labels(one)]

        await until(lambda: bool(found()), lambda: f"{label!r} on {part!r}: {self._seen()}")
        return found()[-1]

    def _seen(self) -> str:
        return "\n".join(f"{self._shown(one)} {self._labels(one)}" for one in self.messages())


class SlackTeam(_Team):
    _shown, _labels = staticmethod(slack.shown), staticmethod(slack.labels)

    def __init__(self, made: slack_scene.Scene, language: str) -> None:
        self.made, self.host, self.slack = made, made.host, made.slack
        self.slack.tiers.is_on = False
        self.words = Words(language, "slack")
        self._ids = dict(zip(PEOPLE, ("U1", "U2", "U3"), strict=True))
        for user in self._ids.values():
            if user not in self.slack.users:
                self.slack.add_user(user)
                self.slack.channels["C1"].members.add(user)
            self.slack.users[user]["locale"] = "zh-CN" if language == "zh" else "en-US"

    def messages(self) -> list[Json]:
        return self.slack.read("C1")

    async def command(self, command: str, *, by: str = "admin", **options: str) -> None:
        told = " ".join((command, *(f"{name}:{value}" for name, value in options.items())))
        await self._sent(self.slack.command(self._ids[by], "C1", told))

    async def bring(self, name: str, data: bytes, *, by: str = "admin", **options: str) -> None:
        await self._share(name, data, by, options)

    async def share(self, name: str, data: bytes) -> None:
        await self._share(name, data, "admin", {})

    async def _share(self, name: str, data: bytes, by: str, options: dict[str, str]) -> None:
        file, user = self.slack.give_file(name, data), self._ids[by]
        told = " ".join(f'{option}:"{value}"' for option, value in options.items())
        event = {"type": "message", "subtype": "file_share", "channel": "C1", "user": user}
        event |= {"ts": self.slack.put(user, "C1", "import")}
        self.slack.event({**event, "text": f"<@UBOT> tune import {told}", "files": [file]})
        await self.settled()

    async def press(self, label: str, *, on: str = "", by: str = "admin") -> None:
        message = await self._with_button(on, label)
        # The platform changes the message; a second click comes from one that has not arrived.
        self._last = self._ids[by], deepcopy(message), label
        await self._sent(self.slack.click(self._ids[by], message, label))

    async def press_again(self) -> None:
        await self._sent(self.slack.click(*self._last))

    async def fill(self, label: str, *, on: str, **values: str) -> None:
        count = len(self.slack.views) + 1
        await self.press(label, on=on)
        form = await self.made.form(count)
        await self._sent(self.slack.submit("U1", form, **values))

    async def mention(self, text: str, *, by: str = "ann") -> None:
        self.slack.mention(self._ids[by], "C1", text)
        await self.settled()

    async def _sent(self, delivery: slack.Delivery) -> None:
        await until(delivery.acked.is_set)
        await self.settled()


class DiscordTeam(_Team):
    _shown, _labels = staticmethod(discord_rest.shown), staticmethod(discord_rest.labels)

    def __init__(self, made: discord_scene.Scene, language: str) -> None:
        self.made, self.host, self.discord = made, made.host, made.discord
        self.words = Words(language, "discord")
        self._ids = dict(zip(PEOPLE, (ADMIN, ANN, BEN), strict=True))
        for user in self._ids.values():
            self.discord.users[user]["locale"] = "zh-CN" if language == "zh" else "en-US"

    def messages(self) -> list[Json]:
        return self.discord.read(GENERAL)

    async def command(self, command: str, *, by: str = "admin", **options: str) -> None:
        await self._sent(self.discord.command(self._ids[by], GENERAL, command, **options))

    async def bring(self, name: str, data: bytes, *, by: str = "admin", **options: str) -> None:
        file: dict[str, Any] = {"file": (name, data)}
        asked = self.discord.command(self._ids[by], GENERAL, "import", **options, **file)
        await self._sent(asked)

    async def share(self, name: str, data: bytes) -> None:
        asked = self.discord.command(ADMIN, GENERAL, "import")
        await self.made.form(asked)
        await self._sent(self.discord.submit(ADMIN, asked, file=(name, data)))

    async def press(self, label: str, *, on: str = "", by: str = "admin") -> None:
        message = await self._with_button(on, label)
        # The platform changes the message; a second click comes from one that has not arrived.
        self._last = self._ids[by], deepcopy(message), label
        await self._sent(self.discord.click(self._ids[by], message, label))

    async def press_again(self) -> None:
        await self._sent(self.discord.click(*self._last))

    async def fill(self, label: str, *, on: str, **values: str) -> None:
        message = await self._with_button(on, label)
        asked = self.discord.click(ADMIN, message, label)
        await self.made.form(asked)
        await self._sent(self.discord.submit(ADMIN, asked, **values))

    async def mention(self, text: str, *, by: str = "ann") -> None:
        self.discord.mention(self._ids[by], GENERAL, text)
        await self.settled()

    async def _sent(self, asked: Interaction) -> None:
        await self.made.answered(asked)
        await self.settled()


@pytest.fixture(params=["slack-en", "slack-zh", "discord-en", "discord-zh"])
async def team(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Team]:
    platform, _, language = str(request.param).partition("-")
    monkeypatch.setattr(rate_limits, "_POST_GAP_SECONDS", 0.0)
    if platform == "slack":
        async with slack_scene.slack_scene(tmp_path) as in_slack:
            yield SlackTeam(in_slack, language)
    else:
        async with discord_scene.discord_scene(tmp_path) as in_discord:
            yield DiscordTeam(in_discord, language)
