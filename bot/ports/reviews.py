"""The port to stored reviews of proposed examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import AssistantId, ExampleId, Review, ReviewKind, UserId, WorkspaceId


class Reviews(Protocol):
    async def put_reviews(
        self,
        workspace: WorkspaceId,
        example_ids: Sequence[ExampleId],
        user: UserId,
        kind: ReviewKind,
        *,
        at: datetime,
        note: str = "",
    ) -> None:
        """Stores a review of the current revision; replaces the person's review of that sort.

        The sorts are verdicts, assignments and the author's answers. An assignment replaces
        the earlier assignment to anybody.
        """
        ...

    async def delete_review(
        self, workspace: WorkspaceId, example: ExampleId, user: UserId, kind: ReviewKind
    ) -> bool:
        """Deletes the person's review of that sort; returns whether there was one."""
        ...

    async def unassign(self, workspace: WorkspaceId, example: ExampleId) -> None: ...
    async def list_for_example(
        self, workspace: WorkspaceId, example: ExampleId
    ) -> Sequence[Review]:
        """Returns the reviews of all revisions, by person."""
        ...

    async def agreed_examples(
        self,
        workspace: WorkspaceId,
        example_ids: Sequence[ExampleId],
        kind: ReviewKind,
        *,
        needed: int,
    ) -> Sequence[ExampleId]:
        """Returns examples whose current revision has a review of `kind` by `needed` people."""
        ...

    async def verdicts_by_person(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Sequence[Mapping[UserId, str]]:
        """Returns verdicts by person, one mapping for each revision with two or more verdicts."""
        ...
