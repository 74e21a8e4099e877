"""Killed at any moment between yes and success: nothing is lost, and nothing happens twice."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bot.domain import LOCAL, Phase
from bot.events import ButtonClicked, Event
from tests.fakes.connected import CREATE, UPLOAD
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.scene import Death, Scene, copy_data
from tests.waiting import until

DELETE = "DELETE /files/{id}"
MAX_MOMENTS = 400


@pytest.fixture(scope="module")
def priced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is on disk once a start is priced, and somebody is about to say yes."""
    folder = tmp_path_factory.mktemp("priced")
    asyncio.run(price(folder))
    return folder


async def price(folder: Path) -> None:
    async with faulty_host() as host:
        scene = Scene(folder, host)
        await scene.start()
        await scene.learn(14)
        await scene.command("start validation:25%")
        await scene.end()


class Story:
    """The same start, from yes to the end, as often as it is killed."""

    def __init__(self, folder: Path, host: FaultyHost, *, lag_seconds: int = 0) -> None:
        host.life = ("succeeded",)
        host.lag_seconds = lag_seconds
        self.scene = Scene(folder, host)
        with closing(sqlite3.connect(folder / "attune.db")) as connection:
            ((self.estimate,),) = connection.execute("SELECT id FROM jobs")

    async def yes(self) -> None:
        """The platform sends a click again until it is acknowledged."""
        await self.scene.handle(self.click())

    def click(self) -> Event:
        return self.scene.event(ButtonClicked(f"job.confirm:{self.estimate}"), key="yes")

    async def live(self, dies_at: int) -> bool:
        """One life; whether it came to its end, and still stands."""
        scene = self.scene
        try:
            await scene.open(dies_at)
            scene.dies_with_calls(UPLOAD, CREATE, DELETE)
            await self.yes()
            await scene.settle()
        except Death:
            await scene.end()
            return False
        return True

    async def check(self) -> None:
        scene = self.scene
        names = sorted(file.name.rpartition("-")[2] for file in scene.host.files.values())
        async with scene.database.reading() as records:
            (job,) = await records.jobs.page(LOCAL)
            unfinished = await records.inbox.list_unfinished()
            is_told = await records.outbox.is_empty()
        models = [model.name for model in await scene.models() if "ckpt" not in model.name]

        assert names == ["training.jsonl", "validation.jsonl"]
        assert (len(scene.host.jobs), len(scene.host.tuned)) == (1, 1)
        assert (job.phase, [job.model], models) == (Phase.SUCCEEDED, models, scene.host.tuned)
        assert (len(unfinished), is_told) == (0, True)
        assert await scene.audited("job.confirmed") == 1
        (live,) = await scene.said("Training 1: attune")
        assert "\nsucceeded" in live
        assert len(await scene.said("Training 1 succeeded")) == 1
        await scene.end()


async def test_death_at_every_moment_is_outlived(tmp_path: Path, priced: Path) -> None:
    for moment in range(1, MAX_MOMENTS):
        folder = tmp_path / str(moment)
        folder.mkdir()
        copy_data(priced, folder)
        async with faulty_host() as host:
            story = Story(folder, host)
            is_whole = await story.live(moment)
            if not is_whole:
                assert await story.live(0), f"the life after moment {moment}"
            try:
                await story.check()
            except AssertionError as error:
                raise AssertionError(f"killed at moment {moment}") from error
        if is_whole:
            break

    assert 30 < moment < MAX_MOMENTS


@pytest.mark.parametrize("seed", range(4))
async def test_death_again_and_again_is_outlived(tmp_path: Path, priced: Path, seed: int) -> None:
    rng = random.Random(seed)
    copy_data(priced, tmp_path)
    async with faulty_host() as host:
        story = Story(tmp_path, host, lag_seconds=30)
        lives: list[bool] = []

        async def live() -> bool:
            lives.append(await story.live(rng.randint(1, 25)))
            return lives[-1]

        await until(live)

        await story.check()
    assert len(lives) > 1
