"""Questions that nobody answered well, as they are put to the new model of an evaluation."""

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

_MOST = 500


class EvaluationGaps(PaidCalls[GapQuestion]):
    """Each is written down as asked before a host hears of it."""

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
        asked = gaps.join(turns).join(evaluations)
        wanted = (
            select(*_ANSWERED)
            .select_from(asked)
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
        newest = wanted.order_by(evaluations.c.id.desc(), gaps.c.turn.desc())
        rows = await self._connection.rows(newest, most=_MOST)
        return [UnansweredTurn(**row._asdict()) for row in rows]


_IS_SET_ASIDE = exists().where(taught_turns.c.turn == gaps.c.turn, taught_turns.c.example.is_(None))
_ANSWERED: tuple[ColumnElement[Any], ...] = (
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
