"""The audit log: which user did what, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, insert, select

from bot.domain import AuditEntry, UserId, WorkspaceId
from storage.connection import Connection
from storage.tables import audit


class Audit:
    """Repository of audit entries, which are added and expire, but are not edited."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self,
        workspace: WorkspaceId,
        user: UserId | None,
        what: str,
        *,
        at: datetime,
        **details: object,
    ) -> None:
        entry = {"workspace": workspace, "user": user, "what": what, "at": at, "details": details}
        await self._connection.execute(insert(audit).values(entry))

    async def delete_before(self, at: datetime, *, limit: int = 500) -> int:
        ids = select(audit.c.id).where(audit.c.at < at).order_by(audit.c.at).limit(limit)
        return await self._connection.execute_counting_rows(
            delete(audit).where(audit.c.id.in_(ids))
        )

    async def page(
        self,
        workspace: WorkspaceId,
        *,
        what: str | None = None,
        user: UserId | None = None,
        limit: int = 20,
    ) -> Sequence[AuditEntry]:
        statement = select(audit).where(audit.c.workspace == workspace)
        if what is not None:
            statement = statement.where(audit.c.what.startswith(what, autoescape=True))
        if user is not None:
            statement = statement.where(audit.c.user == user)
        return await self._newest(statement, limit)

    async def of_kind(
        self, workspace: WorkspaceId, what: str, *, limit: int = 20
    ) -> Sequence[AuditEntry]:
        query = select(audit).where(audit.c.workspace == workspace, audit.c.what == what)
        return await self._newest(query, limit)

    async def _newest(self, query: Select[Any], limit: int) -> Sequence[AuditEntry]:
        rows = await self._connection.fetch_rows(query.order_by(audit.c.id.desc()), most=limit)
        return [AuditEntry(row.at, row.user, row.what, row.details) for row in rows]
