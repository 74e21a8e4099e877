"""The port to the installation of the engine that trains and serves models on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bot.domain import HostName, Hyperparameters, ModelName
from bot.errors import AttuneError


class InstallStep(StrEnum):
    """Steps of an installation, in order; a step that is done already is skipped."""

    TORCH = "torch"
    LIBRARIES = "libraries"
    MODEL = "model"
    CONVERSION = "conversion"


@dataclass(frozen=True, slots=True)
class InstallProgress:
    """Progress of an installation: bytes on the disk, and about how many there will be."""

    step: InstallStep
    bytes: int
    expected_bytes: int


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """The contents of an installation, shown to the operator for consent; sizes in bytes."""

    model: str
    license: str
    source: str
    download_bytes: int
    disk_bytes: int
    has_gpu: bool


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A base model that is completely installed; size in bytes."""

    name: str
    license: str
    source: str
    bytes: int


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of memory that a training needs, and bytes free now; `free` is None if unknown."""

    needed: int
    free: int | None


class LanguageEngine(Protocol):
    """Installs language models on this machine; callers check that the user is an operator."""

    async def plan_install(self) -> InstallPlan:
        """Returns what `start` would install."""
        ...

    def installed_models(self) -> Sequence[InstalledModel]:
        """Returns the installed base models; none before the engine is installed."""
        ...

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
        """Estimates the memory of a training on this machine; `longest` is in tokens.

        None for another host, and for a model that the engine does not train.
        """
        ...

    def install_progress(self) -> InstallProgress | None:
        """Returns the progress; None if no installation runs in this process."""
        ...

    def last_install_error(self) -> AttuneError | None:
        """Returns why the last installation or the last start of the engine failed, or None."""
        ...

    def start_install(self) -> None:
        """Starts an installation in the background. Raises InstallRunning if one runs already."""
        ...

    async def cancel_install(self) -> None:
        """Cancels the installation; downloaded files are kept for the next one."""
        ...
