"""Roles that an admin granted."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, delete, func, select

from bot.domain import Grant, Role, UserId, WorkspaceId
from storage.connection import Connection
from storage.tables import roles

# Built once: it runs for every event.
_GRANT = (
    select(roles.c.role, roles.c.at, roles.c.is_external)
    .where(roles.c.workspace == bindparam("workspace"), roles.c.user == bindparam("user"))
    .limit(1)
)


class Roles:
    """Repository of granted roles."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, workspace: WorkspaceId, user: UserId) -> Grant | None:
        row = await self._connection.fetch_first(_GRANT, workspace=workspace, user=user)
        return None if row is None else Grant(Role(row.role), row.at, row.is_external)

    async def set_grant(self, workspace: WorkspaceId, user: UserId, grant: Grant | None) -> None:
        if grant is None:
            condition = (roles.c.workspace == workspace) & (roles.c.user == user)
            await self._connection.execute(delete(roles).where(condition))
            return
        granted = {"role": int(grant.role), "at": grant.at, "is_external": grant.is_external}
        insert = self._connection.insert(roles).values(workspace=workspace, user=user, **granted)
        await self._connection.execute(
            insert.on_conflict_do_update(index_elements=["workspace", "user"], set_=granted)
        )

    async def highest_group_role(self, workspace: WorkspaceId, groups: Sequence[UserId]) -> Role:
        named = (roles.c.workspace == workspace) & roles.c.user.in_(groups)
        row = await self._connection.fetch_first(
            select(func.max(roles.c.role).label("role")).where(named)
        )
        return Role.STRANGER if row is None or row.role is None else Role(row.role)

    async def all(self, workspace: WorkspaceId) -> Sequence[tuple[UserId, Role]]:
        statement = select(roles.c.user, roles.c.role).where(roles.c.workspace == workspace)
        rows = await self._connection.fetch_all(statement, roles.c.user)
        granted = [(row.user, Role(row.role)) for row in rows]
        return sorted(granted, key=lambda grant: grant[1], reverse=True)
