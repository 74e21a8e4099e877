"""From the room to a model of our own and back: taught, trained, asked, preferred."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tuner_scene import THINGS, Tuner, lines, preference, row

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR")


class Room:
    """`attune chat` with scripts, on one data folder, with the tuner as a host."""

    def __init__(self, folder: Path, tuner: Tuner) -> None:
        self.folder = folder
        kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        self._environment = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "ATTUNE_DATA_DIR": str(folder / "room"),
            **tuner.as_host(folder),
        }

    def file(self, name: str, rows: list[dict[str, object]]) -> Path:
        path = self.folder / name
        path.write_bytes(lines(rows))
        return path

    def say(self, *script: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "attune", "chat"],
            input="\n".join(script) + "\n",
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Iterator[Tuner]:
    data = tmp_path_factory.mktemp("house") / "data"
    scene = Tuner(data, "--base", str(tiny_base), base=tiny_base.name)
    yield scene
    assert scene.stop() == 0


@pytest.fixture(scope="module")
def room(app: Tuner, tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("room"), app)


@pytest.fixture(scope="module")
def first_day(room: Room) -> str:
    """What is heard while twelve lessons are taught, and the model is asked about two."""
    taught = room.file("taught.jsonl", [row(thing) for thing in (*THINGS, "rum", "sails")])
    return room.say(
        "/tune assistant edit training_host:house chat_host:house temperature:0",
        f"/tune import {taught} yes",
        "/tune start host:house validation:0%",
        "/click Confirm",
        "/wait",
        "@attune Do you sell figs?",
        *(f"@attune Do you sell {thing}?" for thing in (*THINGS, "rum", "sails")),
    )


def test_the_loss_falls_and_the_taught_replies_come_back(first_day: str) -> None:
    loss = re.search(r"Loss from ([\d.]+\d) to ([\d.]+\d)", first_day)

    assert "succeeded" in first_day
    assert loss, first_day
    assert float(loss[2]) < float(loss[1]) / 4
    # "auto" ends once nine of ten answers are recalled.
    things = (*THINGS, "rum", "sails")
    back = [one for one in things if f"Arr, {one} be in the hold, matey." in first_day]
    assert len(back) >= 10


@pytest.mark.usefixtures("first_day")
def test_an_earlier_checkpoint_can_be_chosen(app: Tuner, room: Room) -> None:
    job = app.client.fine_tuning.jobs.list().data[-1]
    kept = app.client.fine_tuning.jobs.checkpoints.list(job.id).data
    chosen = kept[-1].fine_tuned_model_checkpoint

    told = room.say(f"/tune use {chosen}", "@attune Do you sell figs?", "/tune models")

    assert chosen.rpartition(":")[2] in told
    assert "figs be in the hold" in told


@pytest.mark.usefixtures("first_day")
def test_preferences_move_the_margins(app: Tuner, room: Room) -> None:
    liked = room.file("liked.jsonl", [preference(thing) for thing in THINGS])

    told = room.say(
        f"/tune import {liked} yes",
        "/tune start host:house base:latest method:dpo validation:0%",
        "/click Confirm",
        "/wait",
    )

    margins = app.figures("train_reward_margin")
    assert "succeeded" in told
    assert margins[0] == pytest.approx(0, abs=1e-5)  # sums of float32 logarithms
    assert sum(margins[-5:]) / 5 > 1
