"""The queue of jobs: starts, supervises and stops one worker process per job.

The database says what should be and the folders say what is done; a turn compares the two and
acts. Nothing is kept only in memory but the processes themselves, and these end with us.
"""

import asyncio
import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tuner.engines import Engines
from tuner.folder import JobFolder, read_json, remove
from tuner.spec import Spec
from tuner.store.files import Files
from tuner.store.jobs import Job, Jobs, Status, named_base
from tuner.store.models import Models
from tuner.store.progress import Progress

Result = TypeVar("Result")

log = logging.getLogger(__name__)

BUSY_SECONDS = 0.02
RETRY_SECONDS = 1.0
IDLE_SECONDS = 30.0
LEAVING_SECONDS = 5.0
PLAIN_LAUNCH = "{python} -m tuner.worker {job}"


@dataclass(slots=True)
class Worker:
    """A process on one job; `is_stopping` once it was told to save and stop."""

    process: subprocess.Popen[bytes]
    folder: JobFolder
    is_checking: bool
    is_stopping: bool = False

    def ask_to_stop(self) -> None:
        if not self.is_stopping:
            self.is_stopping = True
            self._write_stop_file()
            self.process.terminate()

    def kill(self) -> None:
        """With all that it started; what runs elsewhere finds the word, or the folder gone."""
        self._write_stop_file()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _write_stop_file(self) -> None:
        with suppress(OSError):
            self.folder.stop.touch()


class Runner:
    def __init__(
        self,
        folder: Path,
        *,
        jobs: Jobs,
        files: Files,
        models: Models,
        progress: Progress,
        engines: Engines,
        slots: int = 1,
        launch: str = PLAIN_LAUNCH,
        leaving_seconds: float = LEAVING_SECONDS,
    ) -> None:
        self._folder = folder
        self._jobs = jobs
        self._files = files
        self._models = models
        self._progress = progress
        self._slots = slots
        self._engines = engines
        self._launch_words = shlex.split(launch)
        self._leaving_seconds = leaving_seconds
        self._workers: dict[str, Worker] = {}
        self._rung = asyncio.Event()
        self._ring: Callable[[], object] = self._rung.set

    def folder_of(self, job_id: str) -> JobFolder:
        return JobFolder(self._folder / job_id)

    def wake(self) -> None:
        """Look at once; may be called from any thread."""
        self._ring()

    async def run(self) -> None:
        """Until cancelled; then every worker saves and leaves before this returns."""
        loop = asyncio.get_running_loop()
        self._ring = lambda: loop.call_soon_threadsafe(self._rung.set)
        try:
            await asyncio.to_thread(self.recover)
            while True:
                await self._wait(await self._outlive_turn())
        finally:
            self._ring = lambda: None
            await asyncio.shield(asyncio.to_thread(self.stop))

    async def _outlive_turn(self) -> float:
        self._rung.clear()
        try:
            # Shielded: a thread cannot be cancelled, and `stop` must not run beside it.
            return await _finished(asyncio.to_thread(self.turn))
        except Exception:
            log.exception("a turn of the job runner failed")
            return IDLE_SECONDS

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._rung.wait()
        except TimeoutError:
            if seconds == IDLE_SECONDS:
                await _finished(asyncio.to_thread(self._files.sweep))

    def recover(self) -> None:
        """After a start: what ran before waits in line, what is of no use is swept."""
        for job in self._jobs.in_status(Status.RUNNING):
            self._progress.requeue(job.id)
        for path in self._folder.iterdir():
            self.clean_folder(path.name)

    def turn(self) -> float:
        """Attend to every worker and fill free places; seconds until the next turn."""
        for job_id in list(self._workers):
            try:
                self._attend(job_id)
            except Exception:
                # What is wrong with one job must not stop the others.
                log.exception("a job's worker could not be attended to", extra={"job": job_id})
        self._launch(Status.VALIDATING, places=1)
        self._launch(Status.QUEUED, places=self._slots)
        if self._workers:
            return BUSY_SECONDS
        # What still waits could not be started: the others wait for its next attempts.
        is_waiting = any(map(self._jobs.in_status, (Status.VALIDATING, Status.QUEUED)))
        return RETRY_SECONDS if is_waiting else IDLE_SECONDS

    def stop(self) -> None:
        """Workers save and leave; those that do not in time are killed."""
        for worker in self._workers.values():
            worker.ask_to_stop()
        deadline = time.monotonic() + self._leaving_seconds
        for job_id, worker in self._workers.items():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
            _close(worker.process)
            self._absorb(self._jobs.get(job_id))
        self._workers.clear()

    def clean_folder(self, job_id: str) -> None:
        """Delete what a job's folder no longer needs: all but its kept models, once it ended."""
        job = self._jobs.find(job_id)
        folder = self.folder_of(job_id)
        if job is None:
            shutil.rmtree(folder.path, ignore_errors=True)
        elif job.status.is_final and job_id not in self._workers:
            kept = {folder.weights(step) for step in self._models.kept_steps(job_id)}
            _remove_all_but(kept, folder.path)

    def _attend(self, job_id: str) -> None:
        worker = self._workers[job_id]
        # Asked before reading: what it wrote before it died is then read whole.
        exit_code = worker.process.poll()
        job = self._absorb(self._jobs.get(job_id))
        if exit_code is None:
            _steer(worker, job)
            return
        _close(worker.process)
        del self._workers[job_id]
        self._conclude(job, worker, exit_code)

    def _absorb(self, job: Job) -> Job:
        lines, offset = self.folder_of(job.id).new_lines(job.events_offset)
        if not lines:
            return job
        self._progress.apply_events(job.id, lines, offset)
        self._drop_checkpoints(job.id)
        return self._jobs.get(job.id)

    def _drop_checkpoints(self, job_id: str) -> None:
        """Only files that were told of: the worker may have written one a moment ago."""
        kept = self._models.kept_steps(job_id)
        oldest = min((step for step in kept if step is not None), default=0)
        for path in self.folder_of(job_id).path.glob("checkpoint-*"):
            if int(path.name.removeprefix("checkpoint-")) < oldest:
                remove(path)

    def _conclude(self, job: Job, worker: Worker, exit_code: int) -> None:
        folder = self.folder_of(job.id)
        match job.status:
            case Status.VALIDATING if found := read_json(folder.checked):
                if not self._fail_with(job, found):
                    self._progress.queue_checked(job.id, found["rows"])
            case Status.RUNNING if result := read_json(folder.result):
                if not self._fail_with(job, result):
                    self._succeed(job, result)
            case Status.VALIDATING | Status.RUNNING if not worker.is_stopping:
                log.warning("a worker died", extra={"job": job.id, "exit_code": exit_code})
                self._progress.worker_died(job.id, _reason(exit_code))
        self.clean_folder(job.id)

    def _fail_with(self, job: Job, found: dict[str, object]) -> bool:
        error = found.get("error")
        if isinstance(error, dict):
            self._progress.fail(job.id, error)
        return error is not None

    def _succeed(self, job: Job, result: dict[str, object]) -> None:
        checked = read_json(self.folder_of(job.id).checked) or {}
        counted = result.get("tokens", checked["tokens"])
        tokens = int(str(counted)) * int(str(result["n_epochs"]))
        self._progress.succeed(job.id, trained_tokens=tokens)

    def _launch(self, status: Status, *, places: int) -> None:
        is_checking = status is Status.VALIDATING
        taken = sum(worker.is_checking is is_checking for worker in self._workers.values())
        if taken >= places:
            return
        waiting = [job for job in self._jobs.in_status(status) if job.id not in self._workers]
        for job in waiting[: places - taken]:
            if self._has_lost_its_base(job):
                continue
            if is_checking or self._progress.start(job.id):
                self._begin(job, is_checking=is_checking)

    def _has_lost_its_base(self, job: Job) -> bool:
        """A server started without a job's base fails that job, and goes on with the others."""
        base = named_base(job.model)
        if base in self._engines.bases:
            return False
        message = f"This server was started without the base '{base}' that the job needs."
        error = {"code": "model_not_available", "message": message, "param": "model"}
        self._progress.fail(job.id, error)
        self.clean_folder(job.id)
        return True

    def _begin(self, job: Job, *, is_checking: bool) -> None:
        folder = self.folder_of(job.id)
        try:
            folder.path.mkdir(exist_ok=True)
            self._spec_of(job).write(folder.spec)
            folder.stop.unlink(missing_ok=True)
            if not is_checking:
                self._make_room(folder)
            process = _spawn(folder, self._command(folder, is_checking=is_checking))
            self._workers[job.id] = Worker(process, folder, is_checking)
        except Exception as error:
            # Of whatever kind: what is wrong with one job must not stop the others.
            log.exception("a worker could not be started", extra={"job": job.id})
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            self._progress.worker_died(job.id, f"it could not be started: {reason}")

    def _make_room(self, folder: JobFolder) -> None:
        """Models that answer nobody now give their memory back where a training needs it."""
        memory = int(str((read_json(folder.checked) or {}).get("memory", 0)))
        if memory:
            self._engines.make_room(memory)

    def _command(self, folder: JobFolder, *, is_checking: bool) -> list[str]:
        """Files are checked here, wherever the training itself is sent."""
        words = shlex.split(PLAIN_LAUNCH) if is_checking else self._launch_words
        return [
            word.replace("{python}", sys.executable).replace("{job}", str(folder.path))
            for word in words
        ]

    def _spec_of(self, job: Job) -> Spec:
        validation, base = job.validation_file, named_base(job.model)
        # A job that goes on is told what was asked for, "auto" included, not what that became.
        known = read_json(self.folder_of(job.id).spec) or {}
        asked = known.get("hyperparameters")
        return Spec(
            engine=self._engines.of(base).name,
            base=self._engines.bases[base].place,
            method=job.method,
            training=str(self._files.path(job.training_file)),
            validation=str(self._files.path(validation)) if validation else None,
            start_from=self._start_of(job),
            hyperparameters=asked if isinstance(asked, dict) else job.hyperparameters,
            seed=job.seed,
            quantization=self._engines.bases[base].quantization,
        )

    def _start_of(self, job: Job) -> str | None:
        if not job.model.startswith("ft:"):
            return None
        model = self._models.get(job.model)
        return str(self.folder_of(model.job).weights(model.step))


async def _finished(work: Coroutine[None, None, Result]) -> Result:
    """Wait for a thread to its end, also when cancelled: it cannot be stopped half-way."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _steer(worker: Worker, job: Job) -> None:
    if job.status.is_final:
        worker.kill()
    elif job.status is Status.PAUSED:
        worker.ask_to_stop()


def _spawn(folder: JobFolder, command: list[str]) -> subprocess.Popen[bytes]:
    # One thread for the sandbox's sums: the same numbers on every machine, and chat keeps a core.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with folder.log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - what the operator told us to run, and no shell
            command,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
        )


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _reason(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def _remove_all_but(kept: set[Path], folder: Path) -> None:
    # Two may tidy the same folder, and a worker may just be starting in it: then the rest
    # goes when that worker has ended, or at the next start.
    with suppress(OSError):
        for path in folder.iterdir():
            if path not in kept:
                remove(path)
        if not kept:
            folder.rmdir()
