"""Models: base models, and models that jobs made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, select, update

from bot.database_batches import batched
from bot.domain import (
    AssistantId,
    HostName,
    Model,
    ModelKind,
    ModelName,
    SnapshotId,
    WorkspaceId,
)
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection
from storage.tables import assistants, jobs, models


class Models:
    """Repository of models; deleted ones keep their row, so that lineages stay complete."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, model: Model) -> None:
        has_parents = await self._connection.row_exists(assistants, workspace, model.assistant)
        if has_parents and model.job is not None:
            has_parents = await self._connection.row_exists(jobs, workspace, model.job)
        if has_parents:
            values = {field.name: getattr(model, field.name) for field in fields(model)}
            insert = self._connection.insert(models).values({**values, "workspace": workspace})
            await self._connection.execute(insert.on_conflict_do_nothing())

    async def find(self, workspace: WorkspaceId, name: ModelName) -> Model | None:
        condition = and_(models.c.workspace == workspace, models.c.name == name)
        row = await self._connection.fetch_first(select(models).where(condition))
        return None if row is None else _model(row)

    async def all(self, workspace: WorkspaceId, assistant: AssistantId) -> Sequence[Model]:
        conditions = models.c.workspace == workspace, models.c.assistant == assistant
        return (await self._list_where(*conditions))[::-1]

    async def list_of_workspaces(self, workspaces: Sequence[WorkspaceId]) -> Sequence[Model]:
        return await self._list_where(models.c.workspace.in_(workspaces))

    async def list_tainted(self, host: HostName) -> Sequence[Model]:
        is_tainted = models.c.host == host, models.c.is_tainted
        return await self._list_where(*is_tainted, models.c.kind != ModelKind.BASE)

    async def mark_tainted(self, workspace: WorkspaceId, snapshots: Sequence[SnapshotId]) -> int:
        """Marks models trained on these snapshots as tainted, and all models trained from them."""
        condition = models.c.workspace == workspace
        trained_by = select(jobs.c.id).where(
            jobs.c.workspace == workspace, jobs.c.snapshot.in_(snapshots)
        )
        lineage = (
            select(models.c.name).where(condition, models.c.job.in_(trained_by)).cte(recursive=True)
        )
        child = models.alias("child")
        descendants = select(child.c.name).where(
            child.c.workspace == workspace, child.c.parent == lineage.c.name
        )
        family = lineage.union(descendants)
        names = [
            row.name
            for row in await self._connection.fetch_all(select(family.c.name), family.c.name)
        ]
        changed = 0
        for part in batched(names, MAX_VALUES_PER_IN_LIST):
            is_clean = and_(condition, models.c.name.in_(part), models.c.is_tainted.is_(False))
            statement = update(models).where(is_clean).values(is_tainted=True)
            changed += await self._connection.execute_counting_rows(statement)
        return changed

    async def set_expiry_dates(self, dates: Mapping[tuple[WorkspaceId, ModelName], str]) -> None:
        if not dates:
            return
        condition = and_(
            models.c.workspace == bindparam("workspace_id"),
            models.c.name == bindparam("model_name"),
        )
        statement = update(models).where(condition).values(expires_on=bindparam("day"))
        rows = [
            {"workspace_id": workspace, "model_name": name, "day": day}
            for (workspace, name), day in dates.items()
        ]
        await self._connection.execute_for_each(statement, rows)

    async def set_served_name(
        self, workspace: WorkspaceId, name: ModelName, served_name: ModelName | None
    ) -> None:
        condition = and_(models.c.workspace == workspace, models.c.name == name)
        await self._connection.execute(
            update(models).where(condition).values(served_name=served_name)
        )

    async def set_label_and_note(
        self, workspace: WorkspaceId, name: ModelName, *, label: str, note: str | None
    ) -> None:
        condition = and_(models.c.workspace == workspace, models.c.name == name)
        await self._connection.execute(
            update(models).where(condition).values(label=label, note=note)
        )

    async def mark_deleted(self, workspace: WorkspaceId, name: ModelName) -> None:
        condition = and_(models.c.workspace == workspace, models.c.name == name)
        await self._connection.execute(update(models).where(condition).values(is_deleted=True))

    async def unmark_deleted(self, workspace: WorkspaceId, name: ModelName) -> None:
        condition = and_(models.c.workspace == workspace, models.c.name == name)
        await self._connection.execute(update(models).where(condition).values(is_deleted=False))

    async def _list_where(self, *conditions: ColumnElement[bool]) -> Sequence[Model]:
        """Returns the models that are not deleted, oldest first."""
        query = select(models).where(*conditions, models.c.is_deleted.is_(False))
        return [_model(row) for row in await self._connection.fetch_all(query, models.c.id)]


def _model(row: Row[Any]) -> Model:
    return Model(**{name: value for name, value in row._asdict().items() if name != "id"})
