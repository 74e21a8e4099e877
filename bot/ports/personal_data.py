"""The port to everything that is kept of one person, whatever table it stands in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import ExampleId, RoomMessage, UserId, WorkspaceId

KeptCursor = tuple[int, tuple[object, ...]]
"""The number of a table, and the key of the last row that was read of it."""
KEPT_FROM_THE_START: KeptCursor = (0, ())


class PersonalData(Protocol):
    async def rows(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        after: KeptCursor = KEPT_FROM_THE_START,
        limit: int = 500,
    ) -> tuple[Sequence[tuple[str, Mapping[str, object]]], KeptCursor | None]:
        """Some of the rows that name them, what each is and its fields; None at the end."""
        ...

    async def examples(
        self, workspace: WorkspaceId, user: UserId, *, after: ExampleId, limit: int = 500
    ) -> Sequence[tuple[ExampleId, str]]:
        """By number, and which they were of each: `author`, else `editor`, else `marked`."""
        ...

    async def example_count(self, workspace: WorkspaceId, user: UserId) -> int: ...
    async def messages(
        self, workspace: WorkspaceId, user: UserId, *, after: int, limit: int = 500
    ) -> Sequence[RoomMessage]:
        """Room messages of theirs, by number."""
        ...

    async def newest_item_token(self, workspace: WorkspaceId, user: UserId) -> str:
        """Which of their questions and examples came last; another one once more are kept."""
        ...

    async def examples_edited_by(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        after: ExampleId | None = None,
        limit: int = 500,
    ) -> Sequence[ExampleId]:
        """Examples with a revision of theirs, by id."""
        ...

    async def take_back(
        self, workspace: WorkspaceId, edited: Sequence[ExampleId], user: UserId, *, at: datetime
    ) -> Sequence[ExampleId]:
        """The text of their revisions goes, and what stood before is in force again.

        It waits for a curator where the edit was approved. Returned are those
        of which nothing else is left.
        """
        ...

    async def forget(self, workspace: WorkspaceId, user: UserId, *, limit: int = 500) -> int:
        """Roles, consent that was given, marks, reactions and their name everywhere else.

        Returns how many rows changed; 0 once nothing is left. Tokens and audit
        lines stay without a name, and a refused consent stays as it is.
        """
        ...

    async def forget_messages(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> int:
        """The text of room messages of theirs goes, and that of the answers; how many."""
        ...

    async def forget_quotes(
        self, workspace: WorkspaceId, quotes: Collection[str], *, after: int, limit: int = 500
    ) -> int | None:
        """Our own room messages that repeat a text go; the last number looked at, None at the end.

        White space does not count; each run of it in a quote is one space.
        """
        ...
