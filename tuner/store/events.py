"""The events of jobs, listed newest first; events are never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, null, select
from sqlalchemy.dialects.sqlite import insert

from tuner.store import tables
from tuner.store.database import Database, next_identifiers

_event = tables.events.c


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a job, as `/v1/fine_tuning/jobs/{id}/events` lists it."""

    number: int
    id: str
    job: str
    created_at: int
    level: str
    message: str
    data: Mapping[str, object] | None
    step: int | None


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event that is to be added; `at` is in Unix seconds."""

    message: str
    at: int
    level: str = "info"
    data: Mapping[str, object] | None = None
    step: int | None = None


def record_events(connection: Connection, job_id: str, events: Sequence[NewEvent]) -> None:
    """Adds events. A second event of the same step, reported by a resumed worker, is dropped."""
    if not events:
        return
    identifiers = next_identifiers(connection, "ftevent-", len(events))
    rows = [
        {
            "number": number,
            "id": event_id,
            "job": job_id,
            "created_at": event.at,
            "level": event.level,
            "message": event.message,
            "data": event.data,
            "step": event.step,
        }
        for (number, event_id), event in zip(identifiers, events, strict=True)
    ]
    connection.execute(insert(tables.events).on_conflict_do_nothing(["job", "step"]), rows)


def record_event_once(connection: Connection, job_id: str, event: NewEvent) -> None:
    """Adds an event unless the job has one with its message, as after a restarted worker."""
    known = select(_event.id).where(_event.job == job_id, _event.message == event.message)
    if connection.execute(known.limit(1)).first() is None:
        record_events(connection, job_id, [event])


def events_page(database: Database, job_id: str, *, after: int | None, limit: int) -> list[Event]:
    query = select(tables.events).where(_event.job == job_id)
    if after is not None:
        query = query.where(_event.number < after)
    with database.reading() as connection:
        rows = connection.execute(query.order_by(_event.number.desc()).limit(limit))
        return [Event(**row._mapping) for row in rows]


def metrics_of(connection: Connection, job_id: str) -> list[Mapping[str, object]]:
    """Returns the metrics of every step, in order; metrics of the finished model come last."""
    query = select(_event.data).where(_event.job == job_id, _event.data.is_not(null()))
    ordered = query.order_by(_event.step.is_(None), _event.step, _event.number)
    return [data for data in connection.execute(ordered).scalars() if data]
