"""Runs of paid calls: each call is marked as asked before it is sent to the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Row,
    Table,
    and_,
    delete,
    false,
    func,
    or_,
    select,
    update,
)

from bot.domain import (
    OPEN_EVALUATION_STATES,
    CallState,
    Evaluation,
    EvaluationState,
    GapQuestion,
    JudgedPair,
    Judging,
    SyntheticCall,
    SyntheticRun,
    WorkspaceId,
)
from bot.errors import NotFound
from storage.column_types import changed_columns, column_values, row_fields
from storage.connection import Connection, PagedQuery, foreign_key_as_not_found
from storage.tables import CLOSED_WORKSPACES

R = TypeVar("R", Evaluation, Judging, SyntheticRun)
C = TypeVar("C", GapQuestion, JudgedPair, SyntheticCall)


class Runs(Generic[R]):
    """Repository of runs, which are unique by idempotency key."""

    _runs: Table
    _kind: type[R]
    _noun: str
    """The noun in the NotFound error."""
    _parts: Sequence[Table]
    """Tables deleted with an estimate; the run is the first column of their primary keys."""
    _open_runs: PagedQuery

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "_runs"):
            runs = cls._runs.c
            is_open = (
                runs.state.in_(OPEN_EVALUATION_STATES),
                runs.workspace.not_in(CLOSED_WORKSPACES),
            )
            cls._open_runs = PagedQuery(select(cls._runs).where(*is_open), runs.id)

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection = connection

    async def _add(self, workspace: WorkspaceId, run: R) -> tuple[R, bool]:
        """Returns the run with this idempotency key and whether it is new."""
        values = {"workspace": workspace, **column_values(run)}
        insert = self._connection.insert(self._runs).values(values)
        with foreign_key_as_not_found(self._noun, run.idempotency_key):
            is_new = await self._connection.execute_counting_rows(
                insert.on_conflict_do_nothing(index_elements=["idempotency_key"])
            )
        key = self._runs.c.idempotency_key == run.idempotency_key
        return await self._get_where(workspace, key, run.idempotency_key), is_new > 0

    async def get(self, workspace: WorkspaceId, run: int) -> R:
        return await self._get_where(workspace, self._runs.c.id == run, run)

    async def update_if(
        self,
        workspace: WorkspaceId,
        run: int,
        *,
        when: Sequence[EvaluationState],
        **changes: object,
    ) -> bool:
        condition = self._is_run(workspace, run)
        statement = update(self._runs).where(condition, self._runs.c.state.in_(when))
        statement = statement.values(changed_columns(self._kind, changes))
        return await self._connection.execute_counting_rows(statement) > 0

    async def delete_estimate(self, workspace: WorkspaceId, run: int) -> bool:
        return await self._delete_estimates(self._is_run(workspace, run), limit=1) > 0

    async def delete_old_estimates(self, at: datetime, *, limit: int = 500) -> int:
        is_old = self._runs.c.created_at < at
        return await self._delete_estimates(is_old, ~self._is_awaited(), limit=limit)

    def _is_awaited(self) -> ColumnElement[bool]:
        """Whether an estimate is still needed, however old the estimate is."""
        return false()

    def _is_committed(self) -> ColumnElement[bool]:
        """Whether an estimate will be confirmed without a further question."""
        return false()

    async def _delete_estimates(self, *conditions: ColumnElement[bool], limit: int) -> int:
        is_estimate = self._runs.c.state == EvaluationState.ESTIMATED
        query = select(self._runs.c.id).where(is_estimate, *conditions)
        numbers = [row.id for row in await self._connection.fetch_rows(query, most=limit)]
        for table in self._parts:
            run = table.primary_key.columns[0]
            await self._connection.execute(delete(table).where(run.in_(numbers)))
        statement = delete(self._runs).where(self._runs.c.id.in_(numbers))
        return await self._connection.execute_counting_rows(statement)

    async def list_open(self) -> Sequence[R]:
        return [self._run_of(row) for row in await self._connection.fetch_pages(self._open_runs)]

    async def committed_cost(self, workspace: WorkspaceId, *, since: datetime) -> float:
        is_estimate = self._runs.c.state == EvaluationState.ESTIMATED
        is_confirmed = and_(self._runs.c.created_at >= since, ~is_estimate)
        total = select(func.coalesce(func.sum(self._runs.c.price), 0.0)).where(
            self._runs.c.workspace == workspace, or_(is_confirmed, self._is_committed())
        )
        return float((await self._connection.execute(total)).scalar_one())

    async def _get_where(
        self, workspace: WorkspaceId, condition: ColumnElement[bool], name: object
    ) -> R:
        conditions = self._runs.c.workspace == workspace, condition
        row = await self._connection.fetch_first(select(self._runs).where(*conditions))
        if row is None:
            raise NotFound(noun=self._noun, name=name)
        return self._run_of(row)

    def _is_run(self, workspace: WorkspaceId, run: int) -> ColumnElement[bool]:
        return and_(self._runs.c.workspace == workspace, self._runs.c.id == run)

    def _run_of(self, row: Row[Any]) -> R:
        values = row_fields(row)
        lists = {name: tuple(v) for name, v in values.items() if isinstance(v, list)}
        return self._kind(**{**values, **lists})


class PaidCalls(Generic[C]):
    """Repository of the calls of runs.

    The first column of the primary key names the run; the other columns identify the call within
    it.
    """

    _runs: Table
    _calls: Table
    _call: Callable[..., C]

    _run: Column[int]
    _key: Sequence[Column[Any]]
    _fields: Sequence[Column[Any]]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if hasattr(cls, "_calls"):
            cls._run, *cls._key = cls._calls.primary_key.columns
            cls._fields = [c for c in cls._calls.c if c.name not in ("workspace", cls._run.name)]

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection = connection

    async def add_calls(self, workspace: WorkspaceId, run: int, calls: Sequence[C]) -> None:
        if not calls or not await self._connection.row_exists(self._runs, workspace, run):
            return
        rows = [{"workspace": workspace, self._run.name: run, **_values(call)} for call in calls]
        insert = self._connection.insert(self._calls).on_conflict_do_nothing()
        await self._connection.execute_for_each(insert, rows)

    async def claim_waiting(self, workspace: WorkspaceId, run: int, *, limit: int) -> Sequence[C]:
        is_waiting = self._in_state(workspace, run, CallState.WAITING)
        query = select(*self._fields).where(is_waiting).order_by(*self._key)
        calls = [self._call_of(row) for row in await self._connection.fetch_rows(query, most=limit)]
        for call in calls:
            statement = update(self._calls).where(is_waiting, self._is_call(call))
            await self._connection.execute(statement.values(state=CallState.ASKED))
        return calls

    async def record_outcome(self, workspace: WorkspaceId, run: int, call: C) -> None:
        is_asked = self._in_state(workspace, run, CallState.ASKED)
        names = {column.name for column in self._key}
        outcome = {name: value for name, value in _values(call).items() if name not in names}
        await self._connection.execute(
            update(self._calls).where(is_asked, self._is_call(call)).values(outcome)
        )

    async def mark_outcome_unknown(self, workspace: WorkspaceId, run: int) -> None:
        is_asked = self._in_state(workspace, run, CallState.ASKED)
        await self._connection.execute(
            update(self._calls).where(is_asked).values(state=CallState.LOST)
        )

    async def count_by_state(self, workspace: WorkspaceId, run: int) -> Mapping[CallState, int]:
        state = self._calls.c.state
        counted = select(state, func.count().label("calls")).where(self._belongs_to(workspace, run))
        rows = await self._connection.fetch_all(counted.group_by(state), state)
        return {row.state: row.calls for row in rows}

    async def calls(self, workspace: WorkspaceId, run: int) -> Sequence[C]:
        query = select(*self._fields).where(self._belongs_to(workspace, run))
        return [self._call_of(row) for row in await self._connection.fetch_all(query, *self._key)]

    def _belongs_to(self, workspace: WorkspaceId, run: int) -> ColumnElement[bool]:
        return and_(self._calls.c.workspace == workspace, self._run == run)

    def _in_state(self, workspace: WorkspaceId, run: int, state: CallState) -> ColumnElement[bool]:
        return and_(self._belongs_to(workspace, run), self._calls.c.state == state)

    def _is_call(self, call: C) -> ColumnElement[bool]:
        return and_(*(column == getattr(call, column.name) for column in self._key))

    def _call_of(self, row: Row[Any]) -> C:
        return type(self)._call(**row._asdict())


class PaidRuns(Runs[R], PaidCalls[C], Generic[R, C]):
    """Repository of runs at one host, and of their calls."""

    def __init__(self, connection: Connection) -> None:
        PaidCalls.__init__(self, connection)
        self._parts = (self._calls,)

    async def add(self, workspace: WorkspaceId, run: R, calls: Sequence[C] = ()) -> R:
        stored, is_new = await self._add(workspace, run)
        if is_new:
            await self.add_calls(workspace, stored.id, calls)
        return stored


def _values(call: GapQuestion | JudgedPair | SyntheticCall) -> dict[str, object]:
    return {field.name: getattr(call, field.name) for field in fields(call)}
