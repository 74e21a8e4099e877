"""What all trainings share: rows, a stop signal, and events."""

import json
import math
import os
import signal
import stat
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, NoReturn

from tuner.job_folder import JobFolder
from tuner.job_spec import JobSpec

STOPPED_EXIT_CODE = 75
STOP_FILE_POLL_SECONDS = 1.0
Row = dict[str, object]


class StopSignal:
    """Whether a training must save and stop.

    The signal is SIGTERM, the end of the server that started the worker, or a stop file where
    neither of the two reaches the worker.
    """

    def __init__(self, file: Path) -> None:
        self._event = threading.Event()
        self._file = file

    def watch(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._event.set())
        signal.signal(signal.SIGINT, lambda *_: self._event.set())
        # The server holds the other end of this pipe, which the kernel closes when the server ends.
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            threading.Thread(target=self._watch_parent, name="parent", daemon=True).start()
        else:
            threading.Thread(target=self._watch_file, name="stop", daemon=True).start()

    @property
    def is_asked(self) -> bool:
        return self._event.is_set()

    def wait_or_exit(self) -> None:
        if self._event.wait(0.02):
            exit_stopped()

    def _watch_parent(self) -> None:
        while os.read(0, 4096):
            pass
        self._event.set()

    def _watch_file(self) -> None:
        # The folder is deleted together with its job.
        while self._file.parent.exists() and not self._file.exists():
            time.sleep(STOP_FILE_POLL_SECONDS)
        self._event.set()


class JobRejected(Exception):
    """The files cannot be trained on; `error` becomes the job's error."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "param": param}


def exit_stopped() -> NoReturn:
    """Exits with the code of a stopped worker."""
    raise SystemExit(STOPPED_EXIT_CODE)


RunTraining = Callable[[JobFolder, JobSpec, StopSignal], dict[str, object]]
"""A training: returns the job's result, exits if stopped, or raises JobRejected."""


def refuse_divergence(step: int, losses: Iterable[float | None]) -> None:
    """Raises JobRejected if a loss is not finite."""
    if not all(loss is None or math.isfinite(loss) for loss in losses):
        raise JobRejected(
            "training_diverged",
            f"The loss stopped being a number at step {step}. Use a smaller"
            " learning_rate_multiplier.",
            "learning_rate_multiplier",
        )


def write_event(events: IO[bytes], kind: str, content: Mapping[str, object]) -> None:
    """Appends an event to the worker's events file."""
    line = {"kind": kind, "at": int(time.time()), **content}
    events.write(json.dumps(line).encode() + b"\n")
    events.flush()
