"""Deployments that cost money by the hour: lookup, deletion, and notices about the cost."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.domain import Job, JobId, Model, ModelName, NewNotice, Notice
from bot.errors import HostNotFound
from bot.models_in_use import MODEL_NAME_ENDING_LENGTH
from bot.outdated_clicks import state_token
from bot.ports.model_hosts import Host, RemoteDeployment, Serving
from bot.ports.store import Records
from bot.replies import Button, Card, Drawn, Tone
from bot.words import Words

HOURLY_COST_NOTICE = "model.serving"
"""Kind of the notice that a deployed model costs money by the hour."""


def belongs_to_job(
    deployment: RemoteDeployment,
    *,
    idempotency_key: str | None,
    served_name: ModelName | None = None,
) -> bool:
    """Whether a deployment is of a job, by the job's key in its name, or has this name."""
    is_of_job = idempotency_key is not None and f"attune-{idempotency_key}" in deployment.name
    return is_of_job or deployment.name == served_name


async def delete_deployments_of_job(
    host: Host, *, idempotency_key: str | None, served_name: ModelName | None = None
) -> None:
    """Deletes the deployments of a job, also those that were never ready."""
    if host.profile.serving is not Serving.DEPLOYED_BY_API:
        return
    for deployment in await host.deployments():
        if belongs_to_job(deployment, idempotency_key=idempotency_key, served_name=served_name):
            with contextlib.suppress(HostNotFound):
                await host.undeploy(deployment.name)


async def queue_hourly_cost_notice(records: Records, job: Job, host: Host, *, at: datetime) -> None:
    """Queues the notice that a job's deployment costs money by the hour, unless it is free."""
    price = host.price(job.base).hosting
    if price == 0:
        return
    details = {"price": price, "host": host.name}
    key = f"job.{job.id}.serving"
    await records.outbox.put(
        key, job.place, HOURLY_COST_NOTICE, subject=job.id, details=details, at=at
    )


def idle_deployment_notices(
    models: Sequence[Model],
    jobs: Mapping[JobId, Job],
    standing: Sequence[RemoteDeployment],
    host: Host,
    *,
    at: datetime,
) -> list[NewNotice]:
    """Returns a notice for each of these models with a deployment, unless it is free.

    The key has the week, so that there is one notice a week.
    """
    notices = []
    year, week, _ = at.isocalendar()
    for model in models:
        job = jobs.get(model.job) if model.job is not None else None
        ready = [
            deployment
            for deployment in standing
            if job
            and belongs_to_job(
                deployment, idempotency_key=job.idempotency_key, served_name=model.served_name
            )
        ]
        if job is None or not ready:
            continue
        price = ready[0].dollars_an_hour or host.price(job.base).hosting
        if price == 0:
            continue
        details = {"price": price, "host": host.name, "is_idle": True}
        key = f"{model.workspace}.{model.name}.idle.{year}.{week}"
        notices.append(NewNotice(key, job.place, HOURLY_COST_NOTICE, job.id, details))
    return notices


async def render_hourly_cost_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """Renders the hourly cost of a deployment, with a button to delete it."""
    job = await records.jobs.get(notice.place.workspace, JobId(notice.subject or 0))
    model = await records.models.find(job.workspace, job.model) if job.model else None
    if model is None or model.is_deleted:
        return None
    price, is_idle = notice.details.get("price"), bool(notice.details.get("is_idle"))
    lines = [words("serving.price", price=words.price_text(float(str(price))))] if price else []
    lines += [words("serving.unknown")] if not price else []
    lines.append(words("serving.idle" if is_idle else "serving.until"))
    title = words("serving.title", model=model.display_name, host=notice.details.get("host"))
    return Card(
        title,
        tuple(lines),
        buttons=(undeploy_button(model, words),),
        tone=Tone.BAD if is_idle else Tone.PLAIN,
    )


def undeploy_button(model: Model, words: Words) -> Button:
    action = (
        f"model.undeploy:{state_token(model.served_name)}:{model.name[-MODEL_NAME_ENDING_LENGTH:]}"
    )
    return Button(words("button.undeploy"), action, is_danger=True)
