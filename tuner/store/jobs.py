"""Fine-tuning jobs as clients create, list and change them."""

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, RowMapping, func, insert, select, update

from tuner.errors import ApiError, NotFound
from tuner.store import tables
from tuner.store.database import Database, next_identifier
from tuner.store.events import NewEvent, record_events

_job = tables.jobs.c


class Status(StrEnum):
    """Status of a job in OpenAI's protocol."""

    VALIDATING = "validating_files"
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        return self in (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """The parameters of a new job; files and model are checked already."""

    model: str
    training_file: str
    validation_file: str | None
    method: str
    hyperparameters: Mapping[str, object]
    suffix: str | None
    seed: int
    metadata: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Job:
    """A stored job; `model` is the model it starts from, `model_name` the model it makes."""

    number: int
    id: str
    created_at: int
    started_at: int | None
    finished_at: int | None
    estimated_finish: int | None
    status: Status
    model: str
    model_name: str
    suffix: str | None
    seed: int
    method: str
    hyperparameters: dict[str, object]
    training_file: str
    validation_file: str | None
    metadata: dict[str, str] | None
    error: dict[str, object] | None
    trained_tokens: int | None
    result_file: str | None
    is_checked: bool
    events_offset: int
    last_step: int
    deaths: int
    last_saved: int
    progress_at_death: int

    @property
    def progress(self) -> int:
        """A count that grows with every new reported or saved step.

        A resumed worker first repeats steps that it has reported, which do not count.
        """
        return self.last_step + self.last_saved


class Jobs:
    """Repository of jobs."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def get(self, job_id: str) -> Job:
        with self.database.reading() as connection:
            return get_job_in(connection, job_id)

    def page(
        self,
        *,
        after: int | None,
        limit: int,
        metadata: Mapping[str, str] | None,
        is_without_metadata: bool = False,
    ) -> list[Job]:
        """Returns jobs newest first; every pair of `metadata` must be on the job."""
        query = select(tables.jobs).order_by(_job.number.desc()).limit(limit)
        if after is not None:
            query = query.where(_job.number < after)
        if is_without_metadata:
            query = query.where(_job.metadata.is_(None))
        for key, value in (metadata or {}).items():
            query = query.where(_has_metadata(key, value))
        with self.database.reading() as connection:
            return [_as_job(row._mapping) for row in connection.execute(query)]

    def find(self, job_id: str) -> Job | None:
        query = select(tables.jobs).where(_job.id == job_id)
        with self.database.reading() as connection:
            row = connection.execute(query).one_or_none()
            return None if row is None else _as_job(row._mapping)

    def in_status(self, *statuses: Status) -> list[Job]:
        """Returns the jobs with one of these statuses, oldest first."""
        query = select(tables.jobs).where(_job.status.in_(statuses)).order_by(_job.number)
        with self.database.reading() as connection:
            return [_as_job(row._mapping) for row in connection.execute(query)]

    def cancel(self, job_id: str) -> Job:
        return self._transition(
            job_id,
            (Status.VALIDATING, Status.QUEUED, Status.RUNNING, Status.PAUSED),
            lambda _: Status.CANCELLED,
            "The job was cancelled",
        )

    def pause(self, job_id: str) -> Job:
        return self._transition(
            job_id,
            (Status.VALIDATING, Status.QUEUED, Status.RUNNING),
            lambda _: Status.PAUSED,
            "The job was paused",
        )

    def resume(self, job_id: str) -> Job:
        return self._transition(job_id, (Status.PAUSED,), waiting_status, "The job was resumed")

    def _transition(
        self,
        job_id: str,
        allowed: tuple[Status, ...],
        target: Callable[[Job], Status],
        message: str,
    ) -> Job:
        with self.database.writing() as connection:
            job = get_job_in(connection, job_id)
            if job.status not in allowed:
                raise ApiError(_refusal(job, message), code="invalid_job_state")
            change_status(connection, job, target(job), message)
            return get_job_in(connection, job_id)


def waiting_status(job: Job) -> Status:
    """Returns the status of a job that waits in the queue again; files are validated only once."""
    return Status.QUEUED if job.is_checked else Status.VALIDATING


def create_job(connection: Connection, request: JobRequest, *, base: str) -> Job:
    number, job_id = next_identifier(connection, "ftjob-")
    now = int(time.time())
    row = {
        "number": number,
        "id": job_id,
        "created_at": now,
        "status": Status.VALIDATING,
        "model": request.model,
        "model_name": f"ft:{base}:attune:{_slug(request.suffix)}:{secrets.token_hex(4)}",
        "suffix": request.suffix,
        "seed": request.seed,
        "method": request.method,
        "hyperparameters": request.hyperparameters,
        "training_file": request.training_file,
        "validation_file": request.validation_file,
        "metadata": request.metadata,
    }
    connection.execute(insert(tables.jobs).values(row))
    created, validating = "Created fine-tuning job: ", "Validating training file: "
    messages = (created + job_id, validating + request.training_file)
    record_events(connection, job_id, [NewEvent(message, now) for message in messages])
    return get_job_in(connection, job_id)


def base_of_model_name(model: str) -> str:
    """Returns the base in the name of a tuned model; any other name is taken as a base's."""
    return model.split(":")[1] if model.startswith("ft:") and ":" in model[3:] else model


def get_job_in(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(tables.jobs).where(_job.id == job_id)).one_or_none()
    if row is None:
        raise NotFound(
            f"Could not find fine tune: {job_id}",
            param="fine_tuning_job_id",
            code="fine_tune_not_found",
        )
    return _as_job(row._mapping)


def change_status(
    connection: Connection,
    job: Job,
    status: Status,
    *messages: str,
    level: str = "info",
    **values: object,
) -> None:
    """Changes the status and adds the events, in the caller's transaction."""
    now = int(time.time())
    changes: dict[str, object] = {"status": status, **values}
    if status is not Status.RUNNING:
        changes["estimated_finish"] = None
    if status.is_final:
        changes["finished_at"] = now
    connection.execute(update(tables.jobs).where(_job.id == job.id).values(changes))
    record_events(connection, job.id, [NewEvent(message, now, level) for message in messages])


def _refusal(job: Job, message: str) -> str:
    word = message.removeprefix("The job was ")
    return f"{job.id} is {job.status.value.replace('_', ' ')}, so it cannot be {word}."


def _has_metadata(key: str, value: str) -> ColumnElement[bool]:
    pairs = func.json_each(_job.metadata).table_valued("key", "value")
    return select(1).where(pairs.c.key == key, pairs.c.value == value).exists()


def _slug(suffix: str | None) -> str:
    """Returns a suffix as part of a model name, in which colons and slashes have a meaning."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in suffix or "")


def _as_job(row: RowMapping) -> Job:
    typed = {"status": Status(row["status"]), "is_checked": bool(row["is_checked"])}
    return Job(**{**row, **typed})
