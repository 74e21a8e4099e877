"""Questions that were answered badly or refused, as an evaluation asks its new model again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, literal_column, or_, select, update

from bot.domain import (
    AssistantId,
    CallState,
    EvaluationId,
    GapOutcome,
    GapQuestion,
    ModelName,
    UnansweredTurn,
    WorkspaceId,
)
from storage.answer_stats import has_taught_example
from storage.evaluation_tables import evaluation_gaps as gaps
from storage.evaluation_tables import evaluations, taught_turns
from storage.paid_runs import PaidCalls
from storage.tables import turns

_LIMIT = 500


class EvaluationGaps(PaidCalls[GapQuestion]):
    """Repository of gap questions; each is marked as asked before it is sent to a host."""

    _runs, _calls, _call = evaluations, gaps, GapQuestion

    async def list_by_model(
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
        rows = await self._connection.fetch_rows(newest, most=_LIMIT)
        return [UnansweredTurn(**row._asdict()) for row in rows]

    async def refresh_waiting_questions(
        self, workspace: WorkspaceId, evaluation: EvaluationId
    ) -> None:
        is_waiting = self._in_state(workspace, evaluation, CallState.WAITING)
        query = select(evaluations.c.model).where(evaluations.c.id == evaluation)
        asked_turns = (
            select(gaps.c.turn)
            .join(evaluations)
            .where(
                gaps.c.workspace == workspace,
                gaps.c.evaluation != evaluation,
                gaps.c.state.in_((CallState.ASKED, CallState.DONE)),
                evaluations.c.model == query.scalar_subquery(),
            )
        )
        is_over = or_(_IS_SET_ASIDE, gaps.c.turn.in_(asked_turns))
        await self._connection.execute(delete(gaps).where(is_waiting, is_over))
        is_taught = taught_turns.c.turn == gaps.c.turn, has_taught_example()
        lesson = select(taught_turns.c.example).where(*is_taught)
        statement = update(gaps).where(is_waiting).values(example=lesson.scalar_subquery())
        await self._connection.execute(statement)


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
