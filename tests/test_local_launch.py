"""A training that another program starts: on two processes, or out of reach of every signal."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from openai.types.fine_tuning import FineTuningJob

from tests.tuner_scene import THINGS, Tuner, row, until

pytestmark = pytest.mark.torch

TWO = "{python} -m torch.distributed.run --standalone --nproc-per-node 2 -m tuner.worker {job}"
FAR = "sh -c \"trap '' TERM; {python} -m tuner.worker {job} < /dev/null & wait; wait\""
NUMBERS = {"n_epochs": 3, "batch_size": 4}


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


def test_two_processes_train_as_one(launched: Callable[..., Tuner]) -> None:
    one, two = launched(), launched("--launch", TWO)
    curves = []

    for tuner in (one, two):
        validation = tuner.upload([row("rum"), row("sails")])
        job = tuner.tune(validation_file=validation.id, hyperparameters=NUMBERS, seed=5)
        curves.append(curve(tuner, job))
        assert tuner.steps(job) == list(range(9, 0, -1))

    assert curves[1] == pytest.approx(curves[0], abs=1e-3)


def test_two_processes_stop_and_go_on_together(launched: Callable[..., Tuner]) -> None:
    tuner = launched("--launch", TWO)
    job = tuner.begin(hyperparameters={"n_epochs": 15, "batch_size": 2})
    tuner.await_steps(job, 5)

    tuner.steer(job, "pause")
    until(lambda: not tuner.workers(), seconds=60)
    told = len(tuner.steps(job))
    tuner.steer(job, "resume")

    assert tuner.await_end(job).status == "succeeded"
    assert 5 <= told < 75
    assert tuner.steps(job) == list(range(75, 0, -1))
    assert "figs" in tuner.ask(str(tuner.job(job.id).fine_tuned_model), "Do you sell figs?")


def test_a_worker_that_no_signal_reaches_is_stopped_by_a_word(
    launched: Callable[..., Tuner],
) -> None:
    tuner = launched("--launch", FAR)
    rows = [row(f"{thing} {n}") for thing in THINGS for n in range(20)]
    job = tuner.begin(rows, hyperparameters={"n_epochs": 50, "batch_size": 1})
    tuner.await_steps(job, 3)

    tuner.steer(job, "pause")
    until(lambda: not tuner.workers(), seconds=60)

    assert (tuner.data / "jobs" / job.id / "stop").exists()
    assert 3 <= max(tuner.steps(job)) < 10_000
