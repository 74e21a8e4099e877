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

    async def add(self, workspace: WorkspaceId, reply: PrivateReply) -> int:
        values = {
            "workspace": workspace,
            "event": reply.event,
            "user": reply.user,
            "role": int(reply.role),
            "channel": reply.place.channel,
            "thread": reply.place.thread,
            "body": reply.body,
            "at": reply.at,
        }
        insert = self._connection.insert(table).values(values)
        await self._connection.execute(insert.on_conflict_do_nothing(index_elements=["event"]))
        condition = and_(table.c.workspace == workspace, table.c.event == reply.event)
        row = await self._connection.fetch_first(select(table.c.id).where(condition))
        assert row is not None
        return int(row.id)

    async def find(self, workspace: WorkspaceId, number: int) -> PrivateReply | None:
        condition = and_(table.c.workspace == workspace, table.c.id == number)
        row = await self._connection.fetch_first(select(table).where(condition))
        if row is None:
            return None
        place = Place(workspace, row.channel, row.thread)
        return PrivateReply(row.event, row.user, Role(row.role), place, row.body, row.at)

    async def delete_all(self, workspace: WorkspaceId) -> None:
        self._connection.has_erased = True
        await self._connection.execute(delete(table).where(table.c.workspace == workspace))

    async def delete_before(self, at: datetime, *, limit: int = 500) -> int:
        old = among_first(table, table.c.at < at, limit=limit)
        return await self._connection.execute_counting_rows(delete(table).where(old))
