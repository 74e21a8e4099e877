"""What became of answers: sums by day, and the questions that nobody answered well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, case, exists, func, or_, select

from bot.batches import batched
from bot.domain import (
    AssistantId,
    ChannelId,
    DailyAnswers,
    ExampleId,
    TurnId,
    TurnState,
    UnansweredTurn,
    WorkspaceId,
)
from storage.connection import MANY, Connection
from storage.tables import IS_LIVING, IS_WHOLE, examples, turns, votes
from storage.teach_next_table import taught_turns


class AnswerStats:
    """Sums up turns and votes; keeps which questions were taught since."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def daily(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        *,
        since: datetime,
        limit: int = 1000,
    ) -> Sequence[DailyAnswers]:
        day = func.date(turns.c.at)
        summed = {
            "refused": case((turns.c.is_refusal, 1), else_=0),
            "liked": _votes(1),
            "disliked": _votes(-1),
            "prompt_tokens": func.coalesce(turns.c.prompt_tokens, 0),
            "completion_tokens": func.coalesce(turns.c.completion_tokens, 0),
        }
        wanted = (
            select(
                day.label("day"),
                turns.c.model,
                turns.c.host,
                func.sum(case((IS_WHOLE, 1), else_=0)).label("answered"),
                *(func.sum(value).label(name) for name, value in summed.items()),
            )
            .where(_answered(workspace, assistant, since))
            .group_by(day, turns.c.model, turns.c.host)
            .order_by(day, turns.c.model, turns.c.host)
        )
        rows = await self._connection.rows(wanted, most=limit)
        return [
            DailyAnswers(**{**row._asdict(), "day": date.fromisoformat(str(row.day))})
            for row in rows
        ]

    async def unanswered_turns(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        *,
        since: datetime,
        channel: ChannelId | None = None,
        is_marked: bool = True,
        is_taught: bool = False,
        limit: int = 500,
    ) -> Sequence[UnansweredTurn]:
        dislikes = _votes(-1)
        wanted = select(
            turns.c.id,
            turns.c.model,
            turns.c.channel,
            turns.c.thread,
            turns.c.question,
            turns.c.reply,
            turns.c.at,
            turns.c.is_refusal,
            dislikes.label("dislikes"),
            _of_lesson("at").label("taught_at"),
            _of_lesson("example").label("taught_by"),
        ).where(_answered(workspace, assistant, since), turns.c.question != "")
        wanted = wanted.where(_is_closed(_is_taught()) if is_taught else ~_is_closed())
        if not is_taught:
            is_bad = or_(turns.c.is_refusal, dislikes > 0)
            wanted = wanted.where(is_bad if is_marked else IS_WHOLE)
        if channel is not None:
            wanted = wanted.where(turns.c.channel == channel)
        newest = wanted.order_by(turns.c.at.desc(), turns.c.id.desc())
        rows = await self._connection.rows(newest, most=limit)
        return [UnansweredTurn(**row._asdict()) for row in rows]

    async def mark_resolved(
        self,
        workspace: WorkspaceId,
        numbers: Sequence[TurnId],
        example: ExampleId | None,
        *,
        at: datetime,
    ) -> None:
        if example is not None and not await self._connection.has(examples, workspace, example):
            return
        for part in batched(numbers, MANY):
            own = select(turns.c.id).where(turns.c.workspace == workspace, turns.c.id.in_(part))
            known = [row.id for row in await self._connection.rows(own, most=len(part))]
            if known:
                insert = self._connection.insert(taught_turns).values(
                    [
                        {"workspace": workspace, "turn": turn, "example": example, "at": at}
                        for turn in known
                    ]
                )
                said = {"example": insert.excluded.example, "at": insert.excluded.at}
                await self._connection.run(
                    insert.on_conflict_do_update(index_elements=["turn"], set_=said)
                )


def _answered(
    workspace: WorkspaceId, assistant: AssistantId, since: datetime
) -> ColumnElement[bool]:
    return and_(
        turns.c.workspace == workspace,
        turns.c.assistant == assistant,
        turns.c.at >= since,
        turns.c.state == TurnState.DONE,
    )


def _votes(value: int) -> ScalarSelect[int]:
    """How many gave this vote on a turn."""
    own = and_(votes.c.workspace == turns.c.workspace, votes.c.turn == turns.c.id)
    counted = select(func.count()).select_from(votes).where(own, votes.c.value == value)
    return counted.correlate(turns).scalar_subquery()


def _is_closed(how: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """Taught or set aside, or as is said."""
    is_either = or_(taught_turns.c.example.is_(None), _is_taught())
    return exists().where(_is_of_turn(), is_either if how is None else how)


def _is_of_turn() -> ColumnElement[bool]:
    return and_(taught_turns.c.workspace == turns.c.workspace, taught_turns.c.turn == turns.c.id)


def _of_lesson(column: str) -> ScalarSelect[Any]:
    """Of the lesson that answers a turn, as long as that is learned."""
    lesson = select(taught_turns.c[column]).where(_is_of_turn(), _is_taught())
    return lesson.correlate(turns).scalar_subquery()


def _is_taught() -> ColumnElement[bool]:
    return exists().where(
        examples.c.workspace == taught_turns.c.workspace,
        examples.c.id == taught_turns.c.example,
        IS_LIVING,
    )
