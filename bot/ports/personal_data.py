"""The port to all stored data of one person, in any table."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import ExampleId, RoomMessage, UserId, WorkspaceId

PersonalRowCursor = tuple[int, tuple[object, ...]]
"""The number of a table, and the key of the last row read from it."""
FIRST_ROW_CURSOR: PersonalRowCursor = (0, ())


class PersonalData(Protocol):
    async def table_rows(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        after: PersonalRowCursor = FIRST_ROW_CURSOR,
        limit: int = 500,
    ) -> tuple[Sequence[tuple[str, Mapping[str, object]]], PersonalRowCursor | None]:
        """Returns a page of (kind, fields) of rows about the person, and the next cursor.

        The cursor is None at the end.
        """
        ...

    async def examples(
        self, workspace: WorkspaceId, user: UserId, *, after: ExampleId, limit: int = 500
    ) -> Sequence[tuple[ExampleId, str]]:
        """Returns (id, relation) by id; the relation is `author`, else `editor`, else `marked`."""
        ...

    async def example_count(self, workspace: WorkspaceId, user: UserId) -> int: ...
    async def room_messages(
        self, workspace: WorkspaceId, user: UserId, *, after: int, limit: int = 500
    ) -> Sequence[RoomMessage]:
        """Returns the person's messages in the local workspace, by number."""
        ...

    async def newest_item_token(self, workspace: WorkspaceId, user: UserId) -> str:
        """Returns a token that changes with each new question or example of the person."""
        ...

    async def examples_edited_by(
        self,
        workspace: WorkspaceId,
        user: UserId,
        *,
        after: ExampleId | None = None,
        limit: int = 500,
    ) -> Sequence[ExampleId]:
        """Returns examples with a revision by the person, by id."""
        ...

    async def revert_revisions_by(
        self, workspace: WorkspaceId, edited: Sequence[ExampleId], user: UserId, *, at: datetime
    ) -> Sequence[ExampleId]:
        """Erases the text of the person's revisions and restores the revisions before them.

        An approved example is proposed again. Returns the examples that cannot be restored: no
        earlier text is left, or an active example has the same.
        """
        ...

    async def forget_person(self, workspace: WorkspaceId, user: UserId, *, limit: int = 500) -> int:
        """Deletes the person's roles, given consent, marks and reactions, and their id elsewhere.

        Returns how many rows changed; 0 once nothing is left. Token counts and audit entries
        stay without a name, and a refused consent stays unchanged.
        """
        ...

    async def forget_room_messages(
        self, workspace: WorkspaceId, user: UserId, *, limit: int = 500
    ) -> int:
        """Erases the person's messages in the local workspace and the answers; returns how many."""
        ...

    async def forget_messages_quoting(
        self, workspace: WorkspaceId, quotes: Collection[str], *, after: int, limit: int = 500
    ) -> int | None:
        """Erases the bot's messages in the local workspace that contain one of `quotes`.

        Returns the last message number that was checked, None at the end. Runs of white space
        compare as one space; `quotes` must have them so.
        """
        ...
