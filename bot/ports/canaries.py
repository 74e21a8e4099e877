"""The port to stored canaries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bot.domain import AssistantId, Canary, CanaryId, WorkspaceId


class Canaries(Protocol):
    async def add(self, workspace: WorkspaceId, canary: Canary) -> Canary:
        """Stores a canary with a new id, or returns the one with the same idempotency key."""
        ...

    async def get(self, workspace: WorkspaceId, canary: CanaryId) -> Canary: ...
    async def find_running(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Canary | None: ...
    async def list_running(self) -> Sequence[Canary]:
        """Returns the running canaries of every workspace that is not closed."""
        ...

    async def update_if_running(
        self, workspace: WorkspaceId, canary: CanaryId, **changes: object
    ) -> bool:
        """Sets fields by name and returns True, only while the canary is running."""
        ...

    async def count_failure(self, workspace: WorkspaceId, canary: CanaryId) -> None: ...
    async def history(
        self, workspace: WorkspaceId, assistant: AssistantId, *, limit: int = 20
    ) -> Sequence[Canary]:
        """Returns the assistant's canaries, newest first."""
        ...
