"""What every training has, whatever trains: rows, a way to be told to stop, and a report."""

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

from tuner.folder import JobFolder
from tuner.spec import Spec

STOPPED = 75
LOOK_SECONDS = 1.0
Row = dict[str, object]


class StopSignal:
    """Whether to save and leave: told by SIGTERM, by the end of the server that started us, or,
    where neither can reach us, by a file."""

    def __init__(self, file: Path) -> None:
        self._asked = threading.Event()
        self._file = file

    def watch(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._asked.set())
        signal.signal(signal.SIGINT, lambda *_: self._asked.set())
        # The server holds the other end of this pipe; the kernel closes it however it dies.
        if stat.S_ISFIFO(os.fstat(0).st_mode):
            threading.Thread(target=self._await_parent, name="parent", daemon=True).start()
        else:
            threading.Thread(target=self._await_file, name="stop", daemon=True).start()

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    def wait_a_moment(self) -> None:
        if self._asked.wait(0.02):
            exit_stopped()

    def _await_parent(self) -> None:
        while os.read(0, 4096):
            pass
        self._asked.set()

    def _await_file(self) -> None:
        # A folder that is gone was deleted with its job.
        while self._file.parent.exists() and not self._file.exists():
            time.sleep(LOOK_SECONDS)
        self._asked.set()


class Rejected(Exception):
    """The files cannot train; `error` is what the job will show."""

    def __init__(self, code: str, message: str, param: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message, "param": param}


def exit_stopped() -> NoReturn:
    raise SystemExit(STOPPED)


TrainingRun = Callable[[JobFolder, Spec, StopSignal], dict[str, object]]
"""Trains to the end, or leaves; returns what the job's result says, or raises Rejected."""


def refuse_divergence(step: int, losses: Iterable[float | None]) -> None:
    if not all(loss is None or math.isfinite(loss) for loss in losses):
        raise Rejected(
            "training_diverged",
            f"The loss stopped being a number at step {step}. Use a smaller"
            " learning_rate_multiplier.",
            "learning_rate_multiplier",
        )


def write_event(events: IO[bytes], kind: str, content: Mapping[str, object]) -> None:
    line = {"kind": kind, "at": int(time.time()), **content}
    events.write(json.dumps(line).encode() + b"\n")
    events.flush()
