"""A job's folder, through whose files the server and the worker process communicate.

Only the standard library is imported: the worker's start-up time is part of every job.
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
_DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_atomically(path: Path, data: bytes) -> None:
    """Replaces a file; readers see the old or the new content, also after a power failure."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    fsync_folder(path.parent)


def is_disk_full(error: BaseException) -> bool:
    """Whether the cause of an error is a full disk, a quota or a file size limit."""
    # SQLite reports it as a message; its drivers pass on no error number.
    return getattr(error, "errno", None) in _DISK_FULL_ERRORS or "disk is full" in str(error)


def fsync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_path(path: Path) -> None:
    """Deletes a file, or a folder with its content, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, object] | None:
    """Returns the JSON object in a file; None if the file does not exist."""
    try:
        content: dict[str, object] = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    return content


class JobFolder:
    """Paths of the files in a job's folder."""

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
        """Returns the path of the model after this step; None means the finished model."""
        return self.model if step is None else self.checkpoint(step)

    def new_lines(self, offset: int) -> tuple[list[dict[str, object]], int]:
        """Returns the complete lines after a byte offset, and the offset after them."""
        try:
            with self.events.open("rb") as file:
                file.seek(offset)
                data = file.read()
        except FileNotFoundError:
            return [], offset
        lines = data[: data.rfind(b"\n") + 1]
        return [json.loads(line) for line in lines.splitlines()], offset + len(lines)

    def open_events(self) -> IO[bytes]:
        """Opens the events to append, without an incomplete line that a killed worker left."""
        file = self.events.open("ab+")
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
        return file

    def acquire(self, wait: Callable[[], None]) -> IO[bytes]:
        """Locks the folder until the file is closed; calls `wait` while it is locked elsewhere."""
        file = self.lock.open("ab")
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                wait()
            else:
                return file
