"""How long an urgent write waits while something large goes on, in a database as after years.

An event is promised before its platform is acknowledged, and that write must not stand behind an
import or an erasure. Each figure is the longest wait among all that were begun meanwhile, beside
the same write where nothing else goes on.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import cast

from attune.clock import SystemClock
from bench.figures import Figure, told
from bench.large import Size, build
from bench.storage import rows
from bot import datasets, privacy, removal
from bot.domain import (
    Assistant,
    AssistantId,
    ExampleId,
    ExampleState,
    HostName,
    ModelName,
    Place,
    Role,
    SnapshotRow,
    Split,
    User,
    UserId,
    Workspace,
    WorkspaceId,
)
from bot.events import ButtonClicked, Event
from bot.examples.bulk import bulk
from bot.ports.dependencies import Dependencies
from bot.ports.links import Links
from bot.ports.provider import Hosts, RemoteModel
from bot.ports.surface import Surface
from bot.request import Request
from bot.retention import Keep, remove_old
from bot.rows import Method
from bot.running_answers import Answers
from bot.token_budget import TokenBudget
from bot.tuning import snapshot
from bot.tuning.expiry import ExpiryCalendar
from bot.words import Words
from storage.database import Database
from tests.stores import GENERAL, HOME, a_job

MOST_SECONDS = 0.05
SIZE = Size()
_ROWS = 5_000
_PAUSE_SECONDS = 0.005
_REST_SECONDS = 5.0

Work = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class OneHost:
    """A host whose every model ends soon."""

    model: ModelName

    def names(self) -> list[HostName]:
        return [HostName("sandbox")]

    def get(self, name: HostName) -> OneHost:
        return self

    async def models(self) -> list[RemoteModel]:
        end = f"{SystemClock().now() + timedelta(days=20):%Y-%m-%d}"
        return [RemoteModel(self.model, "", end)]


class NoSurfaces:
    """Where nothing is shown."""

    def of(self, workspace: WorkspaceId) -> Surface:
        return cast(Surface, None)


def _dependencies(store: Database) -> Dependencies:
    """What an erasure and a bulk change need, and no more."""
    return Dependencies(
        store=store,
        hosts=cast(Hosts, None),
        surfaces=NoSurfaces(),
        clock=SystemClock(),
        links=cast(Links, None),
        running=Answers(),
        tokens=TokenBudget(store),
        admins=frozenset(),
        starters={},
        wake=lambda: None,
        changed=lambda topic: None,
    )


class Large:
    """One large thing after the other, while somebody writes all the time."""

    def __init__(self, store: Database, ask: Request) -> None:
        self._store = store
        self._ask = ask
        self._written = 0
        self._rows = list(rows(_ROWS))
        self._frozen = list(_snapshot_rows())

    def works(self) -> Mapping[str, Work]:
        """In this order: the last ones erase what the first ones made."""
        ask, store, clock = self._ask, self._store, SystemClock()
        everything = {"all": "yes", "name": "greeting"}
        calendar = ExpiryCalendar(
            store=store, hosts=cast(Hosts, OneHost(ModelName("base"))), clock=clock
        )
        day = timedelta(days=1)
        keep = Keep(events=350 * day, answers=350 * day, audit=350 * day)
        deps = _dependencies(store)
        asker = replace(ask, argument="U1", event=_event("U1"))
        return {
            "nothing": lambda: asyncio.sleep(_REST_SECONDS),
            "a bulk approval": lambda: bulk(
                replace(ask, argument="approved", options={**everything, "state": "proposed"}), deps
            ),
            "a tag for every example": lambda: bulk(
                replace(ask, argument="tag", options=everything), deps
            ),
            f"an import of {_ROWS:,} rows": self._bring_in,
            "freezing every example": self._freeze,
            "the calendar of all workspaces": calendar.look,
            "forgetting a person": lambda: privacy.forget(asker, deps),
            "removing what is old": lambda: remove_old(keep, store=store, clock=clock),
            "scrubbing what was erased": store.scrub,
            "erasing the workspace": lambda: removal.erase(ask.workspace, store=store, now=ask.now),
        }

    async def longest_wait(self, work: Work) -> tuple[float, float]:
        """The longest and the median seconds of an urgent write while the work goes on."""
        waits = [await self._write()]
        going_on = asyncio.ensure_future(work())
        while not going_on.done():
            waits.append(await self._write())
            await asyncio.sleep(_PAUSE_SECONDS)
        await going_on
        return max(waits), median(waits)

    async def _write(self) -> float:
        self._written += 1
        key, began = f"urgent {self._written}", perf_counter()
        async with self._store.writing(is_urgent=True) as records:
            await records.inbox.receive(HOME, key, message_key=None, payload="{}", at=self._ask.now)
        return perf_counter() - began

    async def _bring_in(self) -> None:
        await datasets.import_rows(
            enumerate(self._rows, start=1),
            assistant=self._ask.assistant.id,
            method=Method.SUPERVISED,
            state=ExampleState.APPROVED,
            request=self._ask,
            store=self._store,
        )

    async def _freeze(self) -> None:
        number = await snapshot.freeze(
            self._ask, Method.SUPERVISED, self._frozen, store=self._store
        )
        async with self._store.reading() as records:
            job = a_job(await records.snapshots.get(HOME, number))
        await snapshot.hold_out(job, store=self._store, at=self._ask.now)


def _snapshot_rows() -> Iterable[SnapshotRow]:
    for number in range(1, SIZE.examples + 1):
        side = Split.TRAIN if number % 5 else Split.VALIDATION
        yield SnapshotRow(ExampleId(number), 1, side, f"{number:064}", None)


def measure() -> Iterable[Figure]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "attune.db"
        began = perf_counter()
        assistant = asyncio.run(build(path, SIZE))
        yield told(
            "a database as after years",
            f"{path.stat().st_size / 1e6:,.0f} MB, built in {perf_counter() - began:.0f} s",
        )
        yield from asyncio.run(_measure(path, AssistantId(assistant)))


async def _measure(path: Path, assistant: AssistantId) -> list[Figure]:
    store = await Database.open(f"sqlite:///{path}")
    async with store.reading() as records:
        workspace = await records.workspaces.find(HOME)
        assert workspace is not None
        own = await records.assistants.get(HOME, assistant)
    large = Large(store, _ask(workspace, own))
    # As the service does it: what the bench holds is not looked through for garbage.
    gc.collect()
    gc.freeze()
    figures, bare, bare_longest = [], 0.0, 0.0
    checkpoints = asyncio.create_task(_checkpoints(store))
    for name, work in large.works().items():
        began = perf_counter()
        longest, middle = await large.longest_wait(work)
        took = perf_counter() - began
        bare, bare_longest = bare or middle, bare_longest or longest
        figures.append(_figure(name, longest, bare=bare, bare_longest=bare_longest, took=took))
    checkpoints.cancel()
    await asyncio.wait({checkpoints})
    await store.close()
    return figures


async def _checkpoints(store: Database) -> None:
    """As the service makes them."""
    while True:
        await store.has_work.wait()
        store.has_work.clear()
        await store.checkpoint()


def _figure(name: str, longest: float, *, bare: float, bare_longest: float, took: float) -> Figure:
    most = MOST_SECONDS + bare_longest
    return Figure(
        f"longest urgent write beside {name}",
        f"{longest * 1e3:.0f} ms, {longest / bare:.0f} × alone ({took:.0f} s)",
        f"≤ {most * 1e3:.0f} ms",
        longest <= most,
    )


def _ask(workspace: Workspace, assistant: Assistant) -> Request:
    now, words = SystemClock().now(), Words("en")
    return Request(_event("U0"), workspace, Role.ADMIN, words, now, assistant)


def _event(user: str) -> Event:
    place, at = Place(HOME, GENERAL), SystemClock().now()
    return Event(
        key="large", place=place, user=User(UserId(user), user), at=at, what=ButtonClicked("large")
    )
