"""Runs in which a model writes examples; each call is marked as asked before it is sent."""

from __future__ import annotations

from sqlalchemy import and_, select

from bot.domain import AssistantId, ExampleId, SyntheticCall, SyntheticRun, WorkspaceId
from storage.paid_runs import PaidRuns
from storage.synthetic_tables import synthetic_calls, synthetic_runs
from storage.tables import IS_ACTIVE, examples


class SyntheticRuns(PaidRuns[SyntheticRun, SyntheticCall]):
    """Repository of synthetic runs and their calls."""

    _runs, _calls, _noun = synthetic_runs, synthetic_calls, "run"
    _call, _kind = SyntheticCall, SyntheticRun

    async def sources_with_proposals(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> frozenset[ExampleId]:
        condition = and_(examples.c.workspace == workspace, examples.c.assistant == assistant)
        column = examples.c.derived_from
        query = select(column).distinct().where(condition, column.is_not(None), IS_ACTIVE)
        rows = await self._connection.fetch_all(query, column)
        return frozenset(ExampleId(row.derived_from) for row in rows)
