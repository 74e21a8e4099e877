"""Models that jobs made: finished models and checkpoints."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from tuner.errors import Conflict, NotFound
from tuner.store import tables
from tuner.store.database import Database, next_identifier
from tuner.store.files import UNFINISHED_STATUSES

_model = tables.models.c


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A stored model; `step` and `checkpoint` are set if it is a checkpoint."""

    number: int
    id: str
    job: str
    created_at: int
    step: int | None
    checkpoint: str | None
    metrics: Mapping[str, object] | None


class Models:
    """Repository of models."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[StoredModel]:
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.models).order_by(_model.number))
            return [StoredModel(**row._mapping) for row in rows]

    def get(self, model_id: str) -> StoredModel:
        with self._database.reading() as connection:
            return get_model_in(connection, model_id)

    def checkpoints(self, job_id: str, *, after: int | None, limit: int) -> list[StoredModel]:
        query = select(tables.models).where(_model.job == job_id, _model.step.is_not(None))
        if after is not None:
            query = query.where(_model.number < after)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(_model.number.desc()).limit(limit))
            return [StoredModel(**row._mapping) for row in rows]

    def remove(self, model_id: str) -> list[StoredModel]:
        """Deletes a model, or a finished model with its checkpoints; returns the deleted ones."""
        with self._database.writing() as connection:
            model = get_model_in(connection, model_id)
            scope = _model.id == model_id if model.step is not None else _model.job == model.job
            rows = connection.execute(select(tables.models).where(scope)).all()
            models = [StoredModel(**row._mapping) for row in rows]
            _refuse_while_used(connection, [stored.id for stored in models])
            connection.execute(delete(tables.models).where(scope))
        return models

    def kept_steps(self, job_id: str) -> set[int | None]:
        """Returns the steps of a job's stored models; None stands for the finished model."""
        query = select(_model.step).where(_model.job == job_id)
        with self._database.reading() as connection:
            return set(connection.execute(query).scalars())


def get_model_in(connection: Connection, model_id: str) -> StoredModel:
    row = connection.execute(select(tables.models).where(_model.id == model_id)).one_or_none()
    if row is None:
        raise NotFound(
            f"The model '{model_id}' does not exist or has been deleted.",
            param="model",
            code="model_not_found",
        )
    return StoredModel(**row._mapping)


def add_model(
    connection: Connection,
    model_id: str,
    job_id: str,
    *,
    step: int | None = None,
    metrics: Mapping[str, object] | None = None,
    at: int | None = None,
) -> StoredModel:
    number, checkpoint = next_identifier(connection, "ftckpt_")
    model = StoredModel(
        number=number,
        id=model_id,
        job=job_id,
        created_at=int(time.time()) if at is None else at,
        step=step,
        checkpoint=None if step is None else checkpoint,
        metrics=metrics,
    )
    row = {name: getattr(model, name) for name in StoredModel.__slots__}
    connection.execute(insert(tables.models).values(row))
    return model


def _refuse_while_used(connection: Connection, model_ids: list[str]) -> None:
    job = tables.jobs.c
    user = (
        select(job.id).where(job.model.in_(model_ids), job.status.in_(UNFINISHED_STATUSES)).limit(1)
    )
    if job_id := connection.execute(user).scalar():
        raise Conflict(f"{job_id} starts from this model and is not finished. Cancel it first.")
