"""Deployments: which model answers for an assistant now, and which models did before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, insert, select

from bot.domain import AssistantId, Deployment, HostName, ModelName, UserId, WorkspaceId
from bot.errors import NotFound
from storage.connection import Connection
from storage.tables import assistants, deployments


class Deployments:
    """Repository of every change of the answering model; the newest row is in force."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        *,
        model: ModelName,
        host: HostName,
        by: UserId,
        at: datetime,
        previous_model: ModelName | None,
        served_name: ModelName | None = None,
    ) -> Deployment:
        if not await self._connection.row_exists(assistants, workspace, assistant):
            raise NotFound(noun="assistant", name=assistant)
        values = {
            "workspace": workspace,
            "assistant": assistant,
            "model": model,
            "host": host,
            "by": by,
            "since": at,
            "previous_model": previous_model,
            "served_name": served_name,
        }
        statement = insert(deployments).values(values).returning(*deployments.c)
        return _deployment((await self._connection.execute(statement)).one())

    async def current(self, workspace: WorkspaceId, assistant: AssistantId) -> Deployment | None:
        newest = await self.history(workspace, assistant, limit=1)
        return newest[0] if newest else None

    async def history(
        self, workspace: WorkspaceId, assistant: AssistantId, *, limit: int = 20
    ) -> Sequence[Deployment]:
        rows = await self._connection.fetch_rows(
            select(deployments)
            .where(deployments.c.workspace == workspace, deployments.c.assistant == assistant)
            .order_by(deployments.c.id.desc()),
            most=limit,
        )
        return [_deployment(row) for row in rows]


def _deployment(row: Row[Any]) -> Deployment:
    return Deployment(**row._asdict())
