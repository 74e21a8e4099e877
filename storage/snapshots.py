"""Snapshots: the frozen list of rows that one job trains on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Select, and_, case, delete, exists, func, insert, not_, or_, select

from bot.database_batches import batched
from bot.domain import (
    AssistantId,
    ExampleId,
    Snapshot,
    SnapshotId,
    SnapshotRow,
    Split,
    WorkspaceId,
)
from bot.errors import NotFound
from bot.rows import Method
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection, foreign_key_as_not_found
from storage.tables import examples, jobs, revisions, snapshot_rows, snapshots
from storage.trainable_conditions import is_trainable, must_mask

# Private text is detected in current revisions only, so an earlier one counts as unknown.
_IN_FORCE = snapshot_rows.c.revision == examples.c.revision
_ROW_COLUMNS = ["workspace", "snapshot", "position", "example", "revision", "split", "sha256"]


class Snapshots:
    """Repository of snapshots; the text stays with the examples, where it can be erased."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def create(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        method: Method,
        *,
        training_rows: int,
        validation_rows: int,
        at: datetime,
    ) -> Snapshot:
        statement = insert(snapshots).values(
            workspace=workspace,
            assistant=assistant,
            method=method,
            training_rows=training_rows,
            validation_rows=validation_rows,
            created_at=at,
        )
        with foreign_key_as_not_found("assistant", assistant):
            number = (
                await self._connection.execute(statement.returning(snapshots.c.id))
            ).scalar_one()
        return await self.get(workspace, number)

    async def append_rows(
        self,
        workspace: WorkspaceId,
        snapshot: SnapshotId,
        rows: Sequence[SnapshotRow],
        *,
        first_position: int,
    ) -> None:
        values = [
            (workspace, snapshot, position, row.example, row.revision, row.split.value, row.sha256)
            for position, row in enumerate(rows, start=first_position)
        ]
        with foreign_key_as_not_found("example", "–"):
            await self._connection.insert_many(insert(snapshot_rows), _ROW_COLUMNS, values)

    async def get(self, workspace: WorkspaceId, snapshot: SnapshotId) -> Snapshot:
        condition = and_(snapshots.c.workspace == workspace, snapshots.c.id == snapshot)
        row = await self._connection.fetch_first(select(snapshots).where(condition))
        if row is None:
            raise NotFound(noun="snapshot", name=snapshot)
        return Snapshot(**row._asdict())

    async def rows(
        self, workspace: WorkspaceId, snapshot: SnapshotId, split: Split | None = None
    ) -> AsyncIterator[SnapshotRow]:
        query = _frozen_text(workspace, snapshot)
        if split is not None:
            query = query.where(snapshot_rows.c.split == split)
        async for row in self._connection.stream(query, snapshot_rows.c.position):
            yield SnapshotRow(row.example, row.revision, row.split, row.sha256, row.text)

    async def revisions(
        self, workspace: WorkspaceId, snapshot: SnapshotId
    ) -> Mapping[ExampleId, int]:
        condition = and_(
            snapshot_rows.c.workspace == workspace, snapshot_rows.c.snapshot == snapshot
        )
        query = select(snapshot_rows.c.position, snapshot_rows.c.example, snapshot_rows.c.revision)
        rows = self._connection.stream(query.where(condition), snapshot_rows.c.position)
        return {ExampleId(row.example): row.revision async for row in rows}

    async def count_untrainable_rows(self, workspace: WorkspaceId, snapshot: SnapshotId) -> int:
        text = _frozen_text(workspace, snapshot).selected_columns.text
        counted = (
            _frozen_text(workspace, snapshot)
            .with_only_columns(func.count())
            .where(or_(not_(is_trainable()), text.is_(None), and_(must_mask(), not_(_IN_FORCE))))
        )
        return int((await self._connection.execute(counted)).scalar_one())

    async def training_examples_among(
        self, workspace: WorkspaceId, snapshot: SnapshotId, examples: Sequence[ExampleId]
    ) -> frozenset[ExampleId]:
        training: set[ExampleId] = set()
        condition = and_(
            snapshot_rows.c.workspace == workspace,
            snapshot_rows.c.snapshot == snapshot,
            snapshot_rows.c.split == Split.TRAIN,
        )
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            query = select(snapshot_rows.c.example).where(
                condition, snapshot_rows.c.example.in_(part)
            )
            rows = await self._connection.fetch_all(query.distinct(), snapshot_rows.c.example)
            training.update(row.example for row in rows)
        return frozenset(training)

    async def delete_unused(self, at: datetime, *, limit: int = 500) -> int:
        is_used = exists().where(
            jobs.c.workspace == snapshots.c.workspace, jobs.c.snapshot == snapshots.c.id
        )
        old = select(snapshots.c.id).where(snapshots.c.created_at < at, ~is_used).limit(1)
        row = await self._connection.fetch_first(old)
        return 0 if row is None else await _forget(self._connection, row.id, limit)

    async def list_containing(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Sequence[SnapshotId]:
        holding: set[SnapshotId] = set()
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            condition = and_(
                snapshot_rows.c.workspace == workspace, snapshot_rows.c.example.in_(part)
            )
            statement = select(snapshot_rows.c.snapshot).distinct().where(condition)
            rows = await self._connection.fetch_all(statement, snapshot_rows.c.snapshot)
            holding.update(row.snapshot for row in rows)
        return sorted(holding)


async def _forget(connection: Connection, snapshot: SnapshotId, limit: int) -> int:
    condition = snapshot_rows.c.snapshot == snapshot
    positions = select(snapshot_rows.c.position).where(condition).limit(limit)
    rows = delete(snapshot_rows).where(condition, snapshot_rows.c.position.in_(positions))
    if deleted := await connection.execute_counting_rows(rows):
        return deleted
    return await connection.execute_counting_rows(
        delete(snapshots).where(snapshots.c.id == snapshot)
    )


def _frozen_text(workspace: WorkspaceId, snapshot: SnapshotId) -> Select[tuple[object, ...]]:
    """Returns a query of the rows of a snapshot with the text of their revision."""
    text = case((_IN_FORCE, examples.c.row), else_=revisions.c.row).label("text")
    example = and_(
        examples.c.workspace == snapshot_rows.c.workspace,
        examples.c.id == snapshot_rows.c.example,
    )
    earlier = and_(
        revisions.c.workspace == snapshot_rows.c.workspace,
        revisions.c.example == snapshot_rows.c.example,
        revisions.c.number == snapshot_rows.c.revision,
    )
    return (
        select(*snapshot_rows.c, text)
        .join_from(snapshot_rows, examples, example)
        .outerjoin(revisions, earlier)
        .where(
            snapshot_rows.c.workspace == workspace,
            snapshot_rows.c.snapshot == snapshot,
        )
    )
