"""Death of a real training, at any step: the same curve and the same bytes as without it."""

from __future__ import annotations

import os
import random
import signal
from pathlib import Path

import pytest
from openai.types.fine_tuning import FineTuningJob

from tests.tuner_scene import Tuner, preference, row
from tests.waiting import find

pytestmark = pytest.mark.torch

# Three in everyday runs; ATTUNE_KILLS=20 for the long one.
KILLS = int(os.environ.get("ATTUNE_KILLS", "3"))
ROWS = [row(f"ware {n}") for n in range(16)]
# Learned long before the last of the epochs that "auto" allows.
EASY = [row(thing) for thing in ("figs", "jam") for _ in range(8)]


def outcome(tuner: Tuner, job: FineTuningJob) -> tuple[str, bytes]:
    """The whole curve, and every byte of the model."""
    ended = tuner.await_end(job)
    assert ended.status == "succeeded", tuner.events(job)[:3]
    model = tuner.data / "jobs" / job.id / "model"
    weights = b"".join(path.read_bytes() for path in sorted(model.iterdir()))
    return tuner.client.files.content(ended.result_files[0]).text, weights


def kill_worker(tuner: Tuner) -> None:
    for pid in find(tuner.workers):
        os.kill(pid, signal.SIGKILL)


def kill_server(tuner: Tuner) -> None:
    tuner.kill()
    tuner.start()


def test_kills_at_random_steps_change_no_byte(own_local: Tuner) -> None:
    chance = random.Random(7)
    wishes = {"hyperparameters": {"batch_size": 2}, "seed": 11}
    first = own_local.begin(EASY, **wishes)
    undisturbed = outcome(own_local, first)
    steps = own_local.steps(first)

    job = own_local.begin(EASY, **wishes)
    for step in sorted(chance.sample(range(1, len(steps) // 2), KILLS)):
        own_local.await_steps(job, step)
        chance.choice([kill_worker, kill_server])(own_local)

    assert outcome(own_local, job) == undisturbed
    assert own_local.steps(job) == steps == list(range(len(steps), 0, -1))
    assert any("Learned after" in str(event["message"]) for event in own_local.events(job))


def test_a_paused_preference_training_goes_on_to_the_same_bytes(own_local: Tuner) -> None:
    rows = [preference(f"ware {n}") for n in range(12)]
    numbers = {"n_epochs": 4, "batch_size": 2}
    method = {"type": "dpo", "dpo": {"hyperparameters": numbers}}
    undisturbed = outcome(own_local, own_local.begin(rows, method=method, seed=3))

    job = own_local.begin(rows, method=method, seed=3)
    own_local.await_steps(job, 5)
    own_local.steer(job, "pause")
    find(lambda: not own_local.workers())
    assert own_local.steer(job, "resume") == "queued"

    assert outcome(own_local, job) == undisturbed


def test_a_cancelled_training_leaves_nothing(own_local: Tuner) -> None:
    job = own_local.begin(ROWS, hyperparameters={"n_epochs": 50, "batch_size": 1})
    own_local.await_steps(job, 3)

    assert own_local.steer(job, "cancel") == "cancelled"

    find(lambda: not own_local.workers())
    find(lambda: not (Path(own_local.data) / "jobs" / job.id).exists())
