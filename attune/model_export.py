"""Tuned models of the embedded tuner, or of another tuner's folder, as files to take away."""

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

from adapters.openai.hosts_file import LANGUAGE_MODELS
from attune.engine.folder import EngineFolder
from attune.settings import Settings, environment
from bot.domain import HostName, ModelName
from bot.errors import ExportRefused
from bot.ports.model_export import ModelFormat
from tuner.errors import CannotStart, NotFound
from tuner.export import TunedModel, base_name, find, sizes

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
    """Writes it into `out`, which must not be there yet. Raises ExportRefused.

    Without `form` in the one that it is kept in: the adapter, or a model that needs none as it is.
    A process of its own, in the engine's own environment where there is one: to add an adapter to
    its base takes torch and the memory of a whole model.
    """
    engine = EngineFolder(settings.data_dir)
    place = (data or settings.data_dir / "tuner").absolute()
    found = await asyncio.to_thread(_find, place, model, base, engine)
    command = ["tuner.export", "--data", str(place), "--model", model, "--out", str(out)]
    command += ["--base", str(found.base)] if found.base else []
    command += ["--form", form] if form else []
    said = await _run(engine.python or Path(sys.executable), command)
    if said is not None:
        raise ExportRefused(problem=said)


class EmbeddedModels:
    """Implements `bot.ports.model_export.ModelExporter` for the embedded tuner."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._engine = EngineFolder(settings.data_dir)
        self._turn = asyncio.Lock()

    def has_files_of(self, host: HostName) -> bool:
        return host in ("sandbox", LANGUAGE_MODELS)

    async def sizes(self, model: ModelName) -> Mapping[ModelFormat, int]:
        return await asyncio.to_thread(self._sizes, model)

    def _sizes(self, model: ModelName) -> Mapping[ModelFormat, int]:
        found = _find(self._settings.data_dir / "tuner", model, None, self._engine)
        try:
            return {ModelFormat(form): size for form, size in sizes(found).items()}
        except CannotStart as error:
            raise ExportRefused(problem=str(error)) from error

    async def pack(self, model: ModelName, form: ModelFormat) -> AsyncIterator[bytes]:
        """One at a time, as each may need the memory and the disk of a whole model."""
        async with self._turn:
            folder = Path(await asyncio.to_thread(tempfile.mkdtemp))
            try:
                out = folder / "model"
                await export_model(self._settings, model, out, form=form)
                file = await asyncio.to_thread(_packed, out)
            finally:
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return _blocks(file)


def _find(place: Path, model: str, base: Path | None, engine: EngineFolder) -> TunedModel:
    try:
        installed = engine.model(base_name(place, model))
        return find(place, model, base=base or (installed if installed.is_dir() else None))
    except (CannotStart, NotFound) as error:
        raise ExportRefused(problem=str(error)) from error


async def _run(python: Path, command: list[str]) -> str | None:
    """What it said at last where it failed; cancelled, or with our end, it ends too."""
    process = await asyncio.create_subprocess_exec(
        *(str(python), "-P", str(_PRELUDE), *command),
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
        # The engine's environment has the libraries, and not this program.
        env={**environment(), "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert process.stderr is not None
    try:
        said = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        code = await process.wait()
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return None if code == 0 else (said or ["The export failed."])[-1]


def _packed(folder: Path) -> BinaryIO:
    """A ZIP file without a name, gone with its last reader; weights do not shrink."""
    file = tempfile.TemporaryFile(dir=folder.parent)  # noqa: SIM115 - its reader closes it
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as packed:
            for path in sorted(folder.iterdir()):
                packed.write(path, path.name)
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
