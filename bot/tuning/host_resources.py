"""Lists and deletes a workspace's files, models and deployments at the hosts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from bot.commands import Handlers
from bot.database_batches import every_job
from bot.domain import HostName, Job, Model, ModelKind, Role
from bot.errors import HostError, HostTimeout, NotFound, NotNow, Outdated
from bot.models_in_use import MODEL_NAME_ENDING_LENGTH
from bot.outdated_clicks import outdated_refusal, state_token
from bot.ports.dependencies import Dependencies
from bot.ports.model_hosts import Host, Serving
from bot.ports.store import Records, Store
from bot.replies import MAX_ACTION_LENGTH, Button, Card, Listing, ListingRow, Reply, Text, Tone
from bot.request import Request
from bot.tuning import paid_deployments
from bot.tuning.notices import parse_job_id
from bot.undo_buttons import offer_undo

handlers = Handlers()

_MAX_WAIT = 15.0
"""Seconds after which the list is shown without a host that does not answer."""


@dataclass(frozen=True, slots=True)
class OwnedResources:
    """All jobs and models of a workspace."""

    jobs: Sequence[Job]
    models: Sequence[Model]


@handlers.command("hosted", Role.TRAINER)
async def list_host_resources(request: Request, deps: Dependencies) -> Reply:
    """Lists files, deployments and models by host; a host that fails is listed with its error."""
    own = await _owned_resources(request, deps.store)
    used = {job.host for job in own.jobs} | {model.host for model in own.models}
    names = [name for name in deps.hosts.names() if name in used]
    listed = await asyncio.gather(
        *(_host_lines(request, own, deps.hosts.get(name)) for name in names)
    )
    lines = tuple(line for host_lines in listed for line in host_lines)
    words = request.words
    return Listing(words("hosted.title"), lines, empty=words("hosted.empty"), private=True)


@handlers.button("file.delete", Role.ADMIN)
async def delete_file(request: Request, deps: Dependencies) -> Reply:
    """Schedules the deletion of a file of a finished training at its host."""
    number, _, file = request.argument.partition("/")
    async with deps.store.reading() as records:
        job = await records.jobs.get(request.workspace_id, parse_job_id(number))
    host = deps.hosts.get(job.host)
    uploaded = {
        remote_file.id
        async for remote_file in host.files()
        if remote_file.was_uploaded_for(job.idempotency_key)
    }
    if file not in uploaded | set(_known_files(job)):
        raise NotFound(noun="file", name=file)
    if not job.phase.is_over:
        raise NotNow(problem=request.words("hosted.needed", job=job.id))
    async with deps.store.writing() as records:
        pending = await records.undoables.all(request.workspace_id)
        if any(undoable.details.get("file") == file for undoable in pending):
            raise NotNow(problem=request.words("hosted.file_deleted", host=host.name))
        undo = await _offer_undo(request, records, "file", host.name, file=file, job=job.id)
        await request.audit(records, "file.deleted", file=file, job=job.id)
    deps.wake_runners()
    return Text(request.words("hosted.file_deleted", host=host.name), buttons=(undo,))


async def _offer_undo(
    request: Request, records: Records, kind: str, host: HostName, **details: object
) -> Button:
    """Stores an undoable deletion with the channel, where a refusal by the host is reported."""
    place = {"channel": request.place.channel, "thread": request.place.thread}
    return await offer_undo(request, records, kind, {**details, **place}, host=host)


@handlers.button("model.delete", Role.ADMIN)
async def ask_delete_model(request: Request, deps: Dependencies) -> Reply:
    """Asks for confirmation, because a deleted model cannot be restored."""
    async with deps.store.reading() as records:
        return await _confirmation_card(
            request, await _model(request, request.argument, records), records
        )


async def _confirmation_card(request: Request, model: Model, records: Records) -> Card:
    await _refuse_deployed(request, model, records)
    words, state = request.words, await _state_of(request, model, records)
    action = f"model.delete_sure:{state}:{model.name[-MODEL_NAME_ENDING_LENGTH:]}"
    sure = Button(words("button.delete"), action, is_danger=True)
    keep = Button(words("button.keep"), "model.keep")
    title = words("hosted.delete_model", model=model.display_name)
    return Card(title, lines=(words("hosted.for_good"),), buttons=(sure, keep))


@handlers.button("model.delete_sure", Role.ADMIN)
async def delete_model(request: Request, deps: Dependencies) -> Reply:
    """Hides the model, and schedules its deletion at the host for the end of the undo period."""
    state, _, handle = request.argument.partition(":")
    async with deps.store.writing() as records:
        model = await _model(request, handle, records)
        await _refuse_deployed(request, model, records)
        if state != await _state_of(request, model, records):
            return outdated_refusal(request, await _confirmation_card(request, model, records))
        host = deps.hosts.get(model.host)
        await records.models.mark_deleted(request.workspace_id, model.name)
        undo = await _offer_undo(request, records, "model", host.name, model=model.name)
        await request.audit(records, "model.deleted", model=model.name)
    deps.wake_runners()
    title = request.words("hosted.model_deleted", model=model.display_name)
    return Card(title, buttons=(undo,), replaces=True)


@handlers.button("model.keep", Role.ADMIN)
async def keep_model(request: Request, deps: Dependencies) -> Reply:
    return Card(request.words("hosted.kept"), replaces=True)


@handlers.button("model.undeploy", Role.ADMIN)
async def undeploy(request: Request, deps: Dependencies) -> Reply:
    """Deletes the model's deployment, which ends the hourly cost; the model stays at the host."""
    state, _, handle = request.argument.partition(":")
    async with deps.store.reading() as records:
        model = await _model(request, handle, records)
        await _refuse_deployed(request, model, records)
        job = (
            await records.jobs.get(request.workspace_id, model.job)
            if model.job is not None
            else None
        )
    if state != state_token(model.served_name):
        raise Outdated(problem=request.words("button.outdated"))
    host = deps.hosts.get(model.host)
    await paid_deployments.delete_deployments_of_job(
        host, idempotency_key=job.idempotency_key if job else None, served_name=model.served_name
    )
    async with deps.store.writing() as records:
        await records.models.set_served_name(request.workspace_id, model.name, None)
        await request.audit(records, "model.undeployed", model=model.name)
    return Text(request.words("hosted.undeployed", model=model.display_name))


async def _owned_resources(request: Request, store: Store) -> OwnedResources:
    async with store.reading() as records:
        jobs = [job async for job in every_job(request.workspace_id, records)]
        models = [
            model
            for assistant in await records.assistants.all(request.workspace_id)
            for model in await records.models.all(request.workspace_id, assistant.id)
        ]
    return OwnedResources(jobs, models)


async def _host_lines(request: Request, own: OwnedResources, host: Host) -> Sequence[ListingRow]:
    lines: list[ListingRow] = []
    failure: HostError | None = None
    try:
        async with asyncio.timeout(_MAX_WAIT):
            lines += [line async for line in _file_lines(request, own, host)]
            lines += [line async for line in _deployment_lines(request, own, host)]
    except TimeoutError:
        failure = HostTimeout(host=host.name)
    except HostError as error:
        failure = error
    if failure is not None:
        lines.append(ListingRow(host.name, request.words.error_text(failure), tone=Tone.BAD))
    return [*lines, *_model_lines(request, own, host)]


async def _file_lines(
    request: Request, own: OwnedResources, host: Host
) -> AsyncIterator[ListingRow]:
    """Yields the host's files that belong to a job of the workspace, as input or result."""
    jobs = [job for job in own.jobs if job.host == host.name]
    jobs_by_file = {file: job for job in jobs for file in _known_files(job)}
    listed = set()
    async for file in host.files():
        candidates = (job for job in jobs if file.was_uploaded_for(job.idempotency_key))
        job = jobs_by_file.get(file.id) or next(candidates, None)
        if job is not None:
            listed.add(file.id)
            yield _file_line(request, file.id, file.name, job, size=file.bytes)
    for job in jobs:
        for file_id in job.result_files:
            if file_id not in listed:
                yield _file_line(request, file_id, request.words("hosted.results"), job, size=None)


def _file_line(request: Request, file: str, name: str, job: Job, *, size: int | None) -> ListingRow:
    words = request.words
    notes = [words("hosted.file"), job.host, words("model.job", job=job.id)]
    if size is not None:
        notes.append(words("hosted.size", size=f"{size / 1024:,.0f}"))
    delete = Button(words("button.delete"), f"file.delete:{job.id}/{file}", is_danger=True)
    is_offered = job.phase.is_over and len(delete.action) <= MAX_ACTION_LENGTH
    return ListingRow(file, name, " · ".join(notes), buttons=(delete,) if is_offered else ())


def _model_lines(request: Request, own: OwnedResources, host: Host) -> Iterator[ListingRow]:
    words = request.words
    for model in own.models:
        if model.host != host.name or model.kind is ModelKind.BASE:
            continue
        notes = [words(f"model.{model.kind}"), model.host]
        if model.job is not None:
            notes.append(words("model.job", job=model.job))
        if model.expires_on:
            notes.append(words("model.ends", date=model.expires_on))
        handle = model.name[-MODEL_NAME_ENDING_LENGTH:]
        delete = Button(words("button.delete"), f"model.delete:{handle}", is_danger=True)
        yield ListingRow(handle, model.name, " · ".join(notes), buttons=(delete,))


async def _deployment_lines(
    request: Request, own: OwnedResources, host: Host
) -> AsyncIterator[ListingRow]:
    if host.profile.serving is not Serving.DEPLOYED_BY_API:
        return
    words, keys = request.words, {job.id: job.idempotency_key for job in own.jobs}
    tuned = [
        model for model in own.models if model.kind is ModelKind.TUNED and model.job is not None
    ]
    for deployment in await host.deployments():
        for model in tuned:
            key = keys.get(model.job) if model.job is not None else None
            if not paid_deployments.belongs_to_job(
                deployment, idempotency_key=key, served_name=model.served_name
            ):
                continue
            price = deployment.dollars_an_hour or host.price(model.parent or model.name).hosting
            notes = [words("hosted.deployment"), host.name, deployment.status]
            notes += [words("hosted.hourly", price=words.price_text(price))] if price else []
            buttons = (paid_deployments.undeploy_button(model, words),)
            yield ListingRow(deployment.name, deployment.name, " · ".join(notes), buttons=buttons)


async def _state_of(request: Request, model: Model, records: Records) -> str:
    """Returns a token of the deployment and the model's state, to detect an outdated button."""
    current = await records.deployments.current(request.workspace_id, model.assistant)
    return state_token(current.id if current else 0, model.served_name, model.is_tainted)


async def _model(request: Request, handle: str, records: Records) -> Model:
    """Returns a model by the end of its name: a button has no room for the whole name."""
    for assistant in await records.assistants.all(request.workspace_id):
        for model in await records.models.all(request.workspace_id, assistant.id):
            if handle == model.name[-MODEL_NAME_ENDING_LENGTH:]:
                return model
    raise NotFound(noun="model", name=handle)


async def _refuse_deployed(request: Request, model: Model, records: Records) -> None:
    current = await records.deployments.current(request.workspace_id, model.assistant)
    if current is not None and current.model == model.name:
        raise NotNow(problem=request.words("hosted.answering", model=model.display_name))


def _known_files(job: Job) -> tuple[str, ...]:
    sent = tuple(file for file in (job.training_file, job.validation_file) if file)
    return (*sent, *job.result_files)
