"""The whole house with a Slack on loopback before it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from adapters.slack import adapter, rate_limits, surface
from attune.bootstrap import App
from attune.settings import Settings
from tests.fakes import slack as fake
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.fakes.slack import FakeSlack, fake_slack, shown
from tests.fakes.slack_rules import Json
from tests.opening import opened
from tests.waiting import until

ADMIN = "U1"
DEADLINES = (
    (adapter, "_ACK_SECONDS"),
    (adapter, "_FORM_SECONDS"),
    (surface, "_TRIGGER_SECONDS"),
    (fake, "TRIGGER_SECONDS"),
)


class Scene:
    """A fake Slack, a fake host, and the real house between them; the data outlives a restart."""

    def __init__(self, slack: FakeSlack, host: FaultyHost, folder: Path) -> None:
        self.slack = slack
        self.host = host
        self.folder = folder
        self._stack: AsyncExitStack | None = None
        self.app: App | None = None

    async def start(self, **settings: str) -> None:
        self._stack = AsyncExitStack()
        self.app = await self._stack.enter_async_context(opened(self.settings(**settings)))
        assert self.app.slack is not None
        if settings.get("SLACK_MODE") != "http":
            await until(lambda: len(self.slack.sockets) == 2)

    async def stop(self) -> None:
        stack, self._stack = self._stack, None
        if stack is not None:
            await stack.aclose()

    async def restart(self) -> None:
        await self.stop()
        await until(lambda: not self.slack.sockets)
        await self.start()

    def settings(self, **more: str) -> Settings:
        known = {
            "ATTUNE_DATA_DIR": str(self.folder),
            **self.slack.settings,
            "OPENAI_BASE_URL": self.host.url,
            "OPENAI_API_KEY": self.host.key,
            "ATTUNE_BASE_MODEL": "base",
            "ATTUNE_ADMINS": f"slack:{ADMIN}",
        }
        return Settings.model_validate(known | more)

    async def hear(self, channel: str, count: int = 1) -> list[str]:
        """The bot's messages in a channel, once there are so many and the house is quiet."""
        await until(
            lambda: len(self.slack.own(channel)) >= count and self.is_idle(),
            lambda: f"{self.slack.texts(channel)} {self.slack.refusals}",
        )
        return self.slack.texts(channel)

    async def read(self, channel: str, count: int = 1) -> list[str]:
        """As `hear`, with what the bot told one person alone there."""
        await until(
            lambda: len(self.slack.read(channel)) >= count and self.is_idle(),
            lambda: f"{[*map(shown, self.slack.read(channel))]} {self.slack.refusals}",
        )
        return [shown(one) for one in self.slack.read(channel)]

    async def whispered(self, count: int = 1) -> list[Json]:
        await until(
            lambda: len(self.slack.ephemerals) >= count,
            lambda: f"{self.slack.ephemerals} {self.slack.refusals}",
        )
        return self.slack.ephemerals

    async def view(self, count: int = 1) -> Json:
        """The newest form."""
        await until(lambda: len(self.slack.views) >= count, lambda: str(self.slack.refusals))
        return list(self.slack.views.values())[-1]

    async def form(self, count: int = 1) -> Json:
        """The newest form once it can be filled: on a slow machine it says "one moment" first."""

        def newest() -> Json:
            return list(self.slack.views.values())[-1]

        def has_inputs() -> bool:
            return any(block["type"] == "input" for block in newest()["blocks"])

        await self.view(count)
        await until(has_inputs, lambda: str(newest()))
        return newest()

    async def settled(self) -> None:
        """All that was delivered is acknowledged and worked on."""
        await until(lambda: all(one.acked.is_set() for one in self.slack.deliveries))
        await until(self.is_idle)

    async def calm(self) -> None:
        """Nothing is left that the door meant to do later."""
        await self.settled()
        assert self.app is not None
        assert self.app.slack is not None
        waits = self.app.slack._waits
        await until(lambda: not waits)

    def is_idle(self) -> bool:
        return self.app is not None and not self.app.running_tasks

    async def allow_messages(self, *allowed: str) -> None:
        """The admin lets the bot learn from marked messages, and from what else is named."""
        self.slack.command(ADMIN, "C1", "admin sources")
        form = await self.form(len(self.slack.views) + 1)
        told = {"sources": "messages", "permission": "Letter of 1 May", "allowed": allowed}
        self.slack.submit(ADMIN, form, **told)
        await self.hear("C1", len(self.slack.own("C1")) + 1)


@asynccontextmanager
async def slack_scene(folder: Path) -> AsyncIterator[Scene]:
    async with fake_slack() as slack, faulty_host() as host:
        scene = Scene(slack, host, folder)
        await scene.start()
        try:
            yield scene
        finally:
            await scene.stop()


@pytest.fixture
async def in_slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    """No deadline of Slack's passes on a slow machine; a test of one sets it.

    Posts follow one another in a channel at once; `slack_pace` makes them a second apart.
    """
    monkeypatch.setattr(rate_limits, "_POST_GAP_SECONDS", 0.0)
    for where, deadline in DEADLINES:
        monkeypatch.setattr(where, deadline, 60.0)
    async with slack_scene(tmp_path) as scene:
        scene.slack.tiers.seconds_between_posts = 0.0
        yield scene


@pytest.fixture
def slack_pace(in_slack: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """One post a second in a channel, and what comes sooner is refused."""
    monkeypatch.setattr(rate_limits, "_POST_GAP_SECONDS", 1.0)
    in_slack.slack.tiers.seconds_between_posts = 0.9
