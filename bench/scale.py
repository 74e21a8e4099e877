"""How long an urgent write waits during a large operation, in a database as after years of use.

An event is stored before its platform gets an acknowledgement, and that write must not wait for
an import or an erasure. Each figure is the longest wait of all urgent writes during the
operation, compared with the same write alone; it also has the CPU seconds of this process in
that time, which tell its own work from other load.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from mmap import ACCESS_READ, mmap
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import ClassVar, cast

import httpx

from adapters.openai.hosts_file import ConfiguredHosts
from attune.bootstrap import App, build_app
from attune.clock import SystemClock
from attune.http_server import health_routes
from attune.settings import Settings
from bench import large
from bench.figures import Figure, told
from bench.large import Size
from bench.storage import rows
from bot import example_files, workspace_removal
from bot.domain import (
    ChannelId,
    ExampleId,
    ExampleState,
    Grant,
    HostName,
    ModelName,
    Place,
    Role,
    SnapshotRow,
    Split,
    User,
    UserId,
    WorkspaceId,
)
from bot.events import (
    ButtonClicked,
    ChannelDeleted,
    CommandInvoked,
    Event,
    EventContent,
    FormSubmitted,
)
from bot.ports.model_hosts import HostProfile, RemoteModel
from bot.replies import Card, Refused, Reply
from bot.request import Request
from bot.retention import RetentionPeriods, delete_old_data
from bot.rows import Method
from bot.tuning import snapshot
from bot.words import Words
from storage.database import Database
from tests.fakes.platform import FakePlatform
from tests.stores import GENERAL, HOME, a_job

MAX_SECONDS = 0.05
SIZE = Size()
_ROWS = 5_000
_PAUSE_SECONDS = 0.005
_REST_SECONDS = 5.0
_BUSY, _PERSON, _SMALL = ChannelId("C7"), "U1", WorkspaceId("slack:W7")
_LISTS = (
    "examples",
    "examples tag:greeting",
    "review",
    "jobs",
    "models",
    "admin audit",
    "status",
)
_PAGES = ("tour", "counts", "answers", "consents")

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class OneHost:
    """A host with one model, which expires soon."""

    model: ModelName
    profile: ClassVar = HostProfile("sandbox")

    def names(self) -> list[HostName]:
        return [HostName("sandbox")]

    def configured_names(self) -> list[HostName]:
        return self.names()

    def get(self, name: HostName) -> OneHost:
        return self

    async def models(self) -> list[RemoteModel]:
        end = f"{SystemClock().now() + timedelta(days=20):%Y-%m-%d}"
        return [RemoteModel(self.model, end)]


@dataclass(frozen=True, slots=True)
class Wait:
    """Wall-clock seconds of a write, and the CPU seconds of this process in that time."""

    seconds: float
    worked: float


class Large:
    """The large operations, each measured while urgent writes go on."""

    def __init__(self, store: Database, app: App, request: Request) -> None:
        self._store = store
        self._app = app
        self._request = request
        self._count = 0
        self._rows = list(rows(_ROWS))
        self._snapshot_rows = list(_snapshot_rows())

    def works(self) -> Mapping[str, Work]:
        """Returns the operations by name, in order: the last ones erase earlier results."""
        store, everything = self._store, {"all": "yes", "name": "greeting"}
        approval = FormSubmitted("examples:approved", {**everything, "state": "proposed"})
        day = timedelta(days=1)
        keep = RetentionPeriods(events=350 * day, answers=350 * day, audit=350 * day)
        return {
            "nothing": lambda: asyncio.sleep(_REST_SECONDS),
            f"an import of {_ROWS:,} rows": self._import_rows,
            "approving all": lambda: self._do(approval),
            "tagging all": lambda: self._do(FormSubmitted("examples:tag", everything)),
            "freezing every example": self._freeze,
            "lists and pages": self._open_lists_and_pages,
            "metrics": self._read_metrics,
            "the calendar of all workspaces": self._app.runners.jobs.calendar.poll,
            "deleting a channel": lambda: self._do(ChannelDeleted(), channel=_BUSY),
            "forgetting a person": self._forget,
            "removing what is old": lambda: delete_old_data(keep, store=store, clock=SystemClock()),
            "scrubbing what was erased": store.scrub,
            "erasing a small workspace": lambda: self._erase(_SMALL),
            "erasing the large workspace": lambda: self._erase(HOME),
            "scrubbing the workspace": store.scrub,
        }

    async def waits(self, work: Work) -> list[Wait]:
        """Returns the wait of each urgent write that began during the operation."""
        waits = [await self._write()]
        task = asyncio.ensure_future(work())
        while not task.done():
            waits.append(await self._write())
            await asyncio.sleep(_PAUSE_SECONDS)
        await task
        return waits

    async def _write(self) -> Wait:
        self._count += 1
        key, started_at, cpu_before = f"urgent {self._count}", perf_counter(), process_time()
        async with self._store.writing(is_urgent=True) as records:
            await records.inbox.add(
                WorkspaceId("slack:urgent"),
                key,
                message_key=None,
                payload="{}",
                at=SystemClock().now(),
            )
        return Wait(perf_counter() - started_at, process_time() - cpu_before)

    async def _do(
        self, what: EventContent, *, user: str = "U0", channel: ChannelId = GENERAL
    ) -> Reply:
        self._count += 1
        event = _event(user, what, key=f"do {self._count}", channel=channel)
        return _require_success(await self._app.handle_for_page(event))

    async def _open_lists_and_pages(self) -> None:
        for words in _LISTS:
            _require_success(await self._app.handle_read_only(_event("U0", CommandInvoked(words))))
        for page in _PAGES:
            _require_success(await self._app.handle_read_only(_event("U0", ButtonClicked(page))))

    async def _read_metrics(self) -> None:
        transport = httpx.ASGITransport(app=health_routes(self._app))
        async with httpx.AsyncClient(transport=transport, base_url="http://attune") as client:
            (await client.get("/metrics")).raise_for_status()

    async def _forget(self) -> None:
        card = await self._do(CommandInvoked("forget-me"), user=_PERSON)
        assert isinstance(card, Card)
        await self._do(ButtonClicked(card.buttons[0].action), user=_PERSON)

    async def _erase(self, number: WorkspaceId) -> None:
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(number)
        assert workspace is not None
        await workspace_removal.erase(workspace, store=self._store, now=self._request.now)

    async def _import_rows(self) -> None:
        await example_files.import_rows(
            enumerate(self._rows, start=1),
            assistant=self._request.assistant.id,
            method=Method.SUPERVISED,
            state=ExampleState.PROPOSED,
            request=self._request,
            store=self._store,
        )

    async def _freeze(self) -> None:
        number = await snapshot.freeze_snapshot(
            self._request, Method.SUPERVISED, self._snapshot_rows, store=self._store
        )
        async with self._store.reading() as records:
            job = a_job(await records.snapshots.get(HOME, number))
        await snapshot.mark_held_out(job, store=self._store, at=self._request.now)


def _snapshot_rows() -> Iterable[SnapshotRow]:
    for number in range(1, SIZE.examples + 1):
        split = Split.TRAIN if number % 5 else Split.VALIDATION
        yield SnapshotRow(ExampleId(number), 1, split, f"{number:064}", None)


def measure() -> Iterable[Figure]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "attune.db"
        started_at = perf_counter()
        asyncio.run(large.build(path, SIZE))
        yield told(
            "a database as after years",
            f"{path.stat().st_size / 1e6:,.0f} MB, built in {perf_counter() - started_at:.0f} s",
        )
        yield from asyncio.run(_collect(measured(path)))


async def _collect(figures: AsyncIterator[Figure]) -> list[Figure]:
    return [figure async for figure in figures]


async def measured(path: Path) -> AsyncIterator[Figure]:
    """Yields the figures of a database built by `large`, whose workspaces are then erased."""
    store = await Database.open(f"sqlite:///{path}")
    async with asyncio.TaskGroup() as group:
        app = await _app(path, store, group)
        work = Large(store, app, await _admin_request(store))
        # As in the service: objects that exist now are not scanned by the garbage collector.
        gc.collect()
        gc.freeze()
        checkpoints = group.create_task(_checkpoints(store))
        alone: list[Wait] = []
        for name, act in work.works().items():
            started_at = perf_counter()
            waits = await work.waits(act)
            alone = alone or waits
            yield _figure(name, waits, alone=alone, took=perf_counter() - started_at)
        checkpoints.cancel()
    await store.close()
    leftovers = [file.name for file in path.parent.glob(f"{path.name}*") if _holds_marker(file)]
    name = "files with words of the erased workspace"
    yield Figure(name, ", ".join(leftovers) or "none", "none", not leftovers)


async def _app(path: Path, store: Database, group: asyncio.TaskGroup) -> App:
    async with store.writing() as records:
        await records.roles.set_grant(HOME, UserId("U0"), Grant(Role.ADMIN, SystemClock().now()))
    return build_app(
        Settings.model_construct(data_dir=path.parent),
        store=store,
        hosts=cast(ConfiguredHosts, OneHost(ModelName("base"))),
        group=group,
        clock=SystemClock(),
        platforms={"slack": FakePlatform()},
    )


async def _admin_request(store: Database) -> Request:
    async with store.reading() as records:
        workspace = await records.workspaces.find(HOME)
        assert workspace is not None
        assistant = await records.assistants.default(HOME)
        assert assistant is not None
    now = SystemClock().now()
    return Request(
        _event("U0", ButtonClicked("")), workspace, Role.ADMIN, Words("en"), now, assistant
    )


async def _checkpoints(store: Database) -> None:
    """Checkpoints as the service does."""
    while True:
        await store.has_work.wait()
        store.has_work.clear()
        await store.checkpoint()


def _holds_marker(path: Path) -> bool:
    with path.open("rb") as file, closing(mmap(file.fileno(), 0, access=ACCESS_READ)) as data:
        return data.find(large.MARKER.encode()) >= 0


def _require_success(reply: Reply) -> Reply:
    assert not isinstance(reply, Refused), reply.text
    return reply


def _figure(name: str, waits: Sequence[Wait], *, alone: Sequence[Wait], took: float) -> Figure:
    longest = max(waits, key=lambda wait: wait.seconds)
    limit = MAX_SECONDS + max(wait.seconds for wait in alone)
    ratio = longest.seconds / median(wait.seconds for wait in alone)
    worked = max(wait.worked for wait in waits)
    return Figure(
        f"longest urgent write beside {name}",
        f"{longest.seconds * 1e3:.0f} ms, {ratio:.0f} × alone, at most {worked * 1e3:.0f} ms "
        f"of work ({took:.1f} s)",
        f"≤ {limit * 1e3:.0f} ms",
        longest.seconds <= limit,
    )


def _event(user: str, what: EventContent, *, key: str = "", channel: ChannelId = GENERAL) -> Event:
    place, at = Place(HOME, channel), SystemClock().now()
    return Event(key=key, place=place, user=User(UserId(user), user), at=at, what=what)
