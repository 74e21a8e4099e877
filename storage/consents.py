"""Consents: whether each person lets their messages be trained on."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from bot.domain import Consent, UserId, WorkspaceId
from storage.connection import Connection
from storage.tables import consents


class Consents:
    """Repository of the newest consent decision of each person."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(self, workspace: WorkspaceId, consent: Consent) -> None:
        values = {"version": consent.version, "given": consent.given, "at": consent.at}
        insert = self._connection.insert(consents).values(
            workspace=workspace, user=consent.user, **values
        )
        await self._connection.execute(
            insert.on_conflict_do_update(index_elements=["workspace", "user"], set_=values)
        )

    async def get(self, workspace: WorkspaceId, user: UserId) -> Consent | None:
        condition = (consents.c.workspace == workspace) & (consents.c.user == user)
        row = await self._connection.fetch_first(select(consents).where(condition))
        return None if row is None else Consent(row.user, row.version, row.given, row.at)

    async def all(self, workspace: WorkspaceId) -> Sequence[Consent]:
        query = select(consents).where(consents.c.workspace == workspace)
        rows = await self._connection.fetch_all(query, consents.c.user)
        return [Consent(row.user, row.version, row.given, row.at) for row in rows]
