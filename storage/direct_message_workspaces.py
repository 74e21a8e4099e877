"""Which workspace answers a person's direct messages, on platforms where several could."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, delete, select, update

from bot.domain import UserId, WorkspaceId
from bot.domain.ids import platform_of
from storage.connection import Connection
from storage.tables import direct_choices


class DirectMessageWorkspaces:
    """Repository of the workspaces that a person has chosen; one per platform is current."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def chosen_workspace(self, platform: str, user: UserId) -> WorkspaceId | None:
        columns = direct_choices.c
        condition = (columns.user == user) & columns.is_chosen
        statement = select(columns.workspace).where(condition, _is_on_platform(platform))
        row = await self._connection.fetch_first(statement)
        return None if row is None else row.workspace

    async def ever_chosen_workspaces(self, platform: str, user: UserId) -> Sequence[WorkspaceId]:
        columns = direct_choices.c
        statement = select(columns.workspace).where(columns.user == user, _is_on_platform(platform))
        rows = await self._connection.fetch_all(statement, columns.workspace)
        return [row.workspace for row in rows]

    async def choose_workspace(self, workspace: WorkspaceId, user: UserId) -> None:
        columns = direct_choices.c
        others = (columns.user == user) & _is_on_platform(platform_of(workspace))
        await self._connection.execute(update(direct_choices).where(others).values(is_chosen=False))
        insert = self._connection.insert(direct_choices).values(
            workspace=workspace, user=user, is_chosen=True
        )
        key = [columns.workspace, columns.user]
        await self._connection.execute(
            insert.on_conflict_do_update(index_elements=key, set_={"is_chosen": True})
        )

    async def end_choice(self, workspace: WorkspaceId, user: UserId) -> None:
        condition = (direct_choices.c.workspace == workspace) & (direct_choices.c.user == user)
        await self._connection.execute(
            update(direct_choices).where(condition).values(is_chosen=False)
        )

    async def forget_person(self, workspace: WorkspaceId, user: UserId) -> None:
        condition = (direct_choices.c.workspace == workspace) & (direct_choices.c.user == user)
        await self._connection.execute(delete(direct_choices).where(condition))


def _is_on_platform(platform: str) -> ColumnElement[bool]:
    return direct_choices.c.workspace.startswith(f"{platform}:", autoescape=True)
