"""Given · say · hear: the real house over a real database and a host that can go wrong.

async def test_…(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm()

    await scene.settle()

    assert len(scene.host.jobs) == 1
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Coroutine, Generator, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from fastapi import Response
from sqlalchemy import select

from adapters.console.typed_commands import CONSOLE_OWNER, ConsoleSession
from adapters.local_room import render_message
from adapters.openai.hosts_file import ConfiguredHosts, HostConfig, host_class
from adapters.openai.timeouts import Timeouts
from attune.bootstrap import App, build_app, create_text_index
from attune.settings import Settings
from bot.command_catalogue import CATALOGUE
from bot.domain import (
    LOCAL,
    ChannelId,
    Example,
    ExampleFilter,
    ExampleState,
    Grant,
    Job,
    JobId,
    Message,
    MessageId,
    Model,
    Phase,
    Place,
    Role,
    RoomMessage,
    User,
    UserId,
    WorkspaceId,
)
from bot.events import Event, EventContent, MessageReceived, WorkspaceLeft
from bot.example_index import ExampleIndex
from bot.ports.store import Records, Store
from bot.ports.surface import Surface
from bot.replies import Card, Drawn, Listing, Text
from storage.database import Database
from storage.tables import jobs as jobs_table
from tests.fakes.faults import Call, Cut, Fault
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.fakes.platform import FakePlatform
from tests.waiting import until

T = TypeVar("T")

GENERAL = ChannelId("general")
SLACK = WorkspaceId("slack:T1")
KEY = "the key of the fake host"
PATIENCE = 3000
OTHER_WORK = timedelta(seconds=30)


class Death(BaseException):
    """The process is gone: nothing more is written, nothing more is asked."""


class CrashPoint:
    """Counts effects (commits, and acts of the host), and ends the process after one of them.

    Until the next effect nothing outside the process differs, so no other moment tells more.
    """

    def __init__(self, dies_at: int = 0) -> None:
        self.effects = 0
        self.is_dead = False
        self._dies_at = dies_at

    def check(self) -> None:
        if self.is_dead:
            raise Death

    def after_effect(self) -> None:
        self.check()
        self.effects += 1
        if self.effects == self._dies_at:
            self.is_dead = True
            raise Death


class MortalStore:
    """A store whose process may die after each commit."""

    def __init__(self, store: Store, crash_point: CrashPoint) -> None:
        self._store = store
        self._crash_point = crash_point

    @asynccontextmanager
    async def writing(self, *, is_urgent: bool = False) -> AsyncIterator[Records]:
        self._crash_point.check()
        async with self._store.writing(is_urgent=is_urgent) as records:
            yield records
            self._crash_point.check()
        self._crash_point.after_effect()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Records]:
        self._crash_point.check()
        async with self._store.reading() as records:
            yield records


class MovedClock:
    """A clock that moves only when told."""

    def __init__(self) -> None:
        self._now = datetime(2026, 11, 3, 10, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self._now

    def move(self, wait: timedelta) -> None:
        self._now += wait

    async def sleep(self, wait: timedelta) -> None:
        self.move(wait)
        await asyncio.sleep(0)


class Tasks(asyncio.TaskGroup):
    """A group that keeps its tasks to itself, so that a whole life can be ended at once."""

    def __init__(self) -> None:
        super().__init__()
        self.all: list[asyncio.Task[Any]] = []

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(coro, name=name, context=context)
        self.all.append(task)
        return task

    async def end(self) -> None:
        for task in self.all:
            task.cancel()
        await asyncio.gather(*self.all, return_exceptions=True)

    def raise_failures(self) -> None:
        """What the house promises never to happen: an event's task that raises."""
        for task in self.all:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise error
        self.all = [task for task in self.all if not task.done()]


class Scene:
    """One installation, its people, its host, and as many lives of its process as it takes."""

    def __init__(self, folder: Path, host: FaultyHost) -> None:
        self.folder = folder
        self.host = host
        self.clock = MovedClock()
        self.advance(0)
        self.slack = FakePlatform()
        self.surfaces: dict[str, Surface] = {"slack": self.slack}
        self.configs: list[HostConfig] = [self.config("sandbox")]
        self.crash_point = CrashPoint()
        self.admins = ""
        self.erase_after_days = 7.0
        self.start_patience, self.job_patience = 1.0, 72.0
        self.public_url = "https://attune.example"

    def config(self, name: str, **more: Any) -> HostConfig:
        settings = {"profile": "custom", "bases": ("base",), "key_env": "KEY", **more}
        settings.setdefault("prices", {"base": 0.0})
        return HostConfig(name=name, **{"base_url": self.host.url, **settings})

    async def start(self) -> None:
        """A new life over what the last one left."""
        self.database = await Database.open(f"sqlite:///{self.folder}/attune.db")
        # One for the whole life: to read all the tables' names costs more than what is asked.
        self._beside = sqlite3.connect(self.folder / "attune.db")
        self.store = MortalStore(self.database, self.crash_point)
        self.hosts = ConfiguredHosts(self.configs, keys={"KEY": self.host.key})
        self.tasks = Tasks()
        self.app: App = build_app(
            Settings.model_construct(
                data_dir=self.folder,
                admins=self.admins,
                public_url=self.public_url,
                erase_after_days=self.erase_after_days,
                start_patience=self.start_patience,
                job_patience=self.job_patience,
            ),
            store=self.store,
            hosts=self.hosts,
            group=self.tasks,
            clock=self.clock,
            platforms=self.surfaces,
        )
        self._example_index = ExampleIndex(
            store=self.store,
            clock=self.clock,
            create_index=create_text_index,
            start_task=self.tasks.create_task,
        )
        self._watch = self.app.room.watch()
        self._talk = ConsoleSession(
            self.app, self.app.room, CATALOGUE, self.clock, locale="en", channel=GENERAL
        )
        await self.app.dispatch.handle_unfinished()

    async def end(self) -> None:
        """As kill -9 does it: nothing is said or written any more."""
        self.crash_point.is_dead = True
        await self.tasks.end()
        self._watch.__exit__(None, None, None)
        await self.hosts.close()
        self._beside.close()
        await self.database.close()

    async def open(self, dies_at: int = 0) -> None:
        self.crash_point = CrashPoint(dies_at)
        await self.start()

    async def restart(self) -> None:
        await self.end()
        await self.open()

    def dies_with_calls(self, *routes: str) -> None:
        """The process may also die after the host has acted."""
        for route in routes:
            self.host.fail_always(route, self._mortal())

    def _mortal(self) -> Fault:
        async def fault(call: Call) -> Response:
            try:
                self.crash_point.check()
                response = await call.act()
                self.crash_point.after_effect()
            except Death:
                return Cut()
            return response

        return fault

    # Saying

    async def do(self, line: str, *, by: str = "you") -> None:
        """A line as at the console, answered whole."""
        outcome = await self._begin(line, by)
        if not isinstance(outcome, str):
            await outcome
        self.tasks.raise_failures()
        for change in self._watch.drain():
            self._talk.describe_change(change)

    async def _begin(self, line: str, by: str) -> Any:
        self._talk.speaker = CONSOLE_OWNER if by == "you" else User(UserId(by), by)
        return await self._talk.run_line(line)

    async def say(self, text: str, *, by: str = "you") -> None:
        await self.do(text, by=by)

    async def command(self, words: str, *, by: str = "you") -> None:
        await self.do(f"/tune {words}", by=by)

    async def click(self, label: str, *, on: int | str = "LAST", by: str = "you") -> None:
        await self.do(f"/click {on} {label}", by=by)

    async def react(
        self, on: int | str, emoji: str, *, by: str = "you", is_removed: bool = False
    ) -> None:
        await self.do(f"/react {on} {emoji}{' off' if is_removed else ''}", by=by)

    async def submit(self, *, by: str = "you", **values: str) -> None:
        """Fill in the form that is open, and send it."""
        for name, value in values.items():
            await self.do(f"/fill {name} {value}", by=by)
        await self.do("/submit", by=by)

    async def ask_only(self, text: str, *, by: str = "you") -> None:
        """A question whose answer is not waited for."""
        outcome = await self._begin(text, by)
        if not isinstance(outcome, str):
            outcome.close()

    async def handle(self, event: Event) -> bool:
        """An event to its end; False if it was dropped."""
        task = await self.app.handle(event)
        if task is not None:
            await asyncio.wait({task})
            self.tasks.raise_failures()
        return task is not None

    def event(self, what: EventContent, *, key: str, by: str | User = "you", **place: Any) -> Event:
        user = _user(by)
        where = Place(**{"workspace": LOCAL, "channel": GENERAL, **place})
        return Event(key=key, place=where, user=user, at=self.clock.now(), what=what)

    async def slack_event(self, what: EventContent, *, key: str, by: str | User = "you") -> bool:
        return await self.handle(
            self.event(what, key=key, by=by, workspace=SLACK, channel=self.slack.channel)
        )

    def spoken(
        self, text: str, *, number: int | str, by: str | User = "you", is_addressed: bool = True
    ) -> MessageReceived:
        place = Place(LOCAL, GENERAL)
        said = Message(place, MessageId(str(number)), _user(by), text, self.clock.now())
        return MessageReceived(said, is_addressed=is_addressed)

    # Common beginnings

    async def learn(self, rows: int, *, origin: str = "rows.csv") -> None:
        """So many approved examples."""
        lines = [f"question {n},answer {n}" for n in range(rows)]
        path = self.folder / origin
        path.write_text("\n".join(["question,answer", *lines]))
        await self.command(f"import {path} yes")

    async def confirm(self, options: str = "", *, by: str = "you") -> None:
        await self.command(f"start {options}".strip(), by=by)
        await self.click("Confirm", by=by)

    async def tuned(self, options: str = "") -> Job:
        """A model, in use."""
        await self.learn(12)
        await self.confirm(options)
        await self.settle()
        return await self.job()

    async def grant(self, user: str, role: Role, workspace: WorkspaceId = LOCAL) -> None:
        async with self.store.writing() as records:
            await records.roles.set_grant(workspace, UserId(user), Grant(role, self.clock.now()))

    # Time

    async def leave(self) -> None:
        """The app is removed from the local workspace, and the grace period passes."""
        await self.handle(self.event(WorkspaceLeft(), key="left"))
        self.advance(timedelta(days=self.erase_after_days).total_seconds())
        await self.app.runners.removals.poll()

    def advance(self, seconds: float) -> None:
        self.clock.move(timedelta(seconds=seconds))
        self.host.now = int(self.clock.now().timestamp())

    async def turn(self) -> float | None:
        """One look of every runner whose table has rows, one round of the courier."""
        runners = self.app.runners
        waits = [await runners.jobs.poll()]
        await runners.removals.poll()
        if self._has_rows("evaluations"):
            waits.append(await runners.evaluations.poll())
        await runners.offers.poll()
        if self._has_rows("judgings"):
            waits.append(await runners.judges.poll())
        if self._has_rows("synthetic_runs"):
            waits.append(await runners.synthetic.poll())
        if self._has_rows("blind_votes"):
            await runners.votes.poll()
        if self._has_rows("canaries"):
            await runners.canaries.poll()
        await self.app.deliver_notices()
        return min((wait for wait in waits if wait is not None), default=None)

    async def step(self) -> None:
        """One turn, and the time that everything wants to wait after it."""
        self.advance(await self.turn() or 0.0)

    async def step_jobs(self) -> None:
        """As `step`, for the jobs alone."""
        self.advance(await self.app.runners.jobs.poll() or 1.0)

    async def reach(self, phase: Phase) -> None:
        """Steps until the only job is in this phase."""

        async def is_reached() -> bool:
            return (await self.job()).phase is phase

        await until(is_reached, meanwhile=self.step)

    async def shows(self, text: str) -> None:
        """Until the assistant has said exactly this, as it does while an answer is written."""

        async def is_shown() -> bool:
            return text in await self.texts()

        await until(is_shown)

    def _has_rows(self, table: str) -> bool:
        (found,) = self._beside.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()
        return bool(found)

    async def settle(self, *, turns: int = PATIENCE) -> None:
        """Until nothing is left to do, however long that takes by the clock."""
        for count in range(turns):
            if self.app.running_tasks:
                await asyncio.wait(set(self.app.running_tasks))
            self.crash_point.check()
            self.tasks.raise_failures()
            wait = await self.turn()
            # Paused jobs go on being looked at, so now and then one has to ask.
            if (wait is None or count % 8 == 7) and await self._is_settled():
                return
            self.advance(OTHER_WORK.total_seconds() if wait is None else wait)
        raise AssertionError(f"not settled after {turns} turns: {await self.texts()}")

    async def _is_settled(self) -> bool:
        async with self.database.reading() as records:
            is_removing = bool(await records.jobs.list_awaiting_file_deletion())
        return not is_removing and await self.app.is_idle(LOCAL)

    # Hearing

    async def messages(self) -> Sequence[RoomMessage]:
        return await self.app.room.recent(GENERAL, limit=1000)

    async def texts(self) -> list[str]:
        """What the assistant said, oldest first, as it stands now."""
        return [message.text for message in await self.messages() if message.is_own]

    async def last(self) -> str:
        return (await self.texts())[-1]

    async def last_card(self) -> Card:
        """The newest message that is a card."""
        return next(c for c in reversed(await self._drawn()) if isinstance(c, Card))

    async def last_listing(self) -> Listing:
        return next(c for c in reversed(await self._drawn()) if isinstance(c, Listing))

    async def last_text(self) -> Text:
        return next(c for c in reversed(await self._drawn()) if isinstance(c, Text))

    async def said(self, part: str) -> list[str]:
        return [text for text in await self.texts() if part in text]

    async def number_of(self, part: str) -> int:
        """The number of the newest message that says this."""
        found = [m.number for m in await self.messages() if part in m.text]
        assert found, f"nobody said {part!r}: {await self.texts()}"
        return found[-1]

    async def _drawn(self) -> list[Drawn]:
        return [render_message(message) for message in await self.messages() if message.is_own]

    async def jobs(self) -> Sequence[Job]:
        async with self.database.reading() as records:
            return await records.jobs.page(LOCAL, limit=100)

    async def estimate(self) -> JobId:
        """The newest start that is priced and waits for a yes or no."""
        query = select(jobs_table.c.id).where(jobs_table.c.phase == Phase.ESTIMATED)
        async with self.database._readers.connect() as connection:
            newest = query.order_by(jobs_table.c.created_at.desc()).limit(1)
            return JobId((await connection.execute(newest)).scalar_one())

    async def job(self) -> Job:
        (job,) = await self.jobs()
        return job

    async def models(self) -> Sequence[Model]:
        async with self.database.reading() as records:
            assistant = await records.assistants.default(LOCAL)
            assert assistant is not None
            return await records.models.all(LOCAL, assistant.id)

    async def examples(
        self, state: ExampleState | None = None, workspace: WorkspaceId = LOCAL
    ) -> Sequence[Example]:
        async with self.database.reading() as records:
            return await records.examples.page(workspace, ExampleFilter(state=state), limit=1000)

    async def nearest_examples(
        self, place: Place, question: str, *, count: int, records: Records | None = None
    ) -> Sequence[Example]:
        """The examples that would go along with a question, the nearest first."""
        if records is None:
            async with self.store.reading() as reading:
                return await self.nearest_examples(place, question, count=count, records=reading)
        assistant = await records.assistants.default(place.workspace)
        assert assistant is not None
        return await self._example_index.find(records, place, assistant, question, count=count)

    async def audited(self, what: str, workspace: WorkspaceId = LOCAL) -> int:
        async with self.database.reading() as records:
            return len(await records.audit.page(workspace, what=what, limit=1000))


def _user(by: str | User) -> User:
    if isinstance(by, User):
        return by
    return CONSOLE_OWNER if by == CONSOLE_OWNER.name else User(UserId(by), by)


@pytest.fixture
def quick_hosts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the house tries again; no machine is so slow that a host seems to hang by it."""
    give_up_after(20.0, monkeypatch)


@pytest.fixture
def impatient_hosts(quick_hosts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host that hangs is given up after a second, from the next restart of the scene on."""
    give_up_after(1.0, monkeypatch)


def give_up_after(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Timeouts(
        connect=seconds, poll=seconds, upload=seconds, first_piece=seconds, piece=seconds
    )

    def patient(profile: str) -> Any:
        return partial(host_class(profile), retries=0, patience=patience)

    monkeypatch.setattr("adapters.openai.hosts_file.host_class", patient)


@pytest.fixture
async def scene(tmp_path: Path, quick_hosts: None) -> AsyncIterator[Scene]:
    """A house that has just opened."""
    async with opened_scene(tmp_path) as made:
        yield made


@asynccontextmanager
async def opened_scene(folder: Path) -> AsyncIterator[Scene]:
    """An app over the store in this folder, with a host of its own."""
    async with faulty_host() as host:
        made = Scene(folder, host)
        await made.start()
        yield made
        await made.end()


def copy_data(source: Path, target: Path) -> None:
    """What a process that ended had on disk."""
    for path in source.glob("attune.db*"):
        shutil.copy(path, target / path.name)
