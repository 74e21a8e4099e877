"""The engine's folder: a Python environment and a folder for each model.

An unfinished folder has a name that begins with a dot and is renamed when it is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from bot.errors import InstallRunning
from bot.ports.engine_installation import InstalledModel

LOCK_FILE = Path(__file__).with_name("requirements-local.lock")
_NOTE = "attune.json"
"""File in a finished folder with its source, its licence and its checksums."""


class EngineFolder:
    """The folder `engine` in the data folder; it is created by the first installation."""

    def __init__(self, data: Path) -> None:
        self.path = (data / "engine").absolute()
        self.log = self.path / "install.log"
        self.temporary = self.path / "temporary"
        self._models = self.path / "models"

    @property
    def wanted_environment(self) -> Path:
        """Path of the environment for this version of Attune and this version of Python."""
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        content = hashlib.sha256(LOCK_FILE.read_bytes() + python.encode()).hexdigest()
        return self.path / f"environment-{content[:12]}"

    @property
    def environment(self) -> Path | None:
        """Path of a complete environment, of an earlier version if need be; None without one."""
        if (self.wanted_environment / _NOTE).exists():
            return self.wanted_environment
        return next((note.parent for note in self.path.glob("environment-*/" + _NOTE)), None)

    @property
    def python(self) -> Path | None:
        """Path of the environment's interpreter; None without an environment."""
        environment = self.environment
        return environment / "bin" / "python" if environment else None

    def draft_of(self, finished: Path) -> Path:
        """Returns the path of an unfinished folder, on the same disk so that it can be renamed."""
        return finished.with_name(f".{finished.name}")

    def finish(self, finished: Path, note: Mapping[str, object]) -> None:
        """Writes the note and renames the draft; an earlier finished folder is deleted."""
        draft = self.draft_of(finished)
        (draft / _NOTE).write_text(json.dumps(note, indent=2) + "\n", "utf-8")
        # All files must be on the disk before the rename, also after a power failure.
        os.sync()
        if finished.exists():
            before = self.draft_of(finished.with_name(f"{finished.name}.before"))
            shutil.rmtree(before, ignore_errors=True)
            finished.replace(before)
        draft.replace(finished)
        shutil.rmtree(self.draft_of(finished.with_name(f"{finished.name}.before")), True)

    def model(self, name: str) -> Path:
        return self._models / name

    def models(self) -> Sequence[InstalledModel]:
        """Returns the complete models, sorted by name."""
        notes = sorted(self._models.glob(f"[!.]*/{_NOTE}"))
        return [_installed_model(note) for note in notes if _has_all_files(note)]

    def remove_model(self, name: str) -> None:
        """Removes a model; it is renamed first, so that it is never listed without its files."""
        shutil.rmtree(removed := self.draft_of(self.model(f"{name}.gone")), ignore_errors=True)
        self.model(name).replace(removed)
        shutil.rmtree(removed, ignore_errors=True)

    def remove_old_environments(self) -> None:
        """Deletes the environments of earlier versions; no tuner may be running in one."""
        for path in self.path.glob("environment-*"):
            if path != self.environment:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def installation_lock(self) -> Iterator[None]:
        """Locks the folder and creates its temporary folder, which is deleted afterwards.

        Raises InstallRunning if another process has locked it.
        """
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (self.path / "lock").open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InstallRunning from error
            shutil.rmtree(self.temporary, ignore_errors=True)
            self.temporary.mkdir(mode=0o700)
            try:
                yield
            finally:
                shutil.rmtree(self.temporary, ignore_errors=True)


def file_checksums(folder: Path) -> dict[str, str]:
    """Returns the SHA-256 of each file in a folder, by name, except the note."""
    digests = {}
    for path in sorted(entry for entry in folder.iterdir() if entry.is_file()):
        if path.name != _NOTE:
            with path.open("rb") as file:
                digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def has_valid_checksums(folder: Path) -> bool:
    """Whether every file of the folder has its checksum; reads all files."""
    with suppress(OSError, ValueError):
        return bool(json.loads((folder / _NOTE).read_bytes())["files"] == file_checksums(folder))
    return False


def folder_size_bytes(folder: Path) -> int:
    """Returns the bytes of all files below a folder; files deleted meanwhile are ignored."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118
    return total


def _installed_model(note: Path) -> InstalledModel:
    values = json.loads(note.read_bytes())
    return InstalledModel(
        note.parent.name,
        str(values["license"]),
        str(values["source"]),
        folder_size_bytes(note.parent),
    )


def _has_all_files(note: Path) -> bool:
    """Whether all files exist; their checksums would take a second for each gigabyte."""
    return all((note.parent / name).exists() for name in json.loads(note.read_bytes())["files"])
