"""Training jobs: each start, its events and metrics as the host reports them, its checkpoints."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Table,
    and_,
    bindparam,
    delete,
    func,
    not_,
    or_,
    select,
    update,
)

from bot.database_batches import batched
from bot.domain import (
    OPEN_PHASES,
    PHASES_BEFORE_HOST_JOB,
    AssistantId,
    Checkpoint,
    HostName,
    Job,
    JobEvent,
    JobId,
    ModelName,
    Phase,
    RequestedAction,
    SnapshotId,
    StepMetrics,
    UserId,
    WorkspaceId,
)
from bot.errors import NotFound
from bot.rows import Method
from storage.column_types import changed_columns, column_values, row_fields
from storage.connection import (
    MAX_VALUES_PER_IN_LIST,
    Connection,
    PagedQuery,
    foreign_key_as_not_found,
)
from storage.tables import (
    CLOSED_WORKSPACES,
    checkpoints,
    job_events,
    job_metrics,
    job_pings,
    jobs,
)

# Estimates get random ids of a range of their own, so that the short ids count confirmed jobs only,
# and the card of a deleted estimate can never confirm another one.
_FIRST_ESTIMATE = 2**30
_GET = (
    select(jobs)
    .where(jobs.c.workspace == bindparam("workspace"), jobs.c.id == bindparam("job"))
    .limit(1)
)
# While a workspace is closed, jobs that the host has not begun stay on hold. Others go on,
# so that a workspace that is reopened has lost nothing that was paid for.
_IS_HELD = and_(jobs.c.phase.in_(PHASES_BEFORE_HOST_JOB), jobs.c.workspace.in_(CLOSED_WORKSPACES))
_OPEN = PagedQuery(select(jobs).where(jobs.c.phase.in_(OPEN_PHASES), not_(_IS_HELD)), jobs.c.id)
_EXPIRING = PagedQuery(
    select(jobs).where(jobs.c.requested_action == RequestedAction.FORGET), jobs.c.id
)
# An unconfirmed estimate may have been cancelled by the user, or have expired.
_UNCONFIRMED = (Phase.ESTIMATED, Phase.CANCELLED, Phase.ABANDONED)


class Jobs:
    """Repository of jobs, which are unique by idempotency key."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, workspace: WorkspaceId, job: Job) -> Job:
        number = _estimate_id() if job.phase is Phase.ESTIMATED else await self._next_number()
        values = {"id": number, "workspace": workspace, **column_values(job)}
        statement = self._connection.insert(jobs).values(values)
        with foreign_key_as_not_found("snapshot", job.snapshot):
            await self._connection.execute(
                statement.on_conflict_do_nothing(index_elements=["idempotency_key"])
            )
        condition = jobs.c.workspace == workspace, jobs.c.idempotency_key == job.idempotency_key
        row = await self._connection.fetch_first(select(jobs).where(*condition))
        return _found(row, job.idempotency_key)

    async def confirm(self, workspace: WorkspaceId, job: JobId, *, at: datetime) -> Job | None:
        number = job if job < _FIRST_ESTIMATE else await self._next_number()
        condition = and_(jobs.c.workspace == workspace, jobs.c.id == job)
        values = {"id": number, "phase": Phase.CONFIRMED, "confirmed_at": at}
        statement = update(jobs).where(condition, jobs.c.phase == Phase.ESTIMATED).values(values)
        if not await self._connection.execute_counting_rows(statement):
            return None
        return await self.get(workspace, number)

    async def decline(self, workspace: WorkspaceId, job: JobId) -> bool:
        condition = and_(jobs.c.workspace == workspace, jobs.c.id == job)
        statement = delete(jobs).where(condition, jobs.c.phase == Phase.ESTIMATED)
        return await self._connection.execute_counting_rows(statement) > 0

    async def get(self, workspace: WorkspaceId, job: JobId) -> Job:
        row = await self._connection.fetch_first(_GET, workspace=workspace, job=job)
        return _found(row, job)

    async def update_if(
        self,
        workspace: WorkspaceId,
        job: JobId,
        *,
        when: Sequence[Phase] | None = None,
        **changes: object,
    ) -> bool:
        condition = and_(jobs.c.workspace == workspace, jobs.c.id == job)
        if when is not None:
            condition = and_(condition, jobs.c.phase.in_(when))
        if not changes:
            return (
                await self._connection.fetch_first(select(jobs.c.id).where(condition)) is not None
            )
        statement = update(jobs).where(condition).values(changed_columns(Job, changes))
        return await self._connection.execute_counting_rows(statement) > 0

    async def page(
        self,
        workspace: WorkspaceId,
        *,
        assistant: AssistantId | None = None,
        before: JobId | None = None,
        limit: int = 10,
    ) -> Sequence[Job]:
        is_listed = or_(jobs.c.confirmed_at.is_not(None), jobs.c.phase.not_in(_UNCONFIRMED))
        statement = select(jobs).where(jobs.c.workspace == workspace, is_listed)
        if assistant is not None:
            statement = statement.where(jobs.c.assistant == assistant)
        if before is not None:
            statement = statement.where(jobs.c.id < before)
        newest = statement.order_by(jobs.c.id.desc())
        return [_job(row) for row in await self._connection.fetch_rows(newest, most=limit)]

    async def newest_success(
        self, workspace: WorkspaceId, assistant: AssistantId, *, method: Method | None = None
    ) -> Job | None:
        condition = and_(jobs.c.workspace == workspace, jobs.c.assistant == assistant)
        query = select(jobs).where(condition, jobs.c.phase == Phase.SUCCEEDED)
        if method is not None:
            query = query.where(jobs.c.method == method)
        rows = await self._connection.fetch_rows(query.order_by(jobs.c.id.desc()), most=1)
        return _job(rows[0]) if rows else None

    async def list_open(self) -> Sequence[Job]:
        return [_job(row) for row in await self._connection.fetch_pages(_OPEN)]

    async def list_open_in_workspace(self, workspace: WorkspaceId) -> Sequence[Job]:
        return await self._list_where(
            and_(jobs.c.workspace == workspace, jobs.c.phase.in_(OPEN_PHASES))
        )

    async def count_open(self) -> int:
        counted = select(func.count()).select_from(jobs).where(jobs.c.phase.in_(OPEN_PHASES))
        return int((await self._connection.execute(counted)).scalar_one())

    async def get_many(self, ids: Sequence[JobId]) -> Sequence[Job]:
        listed: list[Job] = []
        for part in batched(ids, MAX_VALUES_PER_IN_LIST):
            listed += await self._list_where(jobs.c.id.in_(part))
        return listed

    async def request_file_deletion(
        self, workspace: WorkspaceId, snapshots: Sequence[SnapshotId], *, at: datetime
    ) -> None:
        final = [phase for phase in Phase if phase.is_over]
        condition = and_(jobs.c.workspace == workspace, jobs.c.snapshot.in_(snapshots))
        statement = update(jobs).where(condition, jobs.c.phase.in_(final))
        await self._connection.execute(
            statement.values(requested_action=RequestedAction.FORGET, next_poll_at=at)
        )

    async def list_awaiting_file_deletion(self) -> Sequence[Job]:
        return [_job(row) for row in await self._connection.fetch_pages(_EXPIRING)]

    async def postpone_poll(
        self, numbers: Sequence[JobId], *, requested_action: RequestedAction | None, until: datetime
    ) -> None:
        is_same = (
            jobs.c.requested_action.is_(None)
            if requested_action is None
            else jobs.c.requested_action == requested_action
        )
        for part in batched(numbers, MAX_VALUES_PER_IN_LIST):
            statement = update(jobs).where(jobs.c.id.in_(part), is_same).values(next_poll_at=until)
            await self._connection.execute(statement)

    async def add_events(
        self, workspace: WorkspaceId, job: JobId, events: Iterable[JobEvent]
    ) -> int:
        known_ids = await self.event_ids(workspace, job)
        new = {event.id: event for event in events if event.id not in known_ids}
        if not new or not await self._connection.row_exists(jobs, workspace, job):
            return 0
        ordered = sorted(new.values(), key=lambda event: event.at)
        insert = self._connection.insert(job_events).values(
            [_event_values(workspace, job, event) for event in ordered]
        )
        await self._connection.execute(insert.on_conflict_do_nothing())
        for event in ordered:
            if event.step is not None and event.metrics:
                values = {"event": event.id, "metrics": event.metrics}
                await self._upsert_step(job_metrics, workspace, job, event.step, values)
        return len(new)

    async def events(
        self, workspace: WorkspaceId, job: JobId, *, last: int = 500
    ) -> Sequence[JobEvent]:
        is_same_event = and_(
            job_metrics.c.job == job_events.c.job, job_metrics.c.event == job_events.c.id
        )
        rows = await self._connection.fetch_rows(
            select(*_EVENT_COLUMNS, job_metrics.c.metrics)
            .outerjoin_from(job_events, job_metrics, is_same_event)
            .where(job_events.c.workspace == workspace, job_events.c.job == job)
            .order_by(job_events.c.at.desc(), job_events.c.number.desc()),
            most=last,
        )
        return [_event(row) for row in reversed(rows)]

    async def event_ids(self, workspace: WorkspaceId, job: JobId) -> frozenset[str]:
        condition = and_(job_events.c.workspace == workspace, job_events.c.job == job)
        rows = await self._connection.fetch_all(
            select(job_events.c.id).where(condition), job_events.c.id
        )
        return frozenset(row.id for row in rows)

    async def add_metrics(
        self, workspace: WorkspaceId, job: JobId, measures: Iterable[StepMetrics]
    ) -> None:
        if not await self._connection.row_exists(jobs, workspace, job):
            return
        stored = {metrics.step: metrics.values for metrics in await self.metrics(workspace, job)}
        for measure in measures:
            merged = {**stored.get(measure.step, {}), **measure.values}
            values = {"metrics": merged}
            await self._upsert_step(job_metrics, workspace, job, measure.step, values, event="")

    async def metrics(self, workspace: WorkspaceId, job: JobId) -> Sequence[StepMetrics]:
        condition = and_(job_metrics.c.workspace == workspace, job_metrics.c.job == job)
        statement = select(job_metrics.c.step, job_metrics.c.metrics).where(condition)
        rows = await self._connection.fetch_all(statement, job_metrics.c.step)
        return [StepMetrics(row.step, row.metrics) for row in rows]

    async def add_checkpoints(
        self, workspace: WorkspaceId, job: JobId, new: Iterable[Checkpoint]
    ) -> None:
        if await self._connection.row_exists(jobs, workspace, job):
            for checkpoint in new:
                values = {"model": checkpoint.model, "metrics": checkpoint.metrics}
                await self._upsert_step(checkpoints, workspace, job, checkpoint.step, values)

    async def checkpoints(self, workspace: WorkspaceId, job: JobId) -> Sequence[Checkpoint]:
        condition = and_(checkpoints.c.workspace == workspace, checkpoints.c.job == job)
        rows = await self._connection.fetch_all(
            select(checkpoints).where(condition), checkpoints.c.step
        )
        return [Checkpoint(row.step, row.model, row.metrics) for row in rows]

    async def set_ping(self, workspace: WorkspaceId, job: JobId, user: UserId, *, on: bool) -> None:
        await self.get(workspace, job)
        if on:
            row = {"workspace": workspace, "job": job, "user": user}
            added = self._connection.insert(job_pings).values(row)
            await self._connection.execute(added.on_conflict_do_nothing())
            return
        condition = and_(job_pings.c.workspace == workspace, job_pings.c.job == job)
        await self._connection.execute(delete(job_pings).where(condition, job_pings.c.user == user))

    async def users_to_ping(self, workspace: WorkspaceId, job: JobId) -> Sequence[UserId]:
        condition = and_(job_pings.c.workspace == workspace, job_pings.c.job == job)
        query = select(job_pings.c.user).where(condition)
        return [row.user for row in await self._connection.fetch_all(query, job_pings.c.user)]

    async def committed_cost(self, workspace: WorkspaceId, *, since: datetime) -> float:
        counts = or_(jobs.c.host_job.is_not(None), jobs.c.phase.in_(OPEN_PHASES))
        conditions = jobs.c.workspace == workspace, jobs.c.confirmed_at >= since
        query = select(jobs.c.id, jobs.c.estimate).where(*conditions, counts)
        rows = await self._connection.fetch_all(query, jobs.c.id)
        return float(sum(row.estimate.price or 0.0 for row in rows))

    async def past_durations(self, host: HostName, base: ModelName) -> Sequence[tuple[int, float]]:
        rows = await self._connection.fetch_rows(
            select(jobs.c.trained_tokens, jobs.c.running_at, jobs.c.finished_at)
            .where(jobs.c.phase == Phase.SUCCEEDED, jobs.c.host == host, jobs.c.base == base)
            .where(jobs.c.trained_tokens.is_not(None), jobs.c.running_at.is_not(None))
            .where(jobs.c.finished_at.is_not(None))
            .order_by(jobs.c.finished_at.desc(), jobs.c.id.desc()),
            most=20,
        )
        return [
            (row.trained_tokens, (row.finished_at - row.running_at).total_seconds()) for row in rows
        ]

    async def _next_number(self) -> JobId:
        highest = select(func.max(jobs.c.id)).where(jobs.c.id < _FIRST_ESTIMATE)
        return JobId(int((await self._connection.execute(highest)).scalar() or 0) + 1)

    async def _list_where(self, condition: ColumnElement[bool]) -> Sequence[Job]:
        rows = await self._connection.fetch_all(select(jobs).where(condition), jobs.c.id)
        return [_job(row) for row in rows]

    async def _upsert_step(
        self,
        table: Table,
        workspace: WorkspaceId,
        job: JobId,
        step: int,
        values: Mapping[str, object],
        **new_only: object,
    ) -> None:
        """Inserts the row of a step with `new_only` and `values`, or updates it with `values`."""
        row = {"workspace": workspace, "job": job, "step": step, **new_only, **values}
        insert = self._connection.insert(table).values(row)
        await self._connection.execute(
            insert.on_conflict_do_update(index_elements=["job", "step"], set_=values)
        )


_EVENT_COLUMNS = [
    column for column in job_events.c if column.name not in ("number", "workspace", "job")
]


def _estimate_id() -> JobId:
    return JobId(_FIRST_ESTIMATE + secrets.randbelow(_FIRST_ESTIMATE))


def _found(row: Row[Any] | None, name: object) -> Job:
    if row is None:
        raise NotFound(noun="job", name=name)
    return _job(row)


def _job(row: Row[Any]) -> Job:
    values = row_fields(row)
    return Job(**{**values, "result_files": tuple(values["result_files"])})


def _event(row: Row[Any]) -> JobEvent:
    values = row._asdict()
    return JobEvent(**{**values, "metrics": row.metrics or {}})


def _event_values(workspace: WorkspaceId, job: JobId, event: JobEvent) -> dict[str, object]:
    return {
        "workspace": workspace,
        "job": job,
        "id": event.id,
        "at": event.at,
        "level": event.level,
        "message": event.message,
        "step": event.step,
        "total_steps": event.total_steps,
    }
