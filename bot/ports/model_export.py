"""The port that exports tuned models as files."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import Protocol

from bot.domain import HostName, ModelName


class ModelFormat(StrEnum):
    """File formats of an exported model; an adapter is of use only with its base model."""

    ADAPTER = "adapter"
    MERGED = "merged"
    GGUF_F16 = "gguf-f16"
    GGUF_Q8_0 = "gguf-q8_0"
    SANDBOX = "sandbox"


class ModelExporter(Protocol):
    """Exports models that were trained on this machine; the caller checks the workspace."""

    def has_files_of(self, host: HostName) -> bool:
        """Whether the host's model files are on this machine."""
        ...

    async def sizes(self, model: ModelName) -> Mapping[ModelFormat, int]:
        """Returns the approximate bytes of each available format. Raises ExportRefused."""
        ...

    async def pack(self, model: ModelName, form: ModelFormat) -> AsyncIterator[bytes]:
        """Returns the blocks of a ZIP file, written before this returns. Raises ExportRefused."""
        ...
