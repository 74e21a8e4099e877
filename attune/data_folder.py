"""The data folder: closes it to other accounts, and deletes files that an earlier run left."""

from __future__ import annotations

import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bot.errors import SettingsError

PRIVATE_UMASK = 0o077
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def private_folder(folder: Path) -> None:
    """Creates a folder or removes its permissions for other accounts. Raises SettingsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_mode & _OTHERS:
            folder.chmod(0o700)
        is_open = bool(folder.stat().st_mode & _OTHERS)
    except PermissionError as error:
        raise _refusal(folder, "cannot be closed to other accounts of this machine") from error
    except OSError as error:
        raise _refusal(folder, f"cannot be used ({error.strerror})") from error
    if is_open:
        raise _refusal(folder, "stays open to other accounts of this machine")


def remove_exports(folder: Path) -> None:
    """Deletes files that were exported but not downloaded in an earlier run."""
    shutil.rmtree(folder / "exports", ignore_errors=True)


@contextmanager
def temporary_files(folder: Path) -> Iterator[None]:
    """Stores the process's temporary files, such as uploads, in the data folder.

    Files that an earlier run left there are deleted first.
    """
    temporary = folder / "temporary"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=0o700)
    before, tempfile.tempdir = tempfile.tempdir, str(temporary)
    try:
        yield
    finally:
        tempfile.tempdir = before
        shutil.rmtree(temporary, ignore_errors=True)


def _refusal(folder: Path, problem: str) -> SettingsError:
    return SettingsError(
        variable="ATTUNE_DATA_DIR",
        problem=f"{folder} {problem}",
        remedy="Name a folder that this account owns and can write, with chmod 700.",
    )
