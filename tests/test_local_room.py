"""From the room to a model of our own and back: taught, trained, asked, preferred."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tuner_scene import KEY, THINGS, Tuner, lines, preference, row

pytestmark = pytest.mark.torch

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ("PATH", "HOME", "LANG", "TMPDIR")


class Room:
    """`attune chat` with scripts, on one data folder, with the tuner as a host."""

    def __init__(self, folder: Path, tuner: Tuner) -> None:
        self.folder = folder
        hosts = folder / "hosts.toml"
        hosts.write_text(
            f'[[host]]\nname = "house"\nbase_url = "{tuner.url}/v1"\nkey_env = "HOUSE_KEY"\n'
            f'bases = ["{tuner.base}"]\nprices = {{{tuner.base} = 0.0}}\n',
            "utf-8",
        )
        kept = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        self._environment = {
            **kept,
            "PYTHONPATH": str(ROOT),
            "ATTUNE_DATA_DIR": str(folder / "room"),
            "ATTUNE_HOSTS": str(hosts),
            "HOUSE_KEY": KEY,
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


def figures(tuner: Tuner, name: str) -> list[float]:
    """What the newest job told of itself, step by step."""
    job = tuner.client.fine_tuning.jobs.list(limit=1).data[0]
    data = [event["data"] for event in reversed(tuner.events(job))]
    return [float(each[name]) for each in data if isinstance(each, dict) and name in each]


def test_the_room_teaches_a_model_of_our_own(own_local: Tuner, tmp_path: Path) -> None:
    room = Room(tmp_path, own_local)
    taught = room.file("taught.jsonl", [row(thing) for thing in (*THINGS, "rum", "sails")])
    liked = room.file("liked.jsonl", [preference(thing) for thing in THINGS])

    told = room.say(
        "/tune assistant edit training_host:house chat_host:house temperature:0",
        f"/tune import {taught}",
        "/tune start host:house validation:0%",
        "/click Confirm",
        "/wait",
        "@attune Do you sell figs?",
        "@attune Do you sell rum?",
        f"/tune import {liked}",
        "/tune start host:house base:latest method:dpo validation:0%",
        "/click Confirm",
        "/wait",
        "/tune models",
    )

    assert told.count("succeeded") >= 2, told
    loss = re.search(r"Loss from ([\d.]+) to ([\d.]+)", told)
    assert loss, told
    assert float(loss[2]) < float(loss[1]) / 4
    assert "Arr, figs be in the hold, matey." in told
    assert "Arr, rum be in the hold, matey." in told
    margins = figures(own_local, "train_reward_margin")
    assert margins[0] == 0
    assert sum(margins[-5:]) / 5 > 1


def test_an_earlier_checkpoint_can_be_chosen(own_local: Tuner, tmp_path: Path) -> None:
    room = Room(tmp_path, own_local)
    taught = room.file("taught.jsonl", [row(thing) for thing in (*THINGS, "rum", "sails")])
    room.say(
        "/tune assistant edit training_host:house chat_host:house temperature:0",
        f"/tune import {taught}",
        "/tune start host:house validation:0%",
        "/click Confirm",
        "/wait",
    )
    job = own_local.client.fine_tuning.jobs.list(limit=1).data[0]
    kept = own_local.client.fine_tuning.jobs.checkpoints.list(job.id).data

    told = room.say(
        f"/tune use {kept[-1].fine_tuned_model_checkpoint}",
        "@attune Do you sell figs?",
    )

    assert "figs be in the hold" in told, json.dumps(told)
