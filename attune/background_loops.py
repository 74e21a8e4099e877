"""Runs all background loops in one TaskGroup, which cancels them together."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attune.clock import SystemClock
from attune.data_folder import private_folder, remove_exports, temporary_files
from attune.embedded_tuner import embedded_tuner
from attune.engine.engine_folder import EngineFolder
from attune.import_speed import pause_garbage_collection
from attune.settings import Settings
from bot.domain import HostName
from bot.errors import EngineError, FolderTaken, SettingsError
from bot.former_members import remove_former_members
from bot.retention import RetentionPeriods, delete_old_data

if TYPE_CHECKING:
    from adapters.openai.hosts_file import ConfiguredHosts
    from attune.bootstrap import App
    from attune.embedded_tuner import EmbeddedTuner
    from storage.database import Database

log = logging.getLogger(__name__)

_AFTER_FAILURE_SECONDS = 5.0
_MAX_PAUSE_SECONDS = 30.0
_REMOVALS_SECONDS = 60.0
_ENGINE_SECONDS = 2.0
_EVALUATIONS_SECONDS = 2.0
"""Longest pause of the evaluation loops, as an evaluation after a training does not wake them."""
_OFFERS_SECONDS = 20.0
_SCRUB_SECONDS = 5.0
_HOUR_SECONDS = 3600.0
_DAY_SECONDS = 24 * _HOUR_SECONDS
_CALENDAR_SECONDS = 6 * 3600.0
_SHUTDOWN_SECONDS = 5.0


@asynccontextmanager
async def running_app(settings: Settings) -> AsyncIterator[App]:
    """Runs the app while the block runs; all its tasks have ended afterwards."""
    folder = settings.data_dir
    with data_lock(folder), temporary_files(folder):
        await asyncio.to_thread(remove_exports, folder)
        await asyncio.to_thread(EngineFolder(folder).remove_old_environments)
        async with embedded_tuner(folder) as tuner:
            # The tuner takes half a second to start, in which the modules of the app are imported.
            with pause_garbage_collection():
                from attune.bootstrap import build_app, configured_hosts
                from storage.database import Database
                from storage.service_lock import service_lock

            async with (
                service_lock(settings.database, holder=_holder(settings)) as lock,
                _close_at_end(Database.open(settings.database)) as database,
                asyncio.TaskGroup() as group,
            ):
                hosts = configured_hosts(settings, await tuner.address())
                built = build_app(
                    settings, store=database, hosts=hosts, group=group, clock=SystemClock()
                )
                backlog = await built.dispatch.unfinished_events()
                loops = [
                    group.create_task(lock.keep(), name="database lock"),
                    group.create_task(tuner.supervise(), name="embedded tuner"),
                    group.create_task(_serve_models(built, tuner, hosts), name="language models"),
                    group.create_task(_scrub(database), name="erasure"),
                    group.create_task(_remove_old(built, settings), name="retention"),
                    group.create_task(_remove_old_imports(folder), name="imports"),
                    *_loops_of(built, group),
                ]
                try:
                    await built.dispatch.handle_unfinished(backlog)
                    yield built
                finally:
                    await _finish(built, loops)
                    await hosts.close()


def _loops_of(built: App, group: asyncio.TaskGroup) -> Iterator[asyncio.Task[None]]:
    """Starts the loops of an app and yields their tasks."""
    yield from _training_and_evaluation_loops(built, group)
    yield group.create_task(_deliver(built), name="notices")
    yield group.create_task(_poll_calendar(built), name="calendar")
    yield group.create_task(_offer_trainings(built), name="training offers")
    yield group.create_task(_settle_removals(built), name="removals")
    yield group.create_task(_look_for_former_members(built), name="members")
    if built.slack is not None:
        yield group.create_task(built.slack.run(built), name="slack")
    if built.discord is not None:
        yield group.create_task(built.discord.run(built), name="discord")


@contextmanager
def data_lock(folder: Path) -> Iterator[None]:
    """Locks the data folder. Raises FolderTaken if another service has locked it."""
    private_folder(folder)
    try:
        file = (folder / "lock").open("ab")
    except OSError as error:
        raise SettingsError(
            variable="ATTUNE_DATA_DIR",
            problem=f"{folder} cannot be used ({error.strerror})",
            remedy="Name a folder that can be written.",
        ) from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderTaken(folder=folder) from error
        yield


def _holder(settings: Settings) -> str:
    return f"process {os.getpid()} on {socket.gethostname()}, {settings.data_dir.absolute()}"


@asynccontextmanager
async def _close_at_end(opening: Awaitable[Database]) -> AsyncIterator[Database]:
    database = await opening
    try:
        yield database
    finally:
        await database.close()


def _training_and_evaluation_loops(
    built: App, group: asyncio.TaskGroup
) -> Iterator[asyncio.Task[None]]:
    """Starts four loops for each host, so that a host that hangs does not delay the others."""
    for host, wake in built.runners.job_wakes.items():
        yield group.create_task(_watch_jobs(built, host, wake), name=f"jobs at {host}")
        evaluating = _evaluate(built, host, built.runners.evaluations.wakes[host])
        yield group.create_task(evaluating, name=f"evaluations at {host}")
    for host in filter(None, built.runners.job_wakes):
        judges, proposals = built.runners.judges, built.runners.synthetic
        judging = _poll_paid_runs(judges.poll_host, host, judges.wakes[host])
        yield group.create_task(judging, name=f"judges at {host}")
        proposing = _poll_paid_runs(proposals.poll_host, host, proposals.wakes[host])
        yield group.create_task(proposing, name=f"proposals at {host}")
    yield group.create_task(_count_votes(built), name="votes")
    yield group.create_task(_watch_canaries(built), name="canaries")


async def _watch_jobs(built: App, host: HostName | None, wake: asyncio.Event) -> None:
    async def turn() -> float:
        wait = await built.runners.jobs.poll_host(host)
        built.topics.publish_and_wake("jobs")
        return _MAX_PAUSE_SECONDS if wait is None else wait

    await _repeat(turn, wake)


async def _serve_models(built: App, tuner: EmbeddedTuner, hosts: ConfiguredHosts) -> None:
    """Serves language models that were installed or removed, also by another process."""

    from adapters.openai.hosts_file import LANGUAGE_MODELS_HOST

    async def turn() -> float:
        if await asyncio.to_thread(lambda: tuner.has_changed):
            await _until_idle(built)
            await tuner.restart()
        elif list(hosts.get(LANGUAGE_MODELS_HOST).bases) != list(tuner.program.bases):
            hosts.set_installed_models(list(tuner.program.bases))
            built.topics.publish_and_wake("hosts")
        if (
            await asyncio.to_thread(lambda: tuner.is_broken)
            and built.engine.last_install_error() is None
        ):
            problem = "What is installed does not start; the service's own log says why."
            built.engine.fail(EngineError(problem=problem, log=built.engine.folder.log))
        return _ENGINE_SECONDS

    await _repeat(turn, asyncio.Event())


async def _until_idle(built: App) -> None:
    """Waits for answers that are being written, but no longer than 30 seconds."""
    running = set(built.running_tasks)
    if running:
        await asyncio.wait(running, timeout=_MAX_PAUSE_SECONDS)


async def _evaluate(built: App, host: HostName | None, wake: asyncio.Event) -> None:
    async def turn() -> float:
        wait = await built.runners.evaluations.poll_host(host)
        built.topics.publish_and_wake("evaluations")
        return _EVALUATIONS_SECONDS if wait is None else wait

    await _repeat(turn, wake)


async def _count_votes(built: App) -> None:
    async def turn() -> float:
        if await built.runners.votes.poll():
            built.topics.publish_and_wake("evaluations")
        return _EVALUATIONS_SECONDS

    await _repeat(turn, built.runners.votes.wake)


async def _watch_canaries(built: App) -> None:
    async def turn() -> float:
        if await built.runners.canaries.poll():
            built.topics.publish_and_wake("models")
        return _EVALUATIONS_SECONDS

    await _repeat(turn, built.runners.canaries.wake)


async def _poll_calendar(built: App) -> None:
    """Looks up the expiry dates of models at each start and every six hours."""

    async def turn() -> float:
        await built.runners.jobs.calendar.poll()
        built.topics.publish_and_wake("models")
        return _CALENDAR_SECONDS

    await _repeat(turn, asyncio.Event(), longest=_CALENDAR_SECONDS)


async def _poll_paid_runs(
    poll_host: Callable[[HostName], Awaitable[float | None]], host: HostName, wake: asyncio.Event
) -> None:
    async def turn() -> float:
        wait = await poll_host(host)
        return _EVALUATIONS_SECONDS if wait is None else wait

    await _repeat(turn, wake)


async def _offer_trainings(built: App) -> None:
    """Looks for trainings to offer; approvals of examples do not wake this loop."""

    async def turn() -> float:
        await built.runners.offers.poll()
        return _OFFERS_SECONDS

    await _repeat(turn, asyncio.Event(), longest=_OFFERS_SECONDS)


async def _settle_removals(built: App) -> None:
    """Confirms removals of the app, closes the workspaces and erases them when it is time."""

    async def turn() -> float:
        wait = await built.runners.removals.poll()
        built.topics.publish_and_wake("workspaces")
        return wait

    await _repeat(turn, asyncio.Event(), longest=_REMOVALS_SECONDS)


async def _look_for_former_members(built: App) -> None:
    """Looks for former members at each start, as events may have been missed, and once a day."""

    async def turn() -> float:
        await remove_former_members(
            built, store=built.store, surfaces=built.surfaces, clock=built.clock
        )
        return _DAY_SECONDS

    await _repeat(turn, asyncio.Event(), longest=_DAY_SECONDS)


async def _remove_old(built: App, settings: Settings) -> None:
    """Deletes what is older than the retention periods, at each start and once a day."""
    keep = RetentionPeriods(
        events=timedelta(days=settings.keep_days_events),
        answers=timedelta(days=settings.keep_days_answers),
        audit=timedelta(days=settings.keep_days_audit),
    )

    async def turn() -> float:
        await delete_old_data(keep, store=built.store, clock=built.clock)
        return _DAY_SECONDS

    await _repeat(turn, asyncio.Event(), longest=_DAY_SECONDS)


async def _remove_old_imports(folder: Path) -> None:
    """Deletes old files of imports, at each start and once an hour."""
    from storage.import_folder import ImportFolder

    imports = ImportFolder(folder / "imports")

    async def turn() -> float:
        await imports.remove_old()
        return _HOUR_SECONDS

    await _repeat(turn, asyncio.Event(), longest=_HOUR_SECONDS)


async def _scrub(database: Database) -> None:
    """Writes SQLite's WAL into the database file and overwrites erased rows, in small batches."""

    async def turn() -> float:
        await database.checkpoint()
        await database.scrub()
        return _SCRUB_SECONDS

    await _repeat(turn, database.has_work)


async def _deliver(built: App) -> None:
    async def turn() -> float:
        delivered = await built.deliver_notices()
        if delivered:
            built.topics.publish("notices")
        return 1.0

    await _repeat(turn, built.topics.news)


async def _repeat(
    turn: Callable[[], Awaitable[float]],
    wake: asyncio.Event,
    *,
    longest: float = _MAX_PAUSE_SECONDS,
) -> None:
    """Calls `turn` for ever, after the pause in seconds that it returns or when `wake` is set.

    A failed turn is logged, and the next one follows after five seconds.
    """
    while True:
        wake.clear()
        try:
            pause = await turn()
        except Exception:
            log.exception("A turn failed", extra={"loop": turn.__qualname__})
            pause = _AFTER_FAILURE_SECONDS
        try:
            async with asyncio.timeout(min(pause, longest)):
                await wake.wait()
        except TimeoutError:
            continue


async def _finish(built: App, loops: list[asyncio.Task[None]]) -> None:
    """Stops the loops, then waits five seconds for running answers and cancels the others.

    The next start handles cancelled events again.
    """
    for loop in loops:
        loop.cancel()
    await built.engine.cancel_install()
    running = set(built.running_tasks)
    if running:
        await asyncio.wait(running, timeout=_SHUTDOWN_SECONDS)
    for task in set(built.running_tasks):
        task.cancel()
