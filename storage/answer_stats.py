"""Statistics of answers: daily sums, and questions that were answered badly or refused."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect, and_, case, exists, func, or_, select

from bot.database_batches import batched
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
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection
from storage.evaluation_tables import taught_turns
from storage.tables import IS_ACTIVE, IS_COMPLETE_ANSWER, examples, turns, votes


class AnswerStats:
    """Repository of answer statistics, and of the questions that were taught or set aside since."""

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
        query = (
            select(
                day.label("day"),
                turns.c.model,
                turns.c.host,
                func.sum(case((IS_COMPLETE_ANSWER, 1), else_=0)).label("answered"),
                *(func.sum(value).label(name) for name, value in summed.items()),
            )
            .where(_answered(workspace, assistant, since))
            .group_by(day, turns.c.model, turns.c.host)
            .order_by(day, turns.c.model, turns.c.host)
        )
        rows = await self._connection.fetch_rows(query, most=limit)
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
        query = select(
            turns.c.id,
            turns.c.model,
            turns.c.channel,
            turns.c.thread,
            turns.c.question,
            turns.c.reply,
            turns.c.at,
            turns.c.is_refusal,
            dislikes.label("dislikes"),
            _taught_column("at").label("taught_at"),
            _taught_column("example").label("taught_by"),
        ).where(_answered(workspace, assistant, since), turns.c.question != "")
        query = query.where(_is_closed(has_taught_example()) if is_taught else ~_is_closed())
        if not is_taught:
            is_bad = or_(turns.c.is_refusal, dislikes > 0)
            query = query.where(is_bad if is_marked else IS_COMPLETE_ANSWER)
        if channel is not None:
            query = query.where(turns.c.channel == channel)
        newest = query.order_by(turns.c.at.desc(), turns.c.id.desc())
        rows = await self._connection.fetch_rows(newest, most=limit)
        return [UnansweredTurn(**row._asdict()) for row in rows]

    async def mark_taught_or_dismissed(
        self,
        workspace: WorkspaceId,
        numbers: Sequence[TurnId],
        example: ExampleId | None,
        *,
        at: datetime,
    ) -> None:
        if example is not None and not await self._connection.row_exists(
            examples, workspace, example
        ):
            return
        for part in batched(numbers, MAX_VALUES_PER_IN_LIST):
            query = select(turns.c.id).where(turns.c.workspace == workspace, turns.c.id.in_(part))
            existing = [row.id for row in await self._connection.fetch_rows(query, most=len(part))]
            if existing:
                insert = self._connection.insert(taught_turns).values(
                    [
                        {"workspace": workspace, "turn": turn, "example": example, "at": at}
                        for turn in existing
                    ]
                )
                changes = {"example": insert.excluded.example, "at": insert.excluded.at}
                await self._connection.execute(
                    insert.on_conflict_do_update(index_elements=["turn"], set_=changes)
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
    """Returns a subquery that counts the votes of this value on a turn."""
    condition = and_(votes.c.workspace == turns.c.workspace, votes.c.turn == turns.c.id)
    counted = select(func.count()).select_from(votes).where(condition, votes.c.value == value)
    return counted.correlate(turns).scalar_subquery()


def _is_closed(condition: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """Whether the turn has a row in `taught_turns` that meets `condition`.

    Without a condition, whether the turn was taught or set aside.
    """
    is_either = or_(taught_turns.c.example.is_(None), has_taught_example())
    return exists().where(_belongs_to_turn(), is_either if condition is None else condition)


def _belongs_to_turn() -> ColumnElement[bool]:
    return and_(taught_turns.c.workspace == turns.c.workspace, taught_turns.c.turn == turns.c.id)


def _taught_column(column: str) -> ScalarSelect[Any]:
    """Returns a column of `taught_turns`, or NULL unless its example is still in use."""
    taught = select(taught_turns.c[column]).where(_belongs_to_turn(), has_taught_example())
    return taught.correlate(turns).scalar_subquery()


def has_taught_example() -> ColumnElement[bool]:
    """Returns whether the example in `taught_turns` is still in use."""
    return exists().where(
        examples.c.workspace == taught_turns.c.workspace,
        examples.c.id == taught_turns.c.example,
        IS_ACTIVE,
    )
