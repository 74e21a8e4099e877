"""A job's folder: what the server and its worker process tell each other, through files.

Only the standard library: the worker's start-up time is part of every job.
"""

import errno
import fcntl
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import IO

KEPT_CHECKPOINTS = 3
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, data: bytes) -> None:
    """Whoever reads this path finds the old content or the new, also after a power cut."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    fsync_folder(path.parent)


def is_disk_full(error: BaseException) -> bool:
    """Whether a disk, a quota or the largest size of a file ended this."""
    # SQLite has a sentence for it, and no number that its drivers give on.
    return getattr(error, "errno", None) in _FULL or "disk is full" in str(error)


def fsync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: Path) -> None:
    """Delete a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, object] | None:
    """The object in this file; None where there is no file."""
    try:
        content: dict[str, object] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return content


class JobFolder:
    """The names of the things in one job's folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = path / "spec.json"
        self.checked = path / "checked.json"
        self.events = path / "events.jsonl"
        self.state = path / "state"
        self.result = path / "result.json"
        self.model = path / "model"
        self.log = path / "worker.log"
        self.lock = path / "lock"
        self.stop = path / "stop"
        self.states = path / "states"

    def checkpoint(self, step: int) -> Path:
        return self.path / f"checkpoint-{step}"

    def weights(self, step: int | None) -> Path:
        """The model after this step; the finished one for None."""
        return self.model if step is None else self.checkpoint(step)

    def new_lines(self, offset: int) -> tuple[list[dict[str, object]], int]:
        """The whole lines after this byte, and the byte after them; a torn last line waits."""
        try:
            with self.events.open("rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return [], offset
        whole = data[: data.rfind(b"\n") + 1]
        return [json.loads(line) for line in whole.splitlines()], offset + len(whole)

    def open_events(self) -> IO[bytes]:
        """Ready to append, without the half line that a killed worker may have left."""
        file = self.events.open("ab+")
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        return file

    def acquire(self, wait: Callable[[], None]) -> IO[bytes]:
        """Hold this folder until the file is closed; `wait` is called while another holds it."""
        file = self.lock.open("ab")
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
            else:
                return file
