"""Tokens spent per person and UTC day."""

from __future__ import annotations

from datetime import date

from sqlalchemy import and_, case, func, select

from bot.domain import UserId, WorkspaceId
from storage.connection import Connection
from storage.tables import spending


class DailyTokens:
    """Repository of daily token sums; single requests are not stored."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, user: UserId, day: date, tokens: int) -> None:
        insert = self._connection.insert(spending).values(
            workspace=workspace, user=user, day=day, tokens=tokens
        )
        await self._connection.execute(
            insert.on_conflict_do_update(
                index_elements=["workspace", "day", "user"],
                set_={"tokens": spending.c.tokens + insert.excluded.tokens},
            )
        )

    async def tokens_of_day(
        self, workspace: WorkspaceId, user: UserId, day: date
    ) -> tuple[int, int]:
        own_tokens = case((spending.c.user == user, spending.c.tokens), else_=0)
        sums = select(
            func.coalesce(func.sum(own_tokens), 0).label("person"),
            func.coalesce(func.sum(spending.c.tokens), 0).label("whole"),
        )
        condition = and_(spending.c.workspace == workspace, spending.c.day == day)
        row = (await self._connection.execute(sums.where(condition))).one()
        return int(row.person), int(row.whole)
