"""The port to what reviewers and authors said about proposed examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import AssistantId, ExampleId, Review, ReviewKind, UserId, WorkspaceId


class Reviews(Protocol):
    async def put(
        self,
        workspace: WorkspaceId,
        numbers: Sequence[ExampleId],
        user: UserId,
        kind: ReviewKind,
        *,
        at: datetime,
        note: str = "",
    ) -> None:
        """About the revision in force, in place of what the person said of the same sort.

        An assignment takes the example from whoever had it.
        """
        ...

    async def take_back(
        self, workspace: WorkspaceId, example: ExampleId, user: UserId, kind: ReviewKind
    ) -> bool:
        """Whether the person had said anything of that sort."""
        ...

    async def unassign(self, workspace: WorkspaceId, example: ExampleId) -> None: ...
    async def of(self, workspace: WorkspaceId, example: ExampleId) -> Sequence[Review]:
        """About any revision, by person."""
        ...

    async def agreed_examples(
        self,
        workspace: WorkspaceId,
        numbers: Sequence[ExampleId],
        kind: ReviewKind,
        *,
        needed: int,
    ) -> Sequence[ExampleId]:
        """Those of whose revision in force so many people said so."""
        ...

    async def verdicts(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Sequence[Mapping[UserId, str]]:
        """What each person said of one text, for texts that two or more have judged."""
        ...
