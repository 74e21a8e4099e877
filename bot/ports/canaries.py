"""The port to what lasts of canaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.domain import AssistantId, Canary, CanaryId, WorkspaceId


class Canaries(Protocol):
    async def add(self, workspace: WorkspaceId, canary: Canary) -> Canary:
        """The given id is ignored. One with the same key is returned instead of a second."""
        ...

    async def get(self, workspace: WorkspaceId, canary: CanaryId) -> Canary: ...
    async def running_for(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Canary | None: ...
    async def all_running(self) -> Sequence[Canary]:
        """Of every workspace that is not closed."""
        ...

    async def change(self, workspace: WorkspaceId, canary: CanaryId, **changes: object) -> bool:
        """Set fields by name, only while it is running."""
        ...

    async def count_failure(self, workspace: WorkspaceId, canary: CanaryId) -> None: ...
    async def history(
        self, workspace: WorkspaceId, assistant: AssistantId, *, limit: int = 20
    ) -> Sequence[Canary]:
        """Newest first."""
        ...
