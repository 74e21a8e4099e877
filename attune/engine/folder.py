"""The engine's folder: an environment for its libraries, and a folder for each model.

Whatever is being made has a name that begins with a dot; a rename makes it whole.
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
from bot.ports.engine import InstalledModel

LOCK_FILE = Path(__file__).with_name("requirements-local.lock")
_NOTE = "attune.json"
"""What stands in a finished folder beside its content: where it is from and its checksums."""


class EngineFolder:
    """Below the data folder; nothing is made before an installation begins."""

    def __init__(self, data: Path) -> None:
        self.path = (data / "engine").absolute()
        self.log = self.path / "install.log"
        self.temporary = self.path / "temporary"
        self._models = self.path / "models"

    @property
    def wanted_environment(self) -> Path:
        """The one that this version of Attune, on this Python, would make."""
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        content = hashlib.sha256(LOCK_FILE.read_bytes() + python.encode()).hexdigest()
        return self.path / f"environment-{content[:12]}"

    @property
    def environment(self) -> Path | None:
        """The one that is there whole, of this version or else of an earlier one."""
        if (self.wanted_environment / _NOTE).exists():
            return self.wanted_environment
        return next((note.parent for note in self.path.glob("environment-*/" + _NOTE)), None)

    @property
    def python(self) -> Path | None:
        """The interpreter that has the engine's libraries."""
        found = self.environment
        return found / "bin" / "python" if found else None

    def draft_of(self, finished: Path) -> Path:
        """Where that is made; on the same disk, so that a rename finishes it."""
        return finished.with_name(f".{finished.name}")

    def finish(self, finished: Path, note: Mapping[str, object]) -> None:
        """The draft becomes the finished folder; another one there goes."""
        draft = self.draft_of(finished)
        (draft / _NOTE).write_text(json.dumps(note, indent=2) + "\n", "utf-8")
        # What a rename calls whole must be on the disk before, after a power cut too.
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
        """Those that are there whole, by name."""
        notes = sorted(self._models.glob(f"[!.]*/{_NOTE}"))
        return [_installed(note) for note in notes if _has_all(note)]

    def remove_model(self, name: str) -> None:
        """Gone at once for whoever looks, though its files take a moment."""
        shutil.rmtree(gone := self.draft_of(self.model(f"{name}.gone")), ignore_errors=True)
        self.model(name).replace(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def remove_old_environments(self) -> None:
        """For a time when no tuner runs in one of them."""
        for path in self.path.glob("environment-*"):
            if path != self.environment:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def installation_lock(self) -> Iterator[None]:
        """One installation at a time. Raises InstallRunning for the second."""
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


def checksums(folder: Path) -> dict[str, str]:
    """SHA-256 of each file there, by name."""
    found = {}
    for path in sorted(each for each in folder.iterdir() if each.is_file()):
        if path.name != _NOTE:
            with path.open("rb") as file:
                found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def is_whole(folder: Path) -> bool:
    """Whether every file is there as it was written, read to the last byte."""
    with suppress(OSError, ValueError):
        return bool(json.loads((folder / _NOTE).read_bytes())["files"] == checksums(folder))
    return False


def size_of(folder: Path) -> int:
    """Bytes below this folder; what goes away meanwhile counts nothing."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(place, name)).st_size  # noqa: PTH118
    return total


def _installed(note: Path) -> InstalledModel:
    said = json.loads(note.read_bytes())
    return InstalledModel(
        note.parent.name, str(said["license"]), str(said["source"]), size_of(note.parent)
    )


def _has_all(note: Path) -> bool:
    """By name alone: to read them all takes a second for each gigabyte."""
    return all((note.parent / name).exists() for name in json.loads(note.read_bytes())["files"])
