"""The inbox: accepted events, each of which is handled once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, bindparam, delete, or_, select, update

from bot.domain import InboxRow, WorkspaceId
from storage.connection import Connection
from storage.tables import inbox

# Built once: it runs for every event.
_FINISH = update(inbox).where(inbox.c.key == bindparam("finished")).values(state="done", payload="")


class Inbox:
    """Repository of events from received to done; of an event that is done only the key is kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self,
        workspace: WorkspaceId,
        key: str,
        *,
        message_key: str | None,
        payload: str,
        at: datetime,
    ) -> bool:
        # Runs for every event. Passing the values beside the statement halves the cost.
        statement = self._connection.insert(inbox).on_conflict_do_nothing()
        inserted = await self._connection.execute_counting_rows(
            statement,
            workspace=workspace,
            key=key,
            message_key=message_key,
            payload=payload,
            state="received",
            received_at=at,
            attempts=0,
        )
        return inserted > 0

    async def mark_begun(self, key: str) -> None:
        await self._change(key, state="running")

    async def count_attempt(self, key: str) -> None:
        await self._change(key, attempts=inbox.c.attempts + 1)

    async def mark_done(self, key: str) -> None:
        await self._connection.execute(_FINISH, finished=key)

    async def list_unfinished(
        self, *, after: tuple[datetime, str] | None = None, limit: int = 500
    ) -> Sequence[InboxRow]:
        query = select(
            inbox.c.key, inbox.c.payload, inbox.c.received_at, inbox.c.attempts, inbox.c.state
        ).where(inbox.c.state.in_(["received", "running"]))
        if after is not None:
            at, key = after
            later = and_(inbox.c.received_at == at, inbox.c.key > key)
            query = query.where(inbox.c.received_at >= at, or_(inbox.c.received_at > at, later))
        ordered = query.order_by(inbox.c.received_at, inbox.c.key)
        rows = await self._connection.fetch_rows(ordered, most=limit)
        return [
            InboxRow(row.key, row.payload, row.received_at, row.attempts, row.state == "running")
            for row in rows
        ]

    async def has_unfinished(self, workspace: WorkspaceId, message_key: str) -> bool:
        waiting = select(inbox.c.key).where(
            inbox.c.message_key == message_key,
            inbox.c.workspace == workspace,
            inbox.c.state != "done",
        )
        return await self._connection.fetch_first(waiting) is not None

    async def delete_finished_before(self, at: datetime, *, limit: int = 500) -> int:
        old = (inbox.c.state == "done") & (inbox.c.received_at < at)
        keys = select(inbox.c.key).where(old).order_by(inbox.c.received_at).limit(limit)
        return await self._connection.execute_counting_rows(
            delete(inbox).where(inbox.c.key.in_(keys))
        )

    async def _change(self, key: str, **values: object) -> None:
        undone = (inbox.c.key == key) & (inbox.c.state != "done")
        await self._connection.execute(update(inbox).where(undone).values(**values))
