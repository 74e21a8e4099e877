"""The queue of jobs: starts, supervises and stops one worker process per job.

The database holds the desired status and the folders hold the progress; each turn compares them
and acts. Only the processes themselves are in memory, and they end with the server.
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

from tuner.engine_registry import Engines
from tuner.job_folder import JobFolder, read_json, remove_path
from tuner.job_spec import JobSpec
from tuner.store.files import Files
from tuner.store.jobs import Job, Jobs, Status, base_of_model_name
from tuner.store.models import Models
from tuner.store.progress import JobProgress

Result = TypeVar("Result")

log = logging.getLogger(__name__)

BUSY_POLL_SECONDS = 0.02
RETRY_POLL_SECONDS = 1.0
IDLE_POLL_SECONDS = 30.0
STOP_GRACE_SECONDS = 5.0
DEFAULT_LAUNCH_COMMAND = "{python} -m tuner.worker {job}"


@dataclass(slots=True)
class WorkerProcess:
    """The process of a job; `is_stopping` once it was asked to save and stop."""

    process: subprocess.Popen[bytes]
    folder: JobFolder
    is_checking: bool
    is_stopping: bool = False

    def request_stop(self) -> None:
        if not self.is_stopping:
            self.is_stopping = True
            self._write_stop_file()
            self.process.terminate()

    def kill(self) -> None:
        """Kills the process group; a worker elsewhere sees the stop file or the missing folder."""
        self._write_stop_file()
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _write_stop_file(self) -> None:
        with suppress(OSError):
            self.folder.stop.touch()


class JobRunner:
    """Runs jobs: at most `slots` trainings, and one check of files, at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        jobs: Jobs,
        files: Files,
        models: Models,
        progress: JobProgress,
        engines: Engines,
        slots: int = 1,
        launch: str = DEFAULT_LAUNCH_COMMAND,
        leaving_seconds: float = STOP_GRACE_SECONDS,
    ) -> None:
        self._folder = folder
        self._jobs = jobs
        self._files = files
        self._models = models
        self._progress = progress
        self._slots = slots
        self._engines = engines
        self._launch_command = shlex.split(launch)
        self._stop_seconds = leaving_seconds
        self._workers: dict[str, WorkerProcess] = {}
        self._woken = asyncio.Event()
        self._wake: Callable[[], object] = self._woken.set

    def folder_of(self, job_id: str) -> JobFolder:
        return JobFolder(self._folder / job_id)

    def wake(self) -> None:
        """Starts the next turn at once; may be called from any thread."""
        self._wake()

    async def run(self) -> None:
        """Runs turns until cancelled; returns after every worker has saved and stopped."""
        loop = asyncio.get_running_loop()
        self._wake = lambda: loop.call_soon_threadsafe(self._woken.set)
        try:
            await asyncio.to_thread(self.recover)
            while True:
                await self._wait(await self._run_turn())
        finally:
            self._wake = lambda: None
            await asyncio.shield(asyncio.to_thread(self.stop))

    async def _run_turn(self) -> float:
        self._woken.clear()
        try:
            # Shielded, since a thread cannot be cancelled, and `stop` must not run beside the turn.
            return await _uncancelled(asyncio.to_thread(self.turn))
        except Exception:
            log.exception("a turn of the job runner failed")
            return IDLE_POLL_SECONDS

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            if seconds == IDLE_POLL_SECONDS:
                await _uncancelled(asyncio.to_thread(self._files.sweep))

    def recover(self) -> None:
        """Queues jobs again that ran before a restart, and cleans all folders."""
        for job in self._jobs.in_status(Status.RUNNING):
            self._progress.requeue(job.id)
        for path in self._folder.iterdir():
            self.clean_folder(path.name)

    def turn(self) -> float:
        """Checks every worker and starts waiting jobs; returns the seconds until the next turn."""
        for job_id in list(self._workers):
            try:
                self._check_worker(job_id)
            except Exception:
                # A problem of one job must not stop the others.
                log.exception("a job's worker could not be attended to", extra={"job": job_id})
        self._start_waiting(Status.VALIDATING, slots=1)
        self._start_waiting(Status.QUEUED, slots=self._slots)
        if self._workers:
            return BUSY_POLL_SECONDS
        # A job that still waits could not be started; it is tried again soon.
        is_waiting = any(map(self._jobs.in_status, (Status.VALIDATING, Status.QUEUED)))
        return RETRY_POLL_SECONDS if is_waiting else IDLE_POLL_SECONDS

    def stop(self) -> None:
        """Stops all workers; kills those that do not save and stop in time."""
        for worker in self._workers.values():
            worker.request_stop()
        deadline = time.monotonic() + self._stop_seconds
        for job_id, worker in self._workers.items():
            try:
                worker.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                worker.kill()
            _close_stdin(worker.process)
            self._read_events(self._jobs.get(job_id))
        self._workers.clear()

    def clean_folder(self, job_id: str) -> None:
        """Deletes the files of a job that has ended, except its stored models."""
        job = self._jobs.find(job_id)
        folder = self.folder_of(job_id)
        if job is None:
            shutil.rmtree(folder.path, ignore_errors=True)
        elif job.status.is_final and job_id not in self._workers:
            models = {folder.weights(step) for step in self._models.kept_steps(job_id)}
            _remove_all_but(models, folder.path)

    def _check_worker(self, job_id: str) -> None:
        worker = self._workers[job_id]
        # Polled before the events are read, so that all events of a dead worker are read.
        exit_code = worker.process.poll()
        job = self._read_events(self._jobs.get(job_id))
        if exit_code is None:
            _apply_status(worker, job)
            return
        _close_stdin(worker.process)
        del self._workers[job_id]
        self._conclude(job, worker, exit_code)

    def _read_events(self, job: Job) -> Job:
        lines, offset = self.folder_of(job.id).new_lines(job.events_offset)
        if not lines:
            return job
        self._progress.apply_events(job.id, lines, offset)
        self._drop_checkpoints(job.id)
        return self._jobs.get(job.id)

    def _drop_checkpoints(self, job_id: str) -> None:
        """Deletes checkpoints older than the stored ones; newer ones may not be reported yet."""
        steps = self._models.kept_steps(job_id)
        oldest = min((step for step in steps if step is not None), default=0)
        for path in self.folder_of(job_id).path.glob("checkpoint-*"):
            if int(path.name.removeprefix("checkpoint-")) < oldest:
                remove_path(path)

    def _conclude(self, job: Job, worker: WorkerProcess, exit_code: int) -> None:
        folder = self.folder_of(job.id)
        match job.status:
            case Status.VALIDATING if checked := read_json(folder.checked):
                if not self._fail_with(job, checked):
                    self._progress.queue_checked(job.id, checked["rows"])
            case Status.RUNNING if result := read_json(folder.result):
                if not self._fail_with(job, result):
                    self._succeed(job, result)
            case Status.VALIDATING | Status.RUNNING if not worker.is_stopping:
                log.warning("a worker died", extra={"job": job.id, "exit_code": exit_code})
                self._progress.worker_died(job.id, _reason(exit_code))
        self.clean_folder(job.id)

    def _fail_with(self, job: Job, result: dict[str, object]) -> bool:
        error = result.get("error")
        if isinstance(error, dict):
            self._progress.fail(job.id, error)
        return error is not None

    def _succeed(self, job: Job, result: dict[str, object]) -> None:
        checked = read_json(self.folder_of(job.id).checked) or {}
        epoch_tokens = result.get("tokens", checked["tokens"])
        trained_tokens = int(str(epoch_tokens)) * int(str(result["n_epochs"]))
        self._progress.succeed(job.id, trained_tokens=trained_tokens)

    def _start_waiting(self, status: Status, *, slots: int) -> None:
        is_checking = status is Status.VALIDATING
        running = sum(worker.is_checking is is_checking for worker in self._workers.values())
        if running >= slots:
            return
        waiting = [job for job in self._jobs.in_status(status) if job.id not in self._workers]
        for job in waiting[: slots - running]:
            if self._fail_without_base(job):
                continue
            if is_checking or self._progress.start(job.id):
                self._start_worker(job, is_checking=is_checking)

    def _fail_without_base(self, job: Job) -> bool:
        """Fails a job whose base the server was started without; returns whether it did."""
        base = base_of_model_name(job.model)
        if base in self._engines.bases:
            return False
        message = f"This server was started without the base '{base}' that the job needs."
        error = {"code": "model_not_available", "message": message, "param": "model"}
        self._progress.fail(job.id, error)
        self.clean_folder(job.id)
        return True

    def _start_worker(self, job: Job, *, is_checking: bool) -> None:
        folder = self.folder_of(job.id)
        try:
            folder.path.mkdir(exist_ok=True)
            self._spec_of(job).write(folder.spec)
            folder.stop.unlink(missing_ok=True)
            if not is_checking:
                self._make_room(folder)
            process = _start_process(folder, self._command(folder, is_checking=is_checking))
            self._workers[job.id] = WorkerProcess(process, folder, is_checking)
        except Exception as error:
            # Any error: a problem of one job must not stop the others.
            log.exception("a worker could not be started", extra={"job": job.id})
            reason = error.strerror if isinstance(error, OSError) else type(error).__name__
            self._progress.worker_died(job.id, f"it could not be started: {reason}")

    def _make_room(self, folder: JobFolder) -> None:
        """Frees the memory of idle models if the training needs it."""
        memory = int(str((read_json(folder.checked) or {}).get("memory", 0)))
        if memory:
            self._engines.make_room(memory)

    def _command(self, folder: JobFolder, *, is_checking: bool) -> list[str]:
        """Returns the command of a worker; files are always checked on this machine."""
        template = shlex.split(DEFAULT_LAUNCH_COMMAND) if is_checking else self._launch_command
        return [
            word.replace("{python}", sys.executable).replace("{job}", str(folder.path))
            for word in template
        ]

    def _spec_of(self, job: Job) -> JobSpec:
        validation, base = job.validation_file, base_of_model_name(job.model)
        # A resumed job gets the requested hyperparameters, including "auto", not the resolved ones.
        earlier_spec = read_json(self.folder_of(job.id).spec) or {}
        requested = earlier_spec.get("hyperparameters")
        return JobSpec(
            engine=self._engines.of(base).name,
            base=self._engines.bases[base].place,
            method=job.method,
            training=str(self._files.path(job.training_file)),
            validation=str(self._files.path(validation)) if validation else None,
            start_from=self._starting_weights(job),
            hyperparameters=requested if isinstance(requested, dict) else job.hyperparameters,
            seed=job.seed,
            quantization=self._engines.bases[base].quantization,
        )

    def _starting_weights(self, job: Job) -> str | None:
        if not job.model.startswith("ft:"):
            return None
        model = self._models.get(job.model)
        return str(self.folder_of(model.job).weights(model.step))


async def _uncancelled(work: Coroutine[None, None, Result]) -> Result:
    """Waits for a thread to finish, also when cancelled, since a thread cannot be stopped."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def _apply_status(worker: WorkerProcess, job: Job) -> None:
    if job.status.is_final:
        worker.kill()
    elif job.status is Status.PAUSED:
        worker.request_stop()


def _start_process(folder: JobFolder, command: list[str]) -> subprocess.Popen[bytes]:
    # One BLAS thread for the sandbox: reproducible results, and chat keeps a core.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    with folder.log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - the operator's command, and no shell
            command,
            start_new_session=True,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
        )


def _close_stdin(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()


def _reason(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"


def _remove_all_but(remaining: set[Path], folder: Path) -> None:
    # Two threads may clean the same folder, and a worker may be starting in it. The rest is then
    # deleted when that worker has ended, or at the next start.
    with suppress(OSError):
        for path in folder.iterdir():
            if path not in remaining:
                remove_path(path)
        if not remaining:
            folder.rmdir()
