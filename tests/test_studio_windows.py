"""A window of the studio outlives what fails in it, and alone receives what it asked for."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest
from nicegui import Client
from nicegui.testing import User
from nicegui.testing.user_simulation import user_simulation

from adapters.studio import Studio, register_pages
from bot.command_catalogue import CATALOGUE
from bot.domain import WorkspaceId
from bot.events import Event
from bot.ports.dependencies import App, ProgressCallback
from bot.replies import Reply
from tests.scene import Scene
from tests.waiting import until

_FOLLOWERS = 2
"""The counts in the sidebar and the page itself."""

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::PendingDeprecationWarning"),
]


class FailingHouse:
    """A house whose replies to pages fail while `is_failing`; `failures` counts them."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.is_failing = False
        self.failures = 0

    async def handle_read_only(self, event: Event) -> Reply:
        if self.is_failing:
            self.failures += 1
            raise RuntimeError
        return await self._app.handle_read_only(event)

    async def handle(self, event: Event) -> asyncio.Task[None] | None:
        return await self._app.handle(event)

    async def handle_for_page(
        self, event: Event, *, progress: ProgressCallback | None = None
    ) -> Reply:
        return await self._app.handle_for_page(event, progress=progress)

    def watch_changes(self, topic: str) -> AsyncIterator[str]:
        return self._app.watch_changes(topic)

    async def is_idle(self, workspace: WorkspaceId) -> bool:
        return await self._app.is_idle(workspace)

    async def has_closed_workspace(self, platform: str) -> bool:
        return False

    def translate(self, key: str, locale: str = "en", /, **details: object) -> str:
        return self._app.translate(key, locale, **details)


@pytest.fixture
def app(scene: Scene) -> FailingHouse:
    return FailingHouse(scene.app)


@pytest.fixture
async def window(
    scene: Scene, app: FailingHouse, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[User]:
    monkeypatch.setattr("adapters.studio.shell._FAILURE_PAUSE_SECONDS", 0.01)
    # NiceGUI collects garbage before and after each test; what lives already is left out of that.
    gc.freeze()
    async with user_simulation() as user:
        links = scene.app.links
        room = scene.app.room
        register_pages(Studio(app, room, CATALOGUE, scene.clock, links, has_password=False))
        yield user
        Client.page_routes.clear()


@pytest.mark.parametrize(("path", "shown"), [("/examples", "1–1 of 1"), ("/audit", "example 1")])
async def test_a_page_that_could_not_refresh_does_so_later(
    window: User, scene: Scene, app: FailingHouse, path: str, shown: str
) -> None:
    await window.open(path)
    await window.should_see("Attune", retries=20)

    app.is_failing = True
    scene.app.topics.publish("examples")
    await until(lambda: app.failures >= _FOLLOWERS)
    app.is_failing = False
    await scene.command("teach")
    await scene.submit(question="Do you ship to Iceland?", answer="We do.")

    await window.should_see(shown, retries=20)


async def test_older_trainings_are_shown_on_asking(window: User, scene: Scene) -> None:
    scene.host.life = ("succeeded",)
    await scene.learn(12)
    for _ in range(12):
        await scene.confirm()
        await scene.settle()
    await window.open("/jobs")
    await window.should_see("Training 12", retries=20)
    await window.should_not_see("Training 2", retries=3)

    window.find(marker="jobs.more").click()

    await window.should_see("Training 2", retries=20)


async def test_an_export_arrives_in_the_window_that_asked(window: User, scene: Scene) -> None:
    await scene.learn(12)
    await window.open("/")
    await scene.command("export")
    assert window.download.http_responses == []

    window.find(marker="composer").type("/tune export")
    window.find(marker="send").click()
    await window.download.next(timeout=20)

    assert b"question 3" in window.download.http_responses[0].content
    assert [f.name for f in (scene.folder / "exports").iterdir()] == ["attune-supervised.jsonl"]
