"""What the program writes is for its own account alone, and files for people do not stay."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path

import pytest

from attune.data_folder import private_folder, temporary_files
from attune.settings import child_environment, read_settings
from bot.errors import SettingsError

SCRIPT = """/tune import starter:limericks
/tune start epochs:1
/click LAST Confirm
/wait
/tune my-data
/tune export
"""


async def attune(*words: str, folder: Path, script: str = "") -> str:
    """A command under a careless umask; what it printed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"import os; os.umask(0o022); {_MAIN}", *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**child_environment(), "ATTUNE_DATA_DIR": str(folder)},
    )
    async with asyncio.timeout(120):
        said, _ = await process.communicate(script.encode())
    return said.decode()


_MAIN = "import runpy; runpy.run_module('attune', run_name='__main__', alter_sys=True)"


def open_to_others(folder: Path) -> list[Path]:
    found = [folder, *folder.rglob("*")]
    return [one for one in found if one.stat().st_mode & 0o077]


async def test_what_is_written_is_for_this_account_alone_and_exports_go_with_the_next_start(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "data"

    said = await attune("chat", folder=folder, script=SCRIPT)

    assert list((folder / "exports").iterdir()), said
    assert len(list((folder / "tuner").rglob("*"))) > 3, said
    assert open_to_others(folder) == []

    await attune("chat", folder=folder, script="/tune help\n")

    assert not (folder / "exports").exists()


def test_temporary_files_lie_in_the_folder_and_do_not_outlive_the_service(tmp_path: Path) -> None:
    left = tmp_path / "temporary" / "left by a kill"
    left.mkdir(parents=True)

    with temporary_files(tmp_path):
        own = Path(tempfile.mkdtemp())
        assert own.parent == left.parent
        assert not left.exists()

    assert not own.exists()
    assert Path(tempfile.gettempdir()) != left.parent


def test_an_open_folder_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    private_folder(tmp_path)

    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_closed_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tmp_path.chmod(0o755)
    monkeypatch.setattr(Path, "chmod", lambda self, mode: None)

    with pytest.raises(SettingsError, match="open to other accounts"):
        private_folder(tmp_path)


def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, mode: int) -> None:
        raise PermissionError

    tmp_path.chmod(0o777)
    monkeypatch.setattr(Path, "chmod", refuse)

    with pytest.raises(SettingsError, match="cannot be closed"):
        private_folder(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ATTUNE_SECRET_KEY", "short"),
        ("ATTUNE_SECRET_KEY", "x" * 31),
        ("ATTUNE_TRUSTED_PROXIES", "*"),
        ("ATTUNE_TRUSTED_PROXIES", "10.0.0.1, proxy"),
    ],
)
def test_a_weak_setting_ends_the_start_in_words(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError) as caught:
        read_settings()

    assert variable in caught.value.sentence
    assert os.environ[variable] not in caught.value.sentence or "proxy" in value or value == "*"
