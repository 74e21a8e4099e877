"""A thousand events in disorder, sockets cut, the bot killed: what came of each of them.

`python -m tests.storm 1000 5` is the whole storm.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bot.domain import ExampleFilter, WorkspaceId
from storage.database import Database
from tests.fakes.faulty_host import FaultyHost, faulty_host
from tests.fakes.slack import TEAM, FakeSlack, fake_slack, shown
from tests.fakes.slack_rules import Json
from tests.waiting import until

Send = Callable[[], object]
ROOT = Path(__file__).resolve().parents[1]
ADMIN = "U1"
ANSWER = "Hello from the model"
_CHANNELS = 40
_BURST_SECONDS = 0.02


@dataclass(slots=True)
class Outcome:
    """What is wrong after a storm; nothing should be."""

    faults: list[str] = field(default_factory=list)
    slowest_ack: float = 0.0
    seconds: float = 0.0
    sent: int = 0

    def blame(self, is_so: bool, what: str) -> None:
        if is_so:
            self.faults.append(what)


class Storm:
    """So many questions, commands, marks and direct messages, each with one effect to have."""

    def __init__(self, slack: FakeSlack, host: FaultyHost, folder: Path, *, events: int) -> None:
        self.slack = slack
        self.host = host
        self.folder = folder
        self.chance = random.Random(7)
        self.asked: dict[tuple[str, str], str] = {}
        self.commands: list[str] = []
        self.marked: list[tuple[str, str]] = []
        self._process: asyncio.subprocess.Process | None = None
        self._events = events
        self.patience = 300.0

    async def run(self, *, kills: int) -> Outcome:
        outcome = Outcome()
        start = time.monotonic()
        self._prepare()
        await self._start()
        deadly = {self._events * (number + 1) // (kills + 1) for number in range(kills)}
        for number, send in enumerate(self._happenings()):
            send()
            await asyncio.sleep(_BURST_SECONDS)
            if number % 50 == 49:
                await self.slack.cut()
            if number in deadly:
                await self._kill()
                await self._start()
        await self._settled()
        await self._stop()
        outcome.seconds = time.monotonic() - start
        await self._judge(outcome)
        return outcome

    def _prepare(self) -> None:
        self.slack.tiers.is_on = False
        self.slack.retry_waits = (0.2, 1.0, 2.0)
        for number in range(_CHANNELS):
            self.slack.add_channel(f"C{number + 100}")

    def _happenings(self) -> list[Send]:
        """A fifth comes twice, a tenth elsewhere than it belongs."""
        deliveries = [self._happening(number) for number in range(self._events)]
        twice = self.chance.sample(deliveries, self._events // 5)
        for again in twice:
            deliveries.insert(self.chance.randrange(len(deliveries)), again)
        for _ in range(self._events // 10):
            one = deliveries.pop(self.chance.randrange(len(deliveries)))
            deliveries.insert(self.chance.randrange(len(deliveries)), one)
        return deliveries

    def _happening(self, number: int) -> Send:
        channel = f"C{100 + number % _CHANNELS}"
        match number % 10:
            case 7:
                return self._mark(number, channel)
            case 8 | 9:
                return self._command(number, channel)
            case _:
                return self._question(number, channel)

    def _question(self, number: int, channel: str) -> Send:
        text = f"<@UBOT> question {number}"
        ts = self.slack.put("U2", channel, text)
        self.asked[channel, ts] = text
        event = {"type": "app_mention", "user": "U2", "channel": channel, "ts": ts, "text": text}
        return lambda: self.slack.event(event, event_id=f"EvStorm{number}")

    def _mark(self, number: int, channel: str) -> Send:
        ts = self.slack.put("U3", channel, f"remember {number}")
        self.marked.append((channel, ts))
        item = {"type": "message", "channel": channel, "ts": ts}
        event = {"type": "reaction_added", "user": "U3", "reaction": "mortar_board", "item": item}
        return lambda: self.slack.event(event, event_id=f"EvStorm{number}")

    def _command(self, number: int, channel: str) -> Send:
        """Slack sends a command once; what the bot could not take is lost to its sender too."""
        text = f"assistant create name:storm{number}"
        self.commands.append(f"storm{number}")
        event: Json = {"type": "app_mention", "user": ADMIN, "channel": channel}
        ts = self.slack.put(ADMIN, channel, f"<@UBOT> tune {text}")
        event |= {"ts": ts, "text": f"<@UBOT> tune {text}"}
        return lambda: self.slack.event(event, event_id=f"EvStorm{number}")

    async def _start(self) -> None:
        known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        settings = {
            "PYTHONPATH": str(ROOT),
            "ATTUNE_DATA_DIR": str(self.folder),
            "ATTUNE_STUDIO_PORT": "0",
            **self.slack.settings,
            "OPENAI_BASE_URL": self.host.url,
            "OPENAI_API_KEY": self.host.key,
            "ATTUNE_BASE_MODEL": "base",
            "ATTUNE_ADMINS": f"slack:{ADMIN}",
        }
        with (self.folder / "log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "attune", "run"),
                env=known | settings,
                cwd=self.folder,
                stdout=log,
                stderr=log,
            )
        await until(lambda: self.slack.sockets)

    async def _kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def _stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        await self._process.wait()

    async def _settled(self) -> None:
        """Until nothing has been said for a while and every answer is there."""
        with suppress(AssertionError):
            await until(
                lambda: self._is_heard() and not self._unfinished(),
                meanwhile=lambda: asyncio.sleep(0.2),
                seconds=self.patience,
            )

    def _is_heard(self) -> bool:
        wanted = len(self.asked) + len(self.commands)
        is_acked = all(one.acked.is_set() for one in self.slack.deliveries)
        return is_acked and len(self._answers()) + self._whispers() >= wanted

    def _whispers(self) -> int:
        """A command that was cut off is told, to its sender alone, that it is done already."""
        return sum(one["user"] == ADMIN for one in self.slack.ephemerals)

    def _answers(self) -> list[tuple[str, str]]:
        return [
            (channel, message["thread_ts"])
            for channel in self.slack.channels
            for message in self.slack.own(channel)
            if "thread_ts" in message
        ]

    async def _judge(self, outcome: Outcome) -> None:
        answers = Counter(self._answers())
        outcome.sent = len(self.slack.deliveries)
        replies = len(answers) - len(self.asked) + self._whispers()
        outcome.blame(replies < len(self.commands), f"{replies} commands were answered")
        outcome.blame(any(count > 1 for count in answers.values()), _few("twice", answers, 2))
        for channel, ts in self.asked:
            said = [m for m in self.slack.own(channel) if m.get("thread_ts") == ts]
            texts = [shown(message) for message in said]
            outcome.blame([text.strip() for text in texts] != [ANSWER], f"{channel} {ts}: {texts}")
        unacked = [one for one in self.slack.deliveries if not one.acked.is_set()]
        outcome.blame(bool(unacked), f"{len(unacked)} were never acknowledged")
        outcome.slowest_ack = max(
            (took for one in self.slack.deliveries for took in one.acks), default=99.0
        )
        outcome.blame(outcome.slowest_ack >= 3, "an acknowledgement took 3 seconds")
        # Authors of what was marked are called once, to be asked; nobody else, and nobody twice.
        calls = Counter(self.slack.pings)
        strays = [one for one, n in calls.items() if n > 1 or not one.startswith("<@U")]
        outcome.blame(bool(strays), f"pings: {strays[:3]}")
        await self._judge_records(outcome)

    def _unfinished(self) -> int:
        with closing(sqlite3.connect(self.folder / "attune.db")) as connection:
            waiting = "SELECT count(*) FROM inbox WHERE state <> 'done'"
            return int(connection.execute(waiting).fetchone()[0])

    def _slowest(self) -> float:
        return max((took for one in self.slack.deliveries for took in one.acks), default=99.0)

    async def _judge_records(self, outcome: Outcome) -> None:
        workspace = WorkspaceId(f"slack:{TEAM}")
        store = await Database.open(f"sqlite:///{self.folder}/attune.db")
        async with store.reading() as records:
            kept = await records.examples.page(workspace, ExampleFilter(), limit=10_000)
            assistants = await records.assistants.all(workspace)
            unfinished = await records.inbox.list_unfinished()
        await store.close()
        sources = Counter((e.source.channel, e.source.message) for e in kept if e.source)
        outcome.blame(sources != Counter(self.marked), "marks and examples differ")
        made = sorted(one.name for one in assistants if one.name.startswith("storm"))
        outcome.blame(made != sorted(self.commands), "commands and assistants differ")
        outcome.blame(bool(unfinished), f"{len(unfinished)} events are unfinished")


def _few(what: str, counted: Counter[tuple[str, str]], least: int) -> str:
    found = [key for key, count in counted.items() if count >= least]
    return f"{what}: {len(found)} of them, like {found[:3]}"


@asynccontextmanager
async def storm(folder: Path, *, events: int) -> AsyncIterator[Storm]:
    async with fake_slack() as slack, faulty_host() as host:
        yield Storm(slack, host, folder, events=events)


async def _main(events: int, kills: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        async with storm(Path(folder), events=events) as made:
            outcome = await made.run(kills=kills)
            calls = Counter(call.method for call in made.slack.calls)
    said = [*outcome.faults[:20], f"calls: {calls}"]
    said += [f"{outcome.sent} deliveries, over in {outcome.seconds:.0f} s"]
    said += [f"slowest acknowledgement {outcome.slowest_ack:.2f} s", ""]
    sys.stdout.write("\n".join(said))
    return len(outcome.faults)


if __name__ == "__main__":
    sys.exit(asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2]))))
