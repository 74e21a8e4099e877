"""The port to offered trainings: who wants them, what is new, and what was offered already."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import Assistant, AssistantId, SnapshotId, WorkspaceId
from bot.rows import Method


class TrainingOffers(Protocol):
    async def assistants_with_offers(self) -> Sequence[Assistant]:
        """The assistants that offer trainings by themselves, of every workspace in use."""
        ...

    async def new_rows(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        *,
        learned: SnapshotId | None,
    ) -> int:
        """How many may be trained on now that are not in this snapshot."""
        ...

    async def is_made(
        self, workspace: WorkspaceId, assistant: AssistantId, method: Method, state: int
    ) -> bool: ...

    async def make(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        state: int,
        *,
        at: datetime,
    ) -> bool:
        """True the first time only; `state` is the snapshot that was learned last, or 0."""
        ...
