"""A host that never answers holds up nobody but itself: calendar, host page, doctor, courier."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.openai.hosts_file import ConfiguredHosts
from adapters.openai.openai_host import OpenAIHost
from attune import doctor
from bot import outbox
from bot.domain import MessageId, Place
from bot.events import CommandInvoked
from bot.replies import Drawn
from bot.tuning import host_resources
from tests.fakes.faults import hangs
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.fakes.platform import FakePlatform
from tests.scene import SLACK, Scene
from tests.waiting import until


@pytest.fixture
async def other(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultyHost]:
    """A second host, and the usual patience with both of minutes instead of a second."""
    monkeypatch.setattr("adapters.openai.hosts_file.host_class", lambda profile: OpenAIHost)
    async with faulty_host() as host:
        elsewhere = scene.config("elsewhere").model_copy(update={"base_url": host.url})
        scene.configs.append(elsewhere)
        await scene.restart()
        yield host


@asynccontextmanager
async def running(work: asyncio.Task[None]) -> AsyncIterator[None]:
    try:
        yield
    finally:
        work.cancel()
        await asyncio.wait({work})


async def test_the_calendar_reads_the_others(scene: Scene, other: FaultyHost) -> None:
    await scene.tuned("host:elsewhere")
    model = (await scene.job()).model
    other.shutdown_dates = {str(model): "2027-03-01"}
    scene.host.fail_always("GET /models", hangs())

    look = asyncio.create_task(scene.app.runners.jobs.calendar.poll())

    async def is_read() -> bool:
        return "2027-03-01" in [one.expires_on for one in await scene.models()]

    async with running(look):
        await until(is_read)
        assert not look.done()


async def test_the_page_of_hosts_shows_the_others(
    scene: Scene, other: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_resources, "_MAX_WAIT", 0.3)
    await scene.tuned()
    await scene.confirm("host:elsewhere")
    await scene.settle()
    scene.host.fail_always("GET /files", hangs())

    async with asyncio.timeout(20):
        await scene.command("hosted")

    told = [line.text for line in (await scene.last_listing()).lines]
    assert "The host “sandbox” did not answer in time." in told
    assert any(file.name in told for file in other.files.values())


async def test_the_doctor_tells_of_the_others(
    scene: Scene, other: FaultyHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_MAX_WAIT", 0.3)
    scene.host.fail_always("GET /models", hangs())
    hosts = ConfiguredHosts(scene.configs, keys={"KEY": scene.host.key})

    async with asyncio.timeout(20):
        found = [finding async for finding in doctor._models(hosts)]

    assert [finding.is_well for finding in found] == [False, True]
    assert "did not answer in time" in found[0].remedy


async def test_the_courier_serves_the_other_workspaces(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_MAX_WAIT", 0.3)
    scene.slack = hanging = HangingPlatform()
    scene.surfaces = {"slack": hanging}
    await scene.restart()
    await scene.slack_event(CommandInvoked("help"), key="first")
    place, now = Place(SLACK, hanging.channel), scene.clock.now()
    async with scene.store.writing() as records:
        await records.outbox.put("stuck", place, "model.ending", details=ENDING, at=now)
    await scene.learn(12)
    await scene.confirm()

    async with asyncio.timeout(20):
        await scene.settle()

    assert hanging.was_asked
    assert len(await scene.said("Training 1 succeeded")) == 1


class HangingPlatform(FakePlatform):
    """No post is ever answered."""

    was_asked = False

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        self.was_asked = True
        await asyncio.Event().wait()
        return await super().post(place, reply, key=key)


ENDING = {"model": "m", "assistant": "a", "date": "2027-01-01", "days": 7}
