"""Judgings: each pair of answers is written down as asked before a judge sees it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, delete, func, select, update

from bot.domain import (
    OPEN_EVALUATIONS,
    EvaluationState,
    JudgedPair,
    Judging,
    PairState,
    Preferred,
    WorkspaceId,
)
from bot.errors import NotFound
from storage.columns import all_columns_of, columns_of, fields_of
from storage.connection import Connection, foreign_key_as_not_found
from storage.judging_tables import judged_pairs, judgings
from storage.tables import CLOSED_WORKSPACES

_PAIR = [judged_pairs.c[name] for name in ("number", "is_swapped", "state", "preferred")]


class Judgings:
    """Keeps judgings; of one start there is never a second."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, judging: Judging) -> Judging:
        values = {"workspace": workspace, **all_columns_of(judging)}
        insert = self._connection.insert(judgings).values(values)
        with foreign_key_as_not_found("evaluation", judging.evaluation):
            await self._connection.run(insert.on_conflict_do_nothing(index_elements=["start"]))
        return await self._one(workspace, judgings.c.start == judging.start, judging.start)

    async def get(self, workspace: WorkspaceId, judging: int) -> Judging:
        return await self._one(workspace, judgings.c.id == judging, judging)

    async def change(
        self,
        workspace: WorkspaceId,
        judging: int,
        *,
        when: Sequence[EvaluationState],
        **changes: object,
    ) -> bool:
        own = and_(judgings.c.workspace == workspace, judgings.c.id == judging)
        statement = update(judgings).where(own, judgings.c.state.in_(when))
        statement = statement.values(columns_of(Judging, changes))
        return await self._connection.changed(statement) > 0

    async def decline(self, workspace: WorkspaceId, judging: int) -> bool:
        own = and_(judgings.c.workspace == workspace, judgings.c.id == judging)
        is_estimate = judgings.c.state == EvaluationState.ESTIMATED
        return await self._connection.changed(delete(judgings).where(own, is_estimate)) > 0

    async def open(self) -> Sequence[Judging]:
        is_open = (
            judgings.c.state.in_(OPEN_EVALUATIONS),
            judgings.c.workspace.not_in(CLOSED_WORKSPACES),
        )
        rows = await self._connection.every(select(judgings).where(*is_open), judgings.c.id)
        return [_judging(row) for row in rows]

    async def committed(self, workspace: WorkspaceId, *, since: datetime) -> float:
        total = select(func.coalesce(func.sum(judgings.c.price), 0.0)).where(
            judgings.c.workspace == workspace,
            judgings.c.created_at >= since,
            judgings.c.state != EvaluationState.ESTIMATED,
        )
        return float((await self._connection.run(total)).scalar_one())

    async def add_pairs(self, workspace: WorkspaceId, judging: int, numbers: Sequence[int]) -> None:
        if not numbers or not await self._connection.has(judgings, workspace, judging):
            return
        new = [
            {
                "workspace": workspace,
                "judging": judging,
                "number": number,
                "is_swapped": is_swapped,
                "state": PairState.WAITING,
                "preferred": None,
            }
            for number in numbers
            for is_swapped in (False, True)
        ]
        insert = self._connection.insert(judged_pairs).values(new)
        await self._connection.run(insert.on_conflict_do_nothing())

    async def claim(
        self, workspace: WorkspaceId, judging: int, *, limit: int
    ) -> Sequence[JudgedPair]:
        own = _own(workspace, judging), judged_pairs.c.state == PairState.WAITING
        order = judged_pairs.c.number, judged_pairs.c.is_swapped
        rows = await self._connection.rows(select(*_PAIR).where(*own).order_by(*order), most=limit)
        found = [JudgedPair(**row._asdict()) for row in rows]
        for pair in found:
            statement = update(judged_pairs).where(*own, _is(pair)).values(state=PairState.ASKED)
            await self._connection.run(statement)
        return found

    async def record_outcome(
        self,
        workspace: WorkspaceId,
        judging: int,
        pair: JudgedPair,
        state: PairState,
        preferred: Preferred | None = None,
    ) -> None:
        is_asked = judged_pairs.c.state == PairState.ASKED
        statement = update(judged_pairs).where(_own(workspace, judging), _is(pair), is_asked)
        await self._connection.run(statement.values(state=state, preferred=preferred))

    async def mark_outcome_unknown(self, workspace: WorkspaceId, judging: int) -> None:
        own = _own(workspace, judging), judged_pairs.c.state == PairState.ASKED
        await self._connection.run(update(judged_pairs).where(*own).values(state=PairState.LOST))

    async def pairs(self, workspace: WorkspaceId, judging: int) -> Sequence[JudgedPair]:
        wanted = select(*_PAIR).where(_own(workspace, judging))
        order = judged_pairs.c.number, judged_pairs.c.is_swapped
        return [JudgedPair(**row._asdict()) for row in await self._connection.every(wanted, *order)]

    async def _one(
        self, workspace: WorkspaceId, condition: ColumnElement[bool], name: object
    ) -> Judging:
        own = judgings.c.workspace == workspace, condition
        row = await self._connection.first(select(judgings).where(*own))
        if row is None:
            raise NotFound(noun="evaluation", name=name)
        return _judging(row)


def _own(workspace: WorkspaceId, judging: int) -> ColumnElement[bool]:
    return and_(judged_pairs.c.workspace == workspace, judged_pairs.c.judging == judging)


def _is(pair: JudgedPair) -> ColumnElement[bool]:
    return and_(
        judged_pairs.c.number == pair.number, judged_pairs.c.is_swapped.is_(pair.is_swapped)
    )


def _judging(row: Row[Any]) -> Judging:
    return Judging(**fields_of(row))
