"""The port to what trains and serves language models on this machine: how it gets there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bot.domain import HostName, Hyperparameters, ModelName
from bot.errors import AttuneError


class InstallStep(StrEnum):
    """What an installation does, in this order; what is there already is not done again."""

    TORCH = "torch"
    LIBRARIES = "libraries"
    MODEL = "model"
    CONVERSION = "conversion"


@dataclass(frozen=True, slots=True)
class InstallProgress:
    """How far an installation is: bytes on the disk, of about so many when it is done."""

    step: InstallStep
    bytes: int
    expected_bytes: int


@dataclass(frozen=True, slots=True)
class InstallPlan:
    """What an installation would bring, to be shown before anybody agrees; sizes in bytes."""

    model: str
    license: str
    source: str
    download_bytes: int
    disk_bytes: int
    has_gpu: bool


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A base that is there whole; size in bytes."""

    name: str
    license: str
    source: str
    bytes: int


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes that a training will take, and those that are free now; None where nobody says."""

    needed: int
    free: int | None


class LanguageEngine(Protocol):
    """Installs language models on this machine; only an operator may ask for it."""

    async def plan_install(self) -> InstallPlan:
        """What `start` would bring."""
        ...

    def models(self) -> Sequence[InstalledModel]:
        """Bases that are there; none before the engine itself is."""
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
        """Of a training on this machine, whose longest row has so many tokens.

        None for another host, and for a model that is not of this engine.
        """
        ...

    def progress(self) -> InstallProgress | None:
        """None where no installation runs in this process."""
        ...

    def last_failure(self) -> AttuneError | None:
        """Why the last installation, or the last start of the engine, did not succeed."""
        ...

    def start(self) -> None:
        """Returns at once. Raises InstallRunning where one runs already."""
        ...

    async def cancel(self) -> None:
        """Ends what `start` began; what was downloaded is kept for the next one."""
        ...
