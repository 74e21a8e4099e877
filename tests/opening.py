"""The house with the doors of its settings open, and the patience to wait for what it does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from attune import background_loops
from attune.bootstrap import App, build_app, configured_hosts
from attune.clock import SystemClock
from attune.embedded_tuner import TunerAddress
from attune.settings import Settings
from storage.database import Database


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[App]:
    """The house without its embedded tuner, which takes a second to start."""
    database = await Database.open(settings.database)
    hosts = configured_hosts(settings, TunerAddress("http://127.0.0.1:9", "none"))
    try:
        async with asyncio.TaskGroup() as group:
            built = build_app(
                settings, store=database, hosts=hosts, group=group, clock=SystemClock()
            )
            doors = {"slack": built.slack, "discord": built.discord}
            loops = [
                group.create_task(background_loops._deliver(built), name="notices"),
                group.create_task(background_loops._look_for_former_members(built), name="members"),
                *background_loops._training_and_evaluation_loops(built, group),
            ]
            loops += [
                group.create_task(door.run(built), name=name)
                for name, door in doors.items()
                if door is not None
            ]
            try:
                await built.dispatch.handle_unfinished()
                yield built
            finally:
                await background_loops._finish(built, loops)
    finally:
        await hosts.close()
        await database.close()
