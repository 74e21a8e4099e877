"""Runs the installation that the studio starts as a task of the service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict

from adapters.openai.hosts_file import LANGUAGE_MODELS_HOST
from attune.engine.engine_folder import EngineFolder
from attune.engine.installation import Installation
from attune.engine.installation_steps import has_gpu, steps_of
from attune.settings import Settings
from bot.domain import HostName, Hyperparameters, ModelName
from bot.errors import AttuneError, EngineError, InstallRunning
from bot.ports.engine_installation import (
    InstalledModel,
    InstallPlan,
    InstallProgress,
    InstallStep,
    MemoryEstimate,
)
from tuner.local.hyperparameters import resolve_hyperparameters
from tuner.local.training_memory import estimate_training_memory, free_memory
from tuner.store.jobs import base_of_model_name

log = logging.getLogger(__name__)


class EngineManager:
    """Implements `bot.ports.engine_installation.LanguageEngine` with one installation at a time.

    `group` owns the task. `changed` is called whenever the state changes.
    """

    def __init__(
        self, settings: Settings, group: asyncio.TaskGroup, changed: Callable[[], None]
    ) -> None:
        self.folder = EngineFolder(settings.data_dir)
        self._settings = settings
        self._group = group
        self._changed = changed
        self._task: asyncio.Task[None] | None = None
        self._progress: InstallProgress | None = None
        self._failure: AttuneError | None = None

    async def plan_install(self) -> InstallPlan:
        return await (await self._installation()).plan()

    def installed_models(self) -> Sequence[InstalledModel]:
        return self.folder.models() if self.folder.python else ()

    async def training_memory(
        self,
        host: HostName,
        model: ModelName,
        settings: Hyperparameters,
        *,
        rows: int,
        longest: int,
        is_preference: bool,
    ) -> MemoryEstimate | None:
        """Returns the tuner's estimate of the needed memory and the memory free for it.

        None for a host or a model that is not on this machine.
        """
        base = self.folder.model(base_of_model_name(model))
        if host != LANGUAGE_MODELS_HOST or not base.is_dir():
            return None
        given = {name: value for name, value in asdict(settings).items() if value is not None}

        def estimate() -> MemoryEstimate:
            hyperparameters = resolve_hyperparameters(given, rows=rows, is_full=None)
            needed = estimate_training_memory(
                base, hyperparameters, tokens=longest, is_dpo=is_preference
            )
            return MemoryEstimate(needed, free_memory())

        return await asyncio.to_thread(estimate)

    def install_progress(self) -> InstallProgress | None:
        return self._progress

    def last_install_error(self) -> AttuneError | None:
        return self._failure

    def start_install(self) -> None:
        if self._task is not None and not self._task.done():
            raise InstallRunning
        self._failure = None
        self._report(InstallProgress(InstallStep.TORCH, 0, 1))
        self._task = self._group.create_task(self._run(), name="installation of a language model")

    async def cancel_install(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def fail(self, failure: AttuneError | None) -> None:
        """Sets the failure that the studio shows, or None to clear it."""
        self._failure = failure
        self._changed()

    async def _run(self) -> None:
        try:
            await (await self._installation()).run(self._report)
        except AttuneError as error:
            self._failure = error
        except Exception as error:
            log.exception("An installation failed")
            self._failure = EngineError(problem=f"{type(error).__name__}.", log=self.folder.log)
        finally:
            self._progress = None
            self._changed()

    def _report(self, progress: InstallProgress) -> None:
        self._progress = progress
        self._changed()

    async def _installation(self) -> Installation:
        is_gpu = await asyncio.to_thread(has_gpu)
        return Installation(self.folder, steps_of(self.folder, self._settings, has_gpu=is_gpu))
