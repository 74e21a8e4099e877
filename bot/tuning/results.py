"""What a finished job leaves: a model, its checkpoints, and perhaps a deployment."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from bot.domain import (
    Job,
    Model,
    ModelKind,
    ModelName,
)
from bot.ports.store import Records

T = TypeVar("T")


BY_HAND = "by_hand"


async def keep_models(
    records: Records, job: Job, *, called: ModelName | None, at: datetime
) -> bool:
    """The model and its checkpoints; marked, and True, where a row was erased meanwhile."""
    checkpoints = await records.jobs.checkpoints(job.workspace, job.id)
    for checkpoint in checkpoints:
        if checkpoint.model != job.model:
            await records.models.add(
                job.workspace, _model(job, checkpoint.model, ModelKind.CHECKPOINT, at)
            )
    name = ModelName(job.model or "")
    tuned = replace(_model(job, name, ModelKind.TUNED, at), called=called)
    await records.models.add(job.workspace, tuned)
    is_tainted = bool(await records.snapshots.forbidden(job.workspace, job.snapshot))
    if is_tainted:
        await records.models.taint(job.workspace, [job.snapshot])
    return is_tainted


async def put_to_use(records: Records, job: Job, *, called: ModelName | None, at: datetime) -> None:
    current = await records.deployments.current(job.workspace, job.assistant)
    await records.deployments.add(
        job.workspace,
        job.assistant,
        model=ModelName(job.model or ""),
        host=job.host,
        by=job.asked_by,
        at=at,
        after=current.model if current else None,
        called=called,
    )
    await records.audit.add(job.workspace, job.asked_by, "model.used", at=at, model=job.model)


def _model(job: Job, name: ModelName, kind: ModelKind, at: datetime) -> Model:
    return Model(
        workspace=job.workspace,
        assistant=job.assistant,
        name=name,
        host=job.host,
        kind=kind,
        parent=job.base,
        job=job.id,
        created_at=at,
    )
