"""Death at any moment: nothing acknowledged is lost, nothing happens twice."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest
from openai import BadRequestError
from openai.types.fine_tuning import FineTuningJob

from tests.tuner_scene import KEY, THINGS, Tuner, many, row
from tests.waiting import find
from tuner.store.database import Database

STEPS = 6000


def begin(sandbox: Tuner) -> FineTuningJob:
    numbers = {"n_epochs": 6, "batch_size": 1}
    return sandbox.begin(many(1000), hyperparameters=numbers, seed=5)


@pytest.fixture(scope="module")
def undisturbed(sandbox: Tuner) -> str:
    """The result file of the same job without any death."""
    return result(sandbox, sandbox.await_end(begin(sandbox)))


def result(sandbox: Tuner, job: FineTuningJob) -> str:
    return sandbox.client.files.content(job.result_files[0]).text


def check_whole(sandbox: Tuner, job: FineTuningJob, undisturbed: str) -> None:
    ended = sandbox.await_end(job)
    said = [str(event["message"]) for event in sandbox.events(job)]
    checkpoints = sandbox.client.fine_tuning.jobs.checkpoints.list(job.id).data
    told = [each for each in said if each.startswith("Checkpoint")]
    models = [m.id for m in sandbox.client.models.list() if "ckpt" not in m.id]
    assert ended.status == "succeeded", said[:3]
    assert sandbox.steps(job) == list(range(STEPS, 0, -1))
    assert models == ["sandbox", ended.fine_tuned_model]
    assert said.count("The job has successfully completed") == 1
    assert len(told) == len(set(told))
    assert [c.step_number for c in checkpoints] == [6000, 5000, 4000]
    assert result(sandbox, ended) == undisturbed
    assert "honey of sort 17 be in" in sandbox.ask(models[1], "Do you sell honey of sort 17?")


def test_a_server_killed_at_any_step_takes_the_job_up_again(
    own_tuner: Tuner, undisturbed: str
) -> None:
    job = begin(own_tuner)

    for steps in (1, 4500):
        own_tuner.await_steps(job, steps)
        workers = own_tuner.workers()
        own_tuner.kill()
        await_death(workers)
        own_tuner.start()

    check_whole(own_tuner, job, undisturbed)


def test_a_server_killed_at_any_moment_still_ends_the_job(
    own_tuner: Tuner, undisturbed: str
) -> None:
    job = begin(own_tuner)

    for pause in (0.05, 0.3):
        time.sleep(pause)  # the moments of death, not a wait for anything
        own_tuner.kill()
        own_tuner.start()

    check_whole(own_tuner, job, undisturbed)


def test_a_job_whose_base_is_gone_fails_alone(own_tuner: Tuner) -> None:
    held = own_tuner.begin_long()
    lost = own_tuner.begin_long()
    last = own_tuner.begin(many(12))
    own_tuner.kill()
    with closing(sqlite3.connect(own_tuner.data / "tuner.db")) as database:
        database.execute("UPDATE jobs SET model = 'taken-away' WHERE id = ?", (lost.id,))
        database.commit()

    own_tuner.start()
    own_tuner.steer(held, "cancel")

    ended = own_tuner.await_end(lost)
    assert ended.status == "failed"
    assert ended.error is not None
    assert (ended.error.code, "'taken-away'" in ended.error.message) == (
        "model_not_available",
        True,
    )
    assert own_tuner.await_end(last).status == "succeeded"


def test_a_job_that_cannot_be_started_fails_alone(own_tuner: Tuner) -> None:
    """Whatever it is that cannot be: here a tuned model that it was to start from."""
    first = own_tuner.tune()
    held, lost = own_tuner.begin_long(), own_tuner.begin(model=first.fine_tuned_model)
    last = own_tuner.begin(many(12))
    own_tuner.kill()
    with closing(sqlite3.connect(own_tuner.data / "tuner.db")) as database:
        database.execute("DELETE FROM models")
        database.commit()

    own_tuner.start()
    own_tuner.steer(held, "cancel")

    assert own_tuner.await_end(lost).status == "failed"
    assert own_tuner.await_end(last).status == "succeeded"


def test_a_killed_worker_is_replaced(own_tuner: Tuner, undisturbed: str) -> None:
    job = begin(own_tuner)
    killed = set()
    find(lambda: bool(own_tuner.workers()))

    for steps in (0, 2500):
        own_tuner.await_steps(job, steps)
        # What is told lags behind: on a slow day the last of them has ended by now.
        for pid in own_tuner.workers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed.add(pid)

    assert killed
    check_whole(own_tuner, job, undisturbed)


def test_a_worker_that_keeps_dying_fails_the_job(own_tuner: Tuner) -> None:
    job = own_tuner.begin_long()

    def kill_and_look() -> bool:
        for pid in own_tuner.workers():
            os.kill(pid, signal.SIGKILL)
        return own_tuner.job(job.id).status == "failed"

    find(kill_and_look)
    error = own_tuner.job(job.id).error
    assert error is not None
    assert error.code == "worker_died"
    assert "3 times without progress (signal 9)" in error.message


def test_a_stopped_server_ends_in_order_and_goes_on_later(
    own_tuner: Tuner, undisturbed: str
) -> None:
    job = begin(own_tuner)
    own_tuner.await_steps(job, 100)
    workers = own_tuner.workers()

    assert own_tuner.stop() == 0
    assert not any(is_alive(pid) for pid in workers)
    own_tuner.start()

    check_whole(own_tuner, job, undisturbed)


def test_a_server_ends_with_its_parent(own_tuner: Tuner) -> None:
    job = own_tuner.begin_long()
    own_tuner.await_steps(job, 1)
    workers = own_tuner.workers()

    assert own_tuner.abandon() == 0

    assert not any(is_alive(pid) for pid in workers)


def test_a_new_worker_waits_for_an_old_one(own_tuner: Tuner, undisturbed: str) -> None:
    job = begin(own_tuner)
    own_tuner.await_steps(job, 50)
    [old] = own_tuner.workers()
    os.kill(old, signal.SIGSTOP)

    own_tuner.kill()
    own_tuner.start()
    find(lambda: own_tuner.job(job.id).status == "running")
    told = own_tuner.steps(job)
    find(own_tuner.workers)
    os.kill(old, signal.SIGCONT)

    assert len(told) < STEPS
    check_whole(own_tuner, job, undisturbed)


def test_a_job_cancelled_before_the_death_is_cancelled_after_it(own_tuner: Tuner) -> None:
    job = own_tuner.begin_long()
    own_tuner.await_steps(job, 5)

    own_tuner.client.fine_tuning.jobs.cancel(job.id)
    own_tuner.kill()
    own_tuner.start()

    assert own_tuner.job(job.id).status == "cancelled"
    assert not own_tuner.workers()


def begin_and_pause(tuner: Tuner) -> FineTuningJob:
    """Begins another job where the last had ended before the machine came to pausing it."""
    for _ in range(20):
        job = begin(tuner)
        tuner.await_steps(job, 30)
        with suppress(BadRequestError):
            tuner.client.fine_tuning.jobs.pause(job.id)
            return job
        model = tuner.await_end(job).fine_tuned_model
        assert model is not None
        tuner.client.models.delete(model)
    raise AssertionError("every job ended before it was paused")


def test_a_paused_job_is_resumed_after_a_restart(own_tuner: Tuner, undisturbed: str) -> None:
    job = begin_and_pause(own_tuner)

    own_tuner.kill()
    own_tuner.start()
    own_tuner.client.fine_tuning.jobs.resume(job.id)

    check_whole(own_tuner, job, undisturbed)


def test_everything_acknowledged_is_there_after_a_kill(own_tuner: Tuner) -> None:
    kept = [own_tuner.upload([row(thing) for thing in THINGS]) for _ in range(5)]
    own_tuner.client.files.delete(kept[0].id)
    job = own_tuner.begin(metadata={"a": "b"}, suffix="kept")

    own_tuner.kill()
    own_tuner.start()

    listed = {file.id for file in own_tuner.client.files.list(purpose="fine-tune")}
    assert listed == {*(file.id for file in kept[1:]), job.training_file}
    assert own_tuner.job(job.id).metadata == {"a": "b"}


def test_leftovers_of_a_crash_are_swept(own_tuner: Tuner) -> None:
    kept = own_tuner.upload([row(thing) for thing in THINGS])
    own_tuner.kill()
    litter = [own_tuner.data / name for name in ("drafts/half", "files/file-lost")]
    for path in litter:
        path.write_bytes(b"{")
    (own_tuner.data / "jobs" / "ftjob-lost").mkdir()

    own_tuner.start()

    assert not any(path.exists() for path in litter)
    find(lambda: not (own_tuner.data / "jobs" / "ftjob-lost").exists())
    assert own_tuner.client.files.content(kept.id).read()


def test_an_expired_file_goes_away(own_tuner: Tuner) -> None:
    kept = own_tuner.upload([row(thing) for thing in THINGS])
    change(own_tuner.data, "UPDATE files SET expires_at = 1")

    assert not own_tuner.client.files.list().data
    own_tuner.stop()
    own_tuner.start()
    assert not (own_tuner.data / "files" / kept.id).exists()


def test_a_second_server_on_the_same_folder_is_refused(sandbox: Tuner) -> None:
    second = start_directly(sandbox.data)

    assert second.returncode == 1
    assert "Another tuner is using" in second.stderr


def test_a_newer_database_is_refused_in_words(tmp_path: Path) -> None:
    Database(tmp_path / "tuner.db").close()
    change(tmp_path, "UPDATE schema_version SET version = 99")

    refused = start_directly(tmp_path, "--port", "0")

    assert refused.returncode == 1
    assert "newer version" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_taken_port_is_told_in_words(sandbox: Tuner, tmp_path: Path) -> None:
    port = sandbox.url.rpartition(":")[2]

    refused = start_directly(tmp_path / "other", "--port", port)

    assert refused.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in refused.stderr


def change(data: Path, statement: str) -> None:
    with closing(sqlite3.connect(data / "tuner.db")) as database, database:
        database.execute(statement)


def start_directly(data: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tuner", "--data", str(data), "--api-key", KEY, *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
    )


def await_death(pids: list[int]) -> None:
    find(lambda: not any(map(is_alive, pids)))


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
