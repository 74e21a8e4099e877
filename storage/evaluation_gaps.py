"""Questions that were answered badly or refused, as an evaluation asks its new model again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, literal_column, select

from bot.domain import (
    AssistantId,
    GapOutcome,
    GapQuestion,
    ModelName,
    UnansweredTurn,
    WorkspaceId,
)
from storage.evaluation_tables import evaluations
from storage.paid_runs import PaidCalls
from storage.tables import turns
from storage.teach_next_table import evaluation_gaps as gaps
from storage.teach_next_table import taught_turns

_LIMIT = 500


class EvaluationGaps(PaidCalls[GapQuestion]):
    """Repository of gap questions; each is marked as asked before it is sent to a host."""

    _runs, _calls, _call = evaluations, gaps, GapQuestion

    async def of_model(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        model: ModelName,
        *,
        since: datetime,
        outcomes: Sequence[GapOutcome] = (GapOutcome.ANSWERED, GapOutcome.DECLINED),
    ) -> Sequence[UnansweredTurn]:
        joined = gaps.join(turns).join(evaluations)
        query = (
            select(*_UNANSWERED_TURN_COLUMNS)
            .select_from(joined)
            .where(
                gaps.c.workspace == workspace,
                evaluations.c.assistant == assistant,
                evaluations.c.model == model,
                evaluations.c.finished_at >= since,
                gaps.c.outcome.in_(outcomes),
                turns.c.question != "",
                ~_IS_SET_ASIDE,
            )
        )
        newest = query.order_by(evaluations.c.id.desc(), gaps.c.turn.desc())
        rows = await self._connection.rows(newest, most=_LIMIT)
        return [UnansweredTurn(**row._asdict()) for row in rows]


_IS_SET_ASIDE = exists().where(taught_turns.c.turn == gaps.c.turn, taught_turns.c.example.is_(None))
_UNANSWERED_TURN_COLUMNS: tuple[ColumnElement[Any], ...] = (
    gaps.c.turn.label("id"),
    evaluations.c.model,
    turns.c.channel,
    turns.c.thread,
    turns.c.question,
    gaps.c.answer.label("reply"),
    evaluations.c.finished_at.label("at"),
    (gaps.c.outcome == GapOutcome.DECLINED).label("is_refusal"),
    literal_column("0").label("dislikes"),
)
