"""Models that stand ready at a price by the hour: said as it begins, and while nobody asks them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from datetime import datetime

from bot.deployments import HANDLE_LENGTH
from bot.domain import Job, JobId, Model, ModelName, NewNotice, Notice
from bot.errors import HostNotFound
from bot.ports.provider import Host, RemoteDeployment, Serving
from bot.ports.store import Records
from bot.replies import Button, Card, Drawn, Tone
from bot.shown_state import state_token
from bot.words import Words

SERVING = "model.serving"
"""The notice that a deployed model costs money by the hour."""


def is_deployment_of(
    one: RemoteDeployment, *, idempotency_key: str | None, served_name: ModelName | None = None
) -> bool:
    """Whether it is the deployment of that start: Attune names each after its start."""
    is_of_start = idempotency_key is not None and f"attune-{idempotency_key}" in one.name
    return is_of_start or one.name == served_name


async def take_down(
    host: Host, *, idempotency_key: str | None, served_name: ModelName | None = None
) -> None:
    """Whatever stands ready of that start, also what was never seen to be ready."""
    if host.profile.serving is not Serving.BY_CALL:
        return
    for one in await host.deployments():
        if is_deployment_of(one, idempotency_key=idempotency_key, served_name=served_name):
            with contextlib.suppress(HostNotFound):
                await host.undeploy(one.name)


async def queue_hourly_cost_notice(records: Records, job: Job, host: Host, *, at: datetime) -> None:
    """From now on it is paid for by the hour, until somebody stops it; nothing where it is free."""
    price = host.price(job.base).hosting
    if price == 0:
        return
    details = {"price": price, "host": host.name}
    key = f"job.{job.id}.serving"
    await records.outbox.put(key, job.place, SERVING, subject=job.id, details=details, at=at)


def idle_deployment_notices(
    models: Sequence[Model],
    jobs: Mapping[JobId, Job],
    standing: Sequence[RemoteDeployment],
    host: Host,
    *,
    at: datetime,
) -> list[NewNotice]:
    """One a week for each of these models, which answer for nobody, that still stands ready."""
    found = []
    year, week, _ = at.isocalendar()
    for model in models:
        job = jobs.get(model.job) if model.job is not None else None
        ready = [
            one
            for one in standing
            if job
            and is_deployment_of(
                one, idempotency_key=job.idempotency_key, served_name=model.served_name
            )
        ]
        if job is None or not ready:
            continue
        price = ready[0].dollars_an_hour or host.price(job.base).hosting
        if price == 0:
            continue
        details = {"price": price, "host": host.name, "is_idle": True}
        key = f"{model.workspace}.{model.name}.idle.{year}.{week}"
        found.append(NewNotice(key, job.place, SERVING, job.id, details))
    return found


async def render_hourly_cost_notice(notice: Notice, records: Records, words: Words) -> Drawn | None:
    """What it costs, and the button that ends it."""
    job = await records.jobs.get(notice.place.workspace, JobId(notice.subject or 0))
    model = await records.models.find(job.workspace, job.model) if job.model else None
    if model is None or model.is_deleted:
        return None
    price, is_idle = notice.details.get("price"), bool(notice.details.get("is_idle"))
    lines = [words("serving.price", price=words.price(float(str(price))))] if price else []
    lines += [words("serving.unknown")] if not price else []
    lines.append(words("serving.idle" if is_idle else "serving.until"))
    title = words("serving.title", model=model.display_name, host=notice.details.get("host"))
    return Card(
        title,
        tuple(lines),
        buttons=(stop_button(model, words),),
        tone=Tone.BAD if is_idle else Tone.PLAIN,
    )


def stop_button(model: Model, words: Words) -> Button:
    action = f"model.undeploy:{state_token(model.served_name)}:{model.name[-HANDLE_LENGTH:]}"
    return Button(words("button.undeploy"), action, is_danger=True)
