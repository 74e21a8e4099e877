"""Changes that can still be undone, and deletions at hosts that wait until then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, delete, func, insert, select, update

from bot.domain import HostName, Undoable, WorkspaceId
from storage.connection import Connection
from storage.tables import undoables as table


class Undoables:
    """Repository of undoable changes, which are kept until they are undone or due."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, new: Undoable) -> int:
        values = {
            "workspace": workspace,
            "user": new.user,
            "kind": new.kind,
            "details": new.details,
            "host": new.host,
            "due_at": new.due_at,
            "attempts": 0,
        }
        row = await self._connection.fetch_first(insert(table).values(values).returning(table.c.id))
        assert row is not None
        return int(row.id)

    async def find(self, workspace: WorkspaceId, number: int) -> Undoable | None:
        condition = and_(table.c.workspace == workspace, table.c.id == number)
        row = await self._connection.fetch_first(select(table).where(condition))
        return None if row is None else _undoable(row)

    async def all(self, workspace: WorkspaceId) -> Sequence[Undoable]:
        query = select(table).where(table.c.workspace == workspace)
        return [_undoable(row) for row in await self._connection.fetch_all(query, table.c.id)]

    async def list_due(self, host: HostName | None, *, now: datetime) -> Sequence[Undoable]:
        query = select(table).where(table.c.host == host, table.c.due_at <= now)
        rows = await self._connection.fetch_all(query, table.c.due_at, table.c.id)
        return [_undoable(row) for row in rows]

    async def next_due_time(self, host: HostName | None) -> datetime | None:
        first = select(func.min(table.c.due_at)).where(table.c.host == host)
        due_at: datetime | None = (await self._connection.execute(first)).scalar()
        return due_at

    async def postpone(self, number: int, *, until: datetime) -> None:
        values = {"due_at": until, "attempts": table.c.attempts + 1}
        await self._connection.execute(update(table).where(table.c.id == number).values(values))

    async def delete(self, number: int) -> None:
        await self._connection.execute(delete(table).where(table.c.id == number))


def _undoable(row: Row[Any]) -> Undoable:
    return Undoable(
        row.user,
        row.kind,
        row.details,
        row.due_at,
        row.host,
        row.attempts,
        row.id,
        row.workspace,
    )
