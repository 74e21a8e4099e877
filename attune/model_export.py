"""Exports tuned models of the embedded tuner, or of another tuner's folder, as files."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import sys
import tempfile
import zipfile
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from adapters.openai.hosts_file import LANGUAGE_MODELS_HOST
from attune.engine.engine_folder import EngineFolder
from attune.settings import Settings, child_environment
from bot.domain import HostName, ModelName
from bot.errors import ExportRefused
from bot.ports.model_export import ModelFormat
from tuner.errors import CannotStart, NotFound
from tuner.export import TunedModel, base_of_model, find_tuned_model, size_by_format

_PRELUDE = Path(__file__).with_name("engine") / "until_parent_ends.py"
_BLOCK = 1024 * 1024


async def export_model(
    settings: Settings,
    model: str,
    out: Path,
    *,
    form: ModelFormat | None = None,
    data: Path | None = None,
    base: Path | None = None,
) -> None:
    """Exports a model to the folder `out`, which must not exist. Raises ExportRefused.

    Without `form` the model is exported as it is stored, as an adapter or a whole model. The export
    runs in a process of its own, in the engine's environment if there is one, as merging an adapter
    needs torch and the memory of a whole model.
    """
    engine = EngineFolder(settings.data_dir)
    tuner_folder = (data or settings.data_dir / "tuner").absolute()
    tuned = await asyncio.to_thread(_find, tuner_folder, model, base, engine)
    command = ["tuner.export", "--data", str(tuner_folder), "--model", model, "--out", str(out)]
    command += ["--base", str(tuned.base)] if tuned.base else []
    command += ["--form", form] if form else []
    problem = await _run(engine.python or Path(sys.executable), command)
    if problem is not None:
        raise ExportRefused(problem=problem)


class EmbeddedModels:
    """Implements `bot.ports.model_export.ModelExporter` for the embedded tuner."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = EngineFolder(settings.data_dir)
        self._lock = asyncio.Lock()

    def has_files_of(self, host: HostName) -> bool:
        return host in ("sandbox", LANGUAGE_MODELS_HOST)

    async def sizes(self, model: ModelName) -> Mapping[ModelFormat, int]:
        return await asyncio.to_thread(self._sizes, model)

    def _sizes(self, model: ModelName) -> Mapping[ModelFormat, int]:
        tuned = _find(self._settings.data_dir / "tuner", model, None, self._engine)
        try:
            return {ModelFormat(form): size for form, size in size_by_format(tuned).items()}
        except CannotStart as error:
            raise ExportRefused(problem=str(error)) from error

    async def pack(self, model: ModelName, form: ModelFormat) -> AsyncIterator[bytes]:
        """Exports a model and returns the blocks of a ZIP file with it.

        Runs one export at a time, as each may need the memory and disk space of a whole model.
        """
        async with self._lock:
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp))
            try:
                out = folder / "model"
                await export_model(self._settings, model, out, form=form)
                file = await asyncio.to_thread(_zip, out)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return _blocks(file)


def _find(tuner_folder: Path, model: str, base: Path | None, engine: EngineFolder) -> TunedModel:
    try:
        installed = engine.model(base_of_model(tuner_folder, model))
        return find_tuned_model(
            tuner_folder, model, base=base or (installed if installed.is_dir() else None)
        )
    except (CannotStart, NotFound) as error:
        raise ExportRefused(problem=str(error)) from error


async def _run(python: Path, command: list[str]) -> str | None:
    """Runs a module; returns its last line of stderr if it failed, else None.

    The module's process group is killed when this task is cancelled or this process ends.
    """
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-P", str(_PRELUDE), *command),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        # The engine's environment has the libraries but not Attune's own packages.
        env={**child_environment(), "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stderr is not None
    try:
        lines = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        code = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return None if code == 0 else (lines or ["The export failed."])[-1]


def _zip(folder: Path) -> BinaryIO:
    """Returns a ZIP file, deleted when it is closed; uncompressed, as weights hardly compress."""
    file = tempfile.TemporaryFile(dir=folder.parent)  # noqa: SIM115 - its reader closes it
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, path.name)
    except OSError as error:
        file.close()
        if error.errno != errno.ENOSPC:
            raise
        raise ExportRefused(problem=f"The disk is too full for it: {folder.parent}") from error
    file.seek(0)
    return file


async def _blocks(file: BinaryIO) -> AsyncIterator[bytes]:
    with file:
        while block := await asyncio.to_thread(file.read, _BLOCK):
            yield block
