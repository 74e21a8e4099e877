"""Canaries: models that answer, or answered, a share of the questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, select, update

from bot.domain import AssistantId, Canary, CanaryId, CanaryState, WorkspaceId
from bot.errors import NotFound
from storage.column_types import changed_columns, column_values, row_fields
from storage.connection import Connection, foreign_key_as_not_found
from storage.evaluation_tables import canaries
from storage.tables import CLOSED_WORKSPACES

_IS_RUNNING = canaries.c.state == CanaryState.RUNNING


class Canaries:
    """Repository of canaries, which are unique by idempotency key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, canary: Canary) -> Canary:
        values = {**column_values(canary), "workspace": workspace}
        insert = self._connection.insert(canaries).values(values)
        with foreign_key_as_not_found("assistant", canary.assistant):
            await self._connection.execute(
                insert.on_conflict_do_nothing(index_elements=["idempotency_key"])
            )
        return await self._get_where(
            workspace, canaries.c.idempotency_key == canary.idempotency_key, canary.idempotency_key
        )

    async def get(self, workspace: WorkspaceId, canary: CanaryId) -> Canary:
        return await self._get_where(workspace, canaries.c.id == canary, canary)

    async def find_running(self, workspace: WorkspaceId, assistant: AssistantId) -> Canary | None:
        conditions = canaries.c.workspace == workspace, canaries.c.assistant == assistant
        row = await self._connection.fetch_first(select(canaries).where(*conditions, _IS_RUNNING))
        return None if row is None else _canary(row)

    async def list_running(self) -> Sequence[Canary]:
        query = select(canaries).where(_IS_RUNNING, canaries.c.workspace.not_in(CLOSED_WORKSPACES))
        return [_canary(row) for row in await self._connection.fetch_all(query, canaries.c.id)]

    async def update_if_running(
        self, workspace: WorkspaceId, canary: CanaryId, **changes: object
    ) -> bool:
        condition = and_(canaries.c.workspace == workspace, canaries.c.id == canary, _IS_RUNNING)
        values = changed_columns(Canary, changes)
        return (
            await self._connection.execute_counting_rows(
                update(canaries).where(condition).values(values)
            )
            > 0
        )

    async def count_failure(self, workspace: WorkspaceId, canary: CanaryId) -> None:
        condition = and_(canaries.c.workspace == workspace, canaries.c.id == canary, _IS_RUNNING)
        values = {"failures": canaries.c.failures + 1}
        await self._connection.execute(update(canaries).where(condition).values(values))

    async def history(
        self, workspace: WorkspaceId, assistant: AssistantId, *, limit: int = 20
    ) -> Sequence[Canary]:
        conditions = canaries.c.workspace == workspace, canaries.c.assistant == assistant
        newest = select(canaries).where(*conditions).order_by(canaries.c.id.desc())
        return [_canary(row) for row in await self._connection.fetch_rows(newest, most=limit)]

    async def _get_where(
        self, workspace: WorkspaceId, condition: ColumnElement[bool], name: object
    ) -> Canary:
        is_match = and_(canaries.c.workspace == workspace, condition)
        row = await self._connection.fetch_first(select(canaries).where(is_match))
        if row is None:
            raise NotFound(noun="canary", name=name)
        return _canary(row)


def _canary(row: Row[Any]) -> Canary:
    return Canary(**row_fields(row))
