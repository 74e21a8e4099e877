"""A training that another program starts: on two processes, or out of reach of every signal."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openai.types.fine_tuning import FineTuningJob

from tests.tuner_scene import THINGS, Tuner, many, row
from tests.waiting import find

pytestmark = pytest.mark.torch

TWO = "{python} -m torch.distributed.run --standalone --nproc-per-node 2 -m tuner.worker {job}"
FAR = "sh -c \"trap '' TERM; {python} -m tuner.worker {job} < /dev/null & wait; wait\""
# As many as make whole batches: processes fill up a last one with rows from the first.
ROWS = many(16)
NUMBERS = {"n_epochs": 15, "batch_size": 4}
STEPS = 60


@pytest.fixture
def launched(tmp_path: Path, tiny_base: Path) -> Iterator[Callable[..., Tuner]]:
    """Servers that start their trainings with this command."""
    begun: list[Tuner] = []

    def launch(*options: str) -> Tuner:
        data = tmp_path / str(len(begun)) / "data"
        data.parent.mkdir()
        begun.append(Tuner(data, "--base", str(tiny_base), *options, base=tiny_base.name))
        return begun[-1]

    yield launch
    for tuner in begun:
        tuner.stop()


def curve(tuner: Tuner, job: FineTuningJob) -> list[float]:
    assert job.status == "succeeded", tuner.events(job)[:3]
    text = tuner.client.files.content(job.result_files[0]).text
    lines = csv.DictReader(io.StringIO(text))
    return [float(line[name]) for line in lines for name in ("train_loss", "valid_loss")]


def test_two_processes_train_as_one_and_stop_and_go_on_together(
    launched: Callable[..., Tuner],
) -> None:
    one, two = launched(), launched("--launch", TWO)
    validations = [tuner.upload([row("rum"), row("sails")]).id for tuner in (one, two)]
    wishes: dict[str, Any] = {"hyperparameters": NUMBERS, "seed": 5}

    alone = curve(one, one.tune(ROWS, validation_file=validations[0], **wishes))
    job = two.begin(ROWS, validation_file=validations[1], **wishes)
    two.await_steps(job, 5)
    two.steer(job, "pause")
    find(lambda: not two.workers(), seconds=60)
    told = len(two.steps(job))
    two.steer(job, "resume")
    together = curve(two, two.await_end(job))

    assert together == pytest.approx(alone, abs=2e-2)
    assert 5 <= told < STEPS
    assert two.steps(job) == list(range(STEPS, 0, -1))
    assert two.ask(str(two.job(job.id).fine_tuned_model), "Do you sell figs?")


def test_a_worker_that_no_signal_reaches_is_stopped_by_a_word(
    launched: Callable[..., Tuner],
) -> None:
    tuner = launched("--launch", FAR)
    rows = [row(f"{thing} {n}") for thing in THINGS for n in range(20)]
    job = tuner.begin(rows, hyperparameters={"n_epochs": 50, "batch_size": 1})
    tuner.await_steps(job, 3)

    tuner.steer(job, "pause")
    find(lambda: not tuner.workers(), seconds=60)

    assert (tuner.data / "jobs" / job.id / "stop").exists()
    assert 3 <= max(tuner.steps(job)) < 10_000


def test_threads_that_wait_leave_the_cores_to_others(
    launched: Callable[..., Tuner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_DISPLAY_ENV", "TRUE")
    told = tmp_path / "worker.log"
    tuner = launched("--launch", f"sh -c '{{python}} -m tuner.worker {{job}} 2>> {told}'")

    tuner.tune(hyperparameters={"n_epochs": 1})
    tuner.ask(tuner.base, "Do you sell figs?")

    for log in (tuner.data.parent / "tuner.log", told):
        assert "OMP_WAIT_POLICY = 'PASSIVE'" in log.read_text(), log.name
