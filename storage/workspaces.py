"""Workspaces: a Slack team, a Discord guild, or the local workspace."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, bindparam, delete, func, or_, select, update

from bot.domain import Exclusion, Sources, Workspace, WorkspaceId
from storage.connection import Connection, PagedQuery, among_first
from storage.tables import metadata, workspaces

# Child tables before their parents; the row of the workspace is deleted last.
_OWNED = [table for table in reversed(metadata.sorted_tables) if "workspace" in table.c]
_ERASED = [*_OWNED, workspaces]
_LAST = len(_ERASED) - 1
_REMOVED = PagedQuery(
    select(workspaces).where(
        or_(workspaces.c.removal_reported_at.is_not(None), workspaces.c.closed_at.is_not(None))
    ),
    workspaces.c.id,
)
# Built once: it runs for every event.
_FIND = select(workspaces).where(workspaces.c.id == bindparam("workspace")).limit(1)


class Workspaces:
    """Repository of workspaces and their settings."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def find(self, workspace: WorkspaceId) -> Workspace | None:
        row = await self._connection.fetch_first(_FIND, workspace=workspace)
        return None if row is None else _workspace(row)

    async def add(self, workspace: Workspace) -> None:
        values = {
            "id": workspace.id,
            "name": workspace.name,
            "sources": int(workspace.sources),
            "person_cap": workspace.person_cap,
            "workspace_cap": workspace.workspace_cap,
            "training_cap": workspace.training_cap,
            "allowed": int(workspace.allowed),
            "is_allowed": workspace.is_allowed,
            "must_mask": workspace.must_mask,
        }
        insert = self._connection.insert(workspaces).values(values)
        await self._connection.execute(insert.on_conflict_do_nothing())

    async def page(
        self,
        *,
        after: WorkspaceId | None = None,
        is_allowed: bool | None = None,
        limit: int = 500,
    ) -> Sequence[Workspace]:
        query = select(workspaces).order_by(workspaces.c.id)
        if is_allowed is not None:
            query = query.where(workspaces.c.is_allowed == is_allowed)
        if after is not None:
            query = query.where(workspaces.c.id > after)
        return [_workspace(row) for row in await self._connection.fetch_rows(query, most=limit)]

    async def count(self) -> int:
        counted = select(func.count()).select_from(workspaces)
        return int((await self._connection.execute(counted)).scalar_one())

    async def list_removed_or_closed(self) -> Sequence[Workspace]:
        return [_workspace(row) for row in await self._connection.fetch_pages(_REMOVED)]

    async def record_reported_removal(self, workspace: WorkspaceId, *, at: datetime) -> None:
        is_open = and_(
            workspaces.c.id == workspace,
            workspaces.c.removal_reported_at.is_(None),
            workspaces.c.closed_at.is_(None),
        )
        reported = update(workspaces).where(is_open).values(removal_reported_at=at)
        await self._connection.execute(reported)

    async def close(self, workspace: WorkspaceId, *, at: datetime) -> None:
        await self._set(workspace, removal_reported_at=None, closed_at=at)

    async def reopen(self, workspace: WorkspaceId) -> None:
        await self._set(workspace, removal_reported_at=None, closed_at=None)

    async def set_sources(
        self, workspace: WorkspaceId, sources: Sources, *, allowed: Exclusion
    ) -> None:
        await self._set(workspace, sources=int(sources), allowed=int(allowed))

    async def set_caps(
        self,
        workspace: WorkspaceId,
        *,
        person_cap: int | None,
        workspace_cap: int | None,
        training_cap: float | None = None,
    ) -> None:
        caps = {
            "person_cap": person_cap,
            "workspace_cap": workspace_cap,
            "training_cap": training_cap,
        }
        await self._set(workspace, **caps)

    async def set_allowed(self, workspace: WorkspaceId, is_allowed: bool) -> None:
        await self._set(workspace, is_allowed=is_allowed)

    async def set_must_mask(self, workspace: WorkspaceId, must_mask: bool) -> None:
        await self._set(workspace, must_mask=must_mask)

    async def set_retention(
        self, workspace: WorkspaceId, *, keep_days: int | None, keep_unapproved_days: int | None
    ) -> None:
        await self._set(workspace, keep_days=keep_days, keep_unapproved_days=keep_unapproved_days)

    async def list_with_retention(self) -> Sequence[Workspace]:
        limited = or_(
            workspaces.c.keep_days.is_not(None), workspaces.c.keep_unapproved_days.is_not(None)
        )
        rows = await self._connection.fetch_all(select(workspaces).where(limited), workspaces.c.id)
        return [_workspace(row) for row in rows]

    async def rename(self, workspace: WorkspaceId, name: str) -> None:
        await self._set(workspace, name=name)

    async def erase_part(
        self, workspace: WorkspaceId, *, first_table: int = 0, limit: int = 500
    ) -> int:
        self._connection.has_erased = True
        # Deletes rows that were added meanwhile to emptied tables before the last row.
        passes = (range(first_table, _LAST), range(_LAST), [_LAST])
        for number in itertools.chain(*passes):
            table = _ERASED[number]
            owner = workspaces.c.id if table is workspaces else table.c.workspace
            rows = among_first(table, owner == workspace, limit=limit)
            if await self._connection.execute_counting_rows(delete(table).where(rows)):
                return number
        return -1

    async def _set(self, workspace: WorkspaceId, **values: float | str | datetime | None) -> None:
        condition = workspaces.c.id == workspace
        await self._connection.execute(update(workspaces).where(condition).values(values))


def _workspace(row: Row[Any]) -> Workspace:
    caps = row.person_cap, row.workspace_cap, row.training_cap
    return Workspace(
        row.id,
        row.name,
        Sources(row.sources),
        *caps,
        Exclusion(row.allowed),
        row.is_allowed,
        row.removal_reported_at,
        row.closed_at,
        row.must_mask,
        row.keep_days,
        row.keep_unapproved_days,
    )
