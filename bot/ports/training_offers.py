"""The port to automatic training offers: assistants with offers, new rows, and past offers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import Assistant, AssistantId, SnapshotId, WorkspaceId
from bot.rows import Method


class TrainingOffers(Protocol):
    async def assistants_with_offers(self) -> Sequence[Assistant]:
        """Returns the assistants with automatic offers, of every workspace that is not closed."""
        ...

    async def count_new_rows(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        *,
        learned: SnapshotId | None,
    ) -> int:
        """Returns how many trainable examples are not in the snapshot `learned`."""
        ...

    async def was_posted(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method, state: int
    ) -> bool: ...

    async def record_posted(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        state: int,
        *,
        at: datetime,
    ) -> bool:
        """Records an offer; returns True only the first time.

        `state` is the id of the snapshot of the last successful training, or 0.
        """
        ...
