"""Replies that only one person sees, and that this person may share with the channel."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import and_, delete, select

from bot.domain import Place, PrivateReply, Role, WorkspaceId
from storage.connection import Connection, among_first
from storage.tables import private_replies as table


class PrivateReplies:
    """Repository of private replies, at most one per event."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def keep(self, workspace: WorkspaceId, new: PrivateReply) -> int:
        values = {
            "workspace": workspace,
            "event": new.event,
            "user": new.user,
            "role": int(new.role),
            "channel": new.place.channel,
            "thread": new.place.thread,
            "body": new.body,
            "at": new.at,
        }
        insert = self._connection.insert(table).values(values)
        await self._connection.run(insert.on_conflict_do_nothing(index_elements=["event"]))
        condition = and_(table.c.workspace == workspace, table.c.event == new.event)
        row = await self._connection.first(select(table.c.id).where(condition))
        assert row is not None
        return int(row.id)

    async def find(self, workspace: WorkspaceId, number: int) -> PrivateReply | None:
        condition = and_(table.c.workspace == workspace, table.c.id == number)
        row = await self._connection.first(select(table).where(condition))
        if row is None:
            return None
        place = Place(workspace, row.channel, row.thread)
        return PrivateReply(row.event, row.user, Role(row.role), place, row.body, row.at)

    async def forget(self, workspace: WorkspaceId) -> None:
        self._connection.has_erased = True
        await self._connection.run(delete(table).where(table.c.workspace == workspace))

    async def forget_before(self, at: datetime, *, limit: int = 500) -> int:
        old = among_first(table, table.c.at < at, limit=limit)
        return await self._connection.run_counting(delete(table).where(old))
