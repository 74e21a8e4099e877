"""kill -9 of real processes: the bot, its tuner, the tuner's worker, at moments drawn by lot.

ATTUNE_KILLS sets how many die in all.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from threading import Thread
from typing import IO

import pytest

from attune.embedded_tuner import embedded_tuner
from tests.waiting import find

KILLS = int(os.environ.get("ATTUNE_KILLS", "3"))
KILLS_EACH = 3
SECONDS = 60.0
MAX_LIFE = 1.2
ENVIRONMENT = ("PATH", "HOME", "LANG", "PYTHONPATH", "TMPDIR")


class Bot:
    """`attune chat` on one data folder, as often as it is started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.kills = 0
        self.start()

    def start(self) -> None:
        kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "attune", "chat"],
                cwd=Path(__file__).parent.parent,
                env={**kept, "ATTUNE_DATA_DIR": str(self.data)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        self.heard: list[str] = []
        assert self.process.stdout is not None
        self._reading = Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reading.start()

    def _read(self, output: IO[str]) -> None:
        self.heard.extend(iter(output.readline, ""))

    def do(self, *lines: str) -> None:
        assert self.process.stdin is not None
        for line in lines:
            self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def await_words(self, *words: str) -> None:
        find(lambda: any(word in line for line in self.heard for word in words), self._story)

    def _story(self) -> str:
        return f"{self.heard}\n{(self.folder / 'log').read_text()[-3000:]}"

    def kill(self, victim: str) -> None:
        """One of `bot`, `tuner` and `worker`; the bot where the other is not there."""
        found = {"tuner": ["-m tuner --announce"], "worker": ["tuner.worker"]}.get(victim, [])
        pids = [pid for pid, line in self.family() if any(part in line for part in found)]
        self.kills += 1
        if pids:
            with suppress(ProcessLookupError):
                os.kill(pids[0], signal.SIGKILL)
            return
        self.end(signal.SIGKILL)
        self.start()

    def end(self, how: signal.Signals | None = None) -> int:
        if how is None:
            self.do("/quit")
        else:
            self.process.send_signal(how)
        code = self.process.wait(SECONDS)
        self._reading.join(SECONDS)
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(BrokenPipeError):
                pipe.close()  # type: ignore[union-attr]
        find(lambda: not self.family(), lambda: f"left behind: {self.family()}")
        return code

    def family(self) -> list[tuple[int, str]]:
        return family(self.data)

    def count(self, what: str) -> int:
        ((found,),) = ask(self.data / "tuner" / "tuner.db", f"SELECT count(*) FROM {what}")
        return int(str(found))

    def messages(self) -> list[str]:
        return [
            str(text) for (text,) in ask(self.data / "attune.db", "SELECT text FROM room_messages")
        ]


def family(folder: Path) -> list[tuple[int, str]]:
    """Every process that works on a folder, found by its command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(folder) in line:
                found.append((int(path.parent.name), line))
    return found


def ask(database: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return connection.execute(question).fetchall()


def draw(seed: int) -> list[tuple[float, str]]:
    """How long each life lasts from yes on, and what dies then."""
    rng = random.Random(seed)
    victims = ["bot", "tuner", "worker"]
    rng.shuffle(victims)
    return [(rng.uniform(0, MAX_LIFE), victim) for victim in victims]


@pytest.mark.parametrize("seed", range(-(-KILLS // KILLS_EACH)))
def test_whatever_dies_one_training_comes_to_its_end(tmp_path: Path, seed: int) -> None:
    rows = tmp_path / "rows.csv"
    lines = [f"Do you sell things of sort {n}?,Arr of sort {n} be in the hold." for n in range(60)]
    rows.write_text("\n".join(["question,answer", *lines]))
    bot = Bot(tmp_path)
    try:
        bot.do(f"/tune import {rows} yes", "/tune start epochs:20 batch_size:1")
        bot.await_words("Train “attune”?")
        bot.do("/click LAST Confirm")
        for wait, victim in draw(seed):
            time.sleep(wait)  # the moments of death, not a wait for anything
            bot.kill(victim)
        # A click that died with the bot before it was acknowledged is clicked again.
        bot.do("/click LAST Confirm", "/wait")
        bot.await_words("All is quiet")

        assert bot.end() == 0
    finally:
        if bot.process.poll() is None:
            bot.end(signal.SIGKILL)
    check(bot)


def check(bot: Bot) -> None:
    live = [text for text in bot.messages() if text.startswith("Training 1: attune")]
    ended = [text for text in bot.messages() if text.startswith("Training 1 succeeded")]
    assert bot.kills == KILLS_EACH
    assert (bot.count("files WHERE purpose = 'fine-tune'"), bot.count("jobs")) == (2, 1)
    assert bot.count("models WHERE step IS NULL") == 1
    assert len(ended) == 1
    assert len(live) == 1
    assert "\nsucceeded" in live[0]
    assert bot.family() == []


def test_a_bot_that_is_told_to_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    bot = Bot(tmp_path)
    bot.do("/tune help")
    bot.await_words("What I can do")

    assert bot.end() == 0

    assert bot.family() == []


async def test_a_tuner_that_is_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    async with embedded_tuner(tmp_path) as tuner:
        for pid, _ in family(tmp_path):
            os.kill(pid, signal.SIGKILL)

        address = await tuner.address()

        assert address.url.startswith("http://127.0.0.1:")
    assert family(tmp_path) == []
