"""The port to the files of tuned models: which forms they have, and how they are taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from enum import StrEnum
from typing import Protocol

from bot.domain import HostName, ModelName


class ModelFormat(StrEnum):
    """What a tuned model is taken away as; an adapter needs its base beside it."""

    ADAPTER = "adapter"
    MERGED = "merged"
    GGUF_F16 = "gguf-f16"
    GGUF_Q8_0 = "gguf-q8_0"
    SANDBOX = "sandbox"


class ModelExporter(Protocol):
    """Only of models that were trained on this machine; whose they are is checked before."""

    def has_files_of(self, host: HostName) -> bool:
        """Whether that host's models lie here."""
        ...

    async def sizes(self, model: ModelName) -> Mapping[ModelFormat, int]:
        """About how many bytes each form has that it can be given in. Raises ExportRefused."""
        ...

    async def pack(self, model: ModelName, form: ModelFormat) -> AsyncIterator[bytes]:
        """The blocks of a ZIP file, which is made before this returns. Raises ExportRefused."""
        ...
