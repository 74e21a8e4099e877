"""What stands at the hosts for a workspace: files, models, deployments; seen and deleted."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

from bot.commands import Handlers
from bot.deployments import HANDLE_LENGTH
from bot.domain import HostName, Job, JobId, Model, ModelKind, Role
from bot.errors import HostError, HostForgot, HostSilent, NotFound, NotNow
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.ports.provider import Host, RemoteFile, Serving
from bot.ports.store import Records, Store
from bot.replies import LONGEST_ACTION, Button, Card, Listing, ListingRow, Reply, Text, Tone
from bot.request import Request
from bot.undo_offers import offer_undo

handlers = Handlers()


_EVERY_JOB = 1_000_000
_LONGEST_WAIT = 15.0
"""Seconds that a person who looks at the page waits for a host."""


@dataclass(frozen=True, slots=True)
class OwnedResources:
    """All that this workspace has trained, and what came of it."""

    jobs: Sequence[Job]
    models: Sequence[Model]


@handlers.command("hosted", Role.TRAINER, is_private=True)
async def listing(ask: Request, deps: Dependencies) -> Reply:
    """Host by host; one that does not answer says so and the others are told all the same."""
    own = await _own(ask, deps.store)
    names = [name for name in deps.hosts.names() if _has_anything(own, name)]
    told = await asyncio.gather(*(_of_host(ask, own, deps.hosts.get(name)) for name in names))
    lines = tuple(line for of_host in told for line in of_host)
    words = ask.words
    return Listing(words("hosted.title"), lines, empty=words("hosted.empty"), private=True)


@handlers.button("file.delete", Role.ADMIN)
async def delete_file(ask: Request, deps: Dependencies) -> Reply:
    """A file of a training that is over; the host forgets it for good."""
    number, _, file = ask.argument.partition("/")
    async with deps.store.reading() as records:
        job = await records.jobs.get(ask.id, _job(number))
    host = deps.hosts.get(job.host)
    if file not in {one.id async for one in _files_of(job, host)} | set(_known_files(job)):
        raise NotFound(noun="file", name=file)
    if not job.phase.is_over:
        raise NotNow(problem=ask.words("hosted.needed", job=job.id))
    async with deps.store.writing() as records:
        pending = await records.undoables.all(ask.id)
        if any(one.details.get("file") == file for one in pending):
            raise NotNow(problem=ask.words("hosted.file_deleted", host=host.name))
        undo = await _offer_undo(ask, records, "file", host.name, file=file, job=job.id)
        await records.audit.add(ask.id, ask.by, "file.deleted", at=ask.now, file=file, job=job.id)
    deps.wake()
    return Text(ask.words("hosted.file_deleted", host=host.name), buttons=(undo,))


async def _offer_undo(
    ask: Request, records: Records, kind: str, host: HostName, **details: object
) -> Button:
    """The host deletes it once the offer is over, which may be long after this place was left."""
    place = {"channel": ask.place.channel, "thread": ask.place.thread}
    return await offer_undo(ask, records, kind, {**details, **place}, host=host)


@handlers.button("model.delete", Role.ADMIN)
async def ask_delete_model(ask: Request, deps: Dependencies) -> Reply:
    """It cannot be brought back, so it takes a second yes."""
    async with deps.store.reading() as records:
        model = await _model(ask, records)
        await _refuse_answering(ask, model, records)
    words = ask.words
    sure = Button(words("button.delete"), f"model.delete_sure:{ask.argument}", is_danger=True)
    keep = Button(words("button.keep"), "model.keep")
    title = words("hosted.delete_model", model=model.name)
    return Card(title, lines=(words("hosted.for_good"),), buttons=(sure, keep))


@handlers.button("model.delete_sure", Role.ADMIN)
async def delete_model(ask: Request, deps: Dependencies) -> Reply:
    """It is listed no more; its host deletes it when that cannot be undone any longer."""
    async with deps.store.writing() as records:
        model = await _model(ask, records)
        await _refuse_answering(ask, model, records)
        host = deps.hosts.get(model.host)
        await records.models.delete(ask.id, model.name)
        undo = await _offer_undo(ask, records, "model", host.name, model=model.name)
        await records.audit.add(ask.id, ask.by, "model.deleted", at=ask.now, model=model.name)
    deps.wake()
    title = ask.words("hosted.model_deleted", model=model.name)
    return Card(title, buttons=(undo,), replaces=True)


@handlers.button("model.keep", Role.ADMIN)
async def keep_model(ask: Request, deps: Dependencies) -> Reply:
    return Card(ask.words("hosted.kept"), replaces=True)


@handlers.button("model.undeploy", Role.ADMIN)
async def undeploy(ask: Request, deps: Dependencies) -> Reply:
    """The model stays; it no longer stands ready, and its hours no longer count."""
    async with deps.store.reading() as records:
        model = await _model(ask, records)
        await _refuse_answering(ask, model, records)
    if model.called is None:
        raise NotNow(problem=ask.words("hosted.not_deployed", model=model.name))
    with contextlib.suppress(HostForgot):
        await deps.hosts.get(model.host).undeploy(model.called)
    async with deps.store.writing() as records:
        await records.models.call(ask.id, model.name, None)
        await records.audit.add(ask.id, ask.by, "model.undeployed", at=ask.now, model=model.name)
    return Text(ask.words("hosted.undeployed", model=model.name))


async def _own(ask: Request, store: Store) -> OwnedResources:
    async with store.reading() as records:
        jobs = await records.jobs.page(ask.id, limit=_EVERY_JOB)
        models = [
            model
            for assistant in await records.assistants.all(ask.id)
            for model in await records.models.all(ask.id, assistant.id)
        ]
    return OwnedResources(jobs, models)


def _has_anything(own: OwnedResources, host: HostName) -> bool:
    return host in {job.host for job in own.jobs} | {model.host for model in own.models}


async def _of_host(ask: Request, own: OwnedResources, host: Host) -> Sequence[ListingRow]:
    lines: list[ListingRow] = []
    try:
        async with asyncio.timeout(_LONGEST_WAIT):
            lines += [line async for line in _file_lines(ask, own, host)]
            lines += [line async for line in _deployment_lines(ask, own, host)]
    except TimeoutError:
        error = HostSilent(host=host.name)
        lines.append(ListingRow(host.name, ask.words.error(error), tone=Tone.BAD))
    except HostError as error:
        lines.append(ListingRow(host.name, ask.words.error(error), tone=Tone.BAD))
    return [*lines, *_model_lines(ask, own, host)]


async def _file_lines(ask: Request, own: OwnedResources, host: Host) -> AsyncIterator[ListingRow]:
    """Of the files there only those that one of our trainings sent or was left."""
    prefixes = {f"attune-{job.start}-": job for job in own.jobs if job.host == host.name}
    known = {file: job for job in prefixes.values() for file in _known_files(job)}
    seen = set()
    async for file in host.files():
        named = (job for prefix, job in prefixes.items() if file.name.startswith(prefix))
        job = known.get(file.id) or next(named, None)
        if job is not None:
            seen.add(file.id)
            yield _file_line(ask, file.id, file.name, job, size=file.bytes)
    for job in prefixes.values():
        for file_id in job.result_files:
            if file_id not in seen:
                yield _file_line(ask, file_id, ask.words("hosted.results"), job, size=None)


def _file_line(ask: Request, file: str, name: str, job: Job, *, size: int | None) -> ListingRow:
    words = ask.words
    notes = [words("hosted.file"), job.host, words("model.job", job=job.id)]
    if size is not None:
        notes.append(words("hosted.size", size=f"{size / 1024:,.0f}"))
    delete = Button(words("button.delete"), f"file.delete:{job.id}/{file}", is_danger=True)
    is_offered = job.phase.is_over and len(delete.action) <= LONGEST_ACTION
    return ListingRow(file, name, " · ".join(notes), buttons=(delete,) if is_offered else ())


def _model_lines(ask: Request, own: OwnedResources, host: Host) -> Iterator[ListingRow]:
    words = ask.words
    for model in own.models:
        if model.host != host.name or model.kind is ModelKind.BASE:
            continue
        notes = [words(f"model.{model.kind}"), model.host]
        if model.job is not None:
            notes.append(words("model.job", job=model.job))
        if model.expires_on:
            notes.append(words("model.ends", date=model.expires_on))
        handle = model.name[-HANDLE_LENGTH:]
        delete = Button(words("button.delete"), f"model.delete:{handle}", is_danger=True)
        yield ListingRow(handle, model.name, " · ".join(notes), buttons=(delete,))


async def _deployment_lines(
    ask: Request, own: OwnedResources, host: Host
) -> AsyncIterator[ListingRow]:
    if host.profile.serving is not Serving.BY_CALL:
        return
    words = ask.words
    called = {model.called: model for model in own.models if model.called}
    for one in await host.deployments():
        model = called.get(one.name)
        if model is not None:
            handle = model.name[-HANDLE_LENGTH:]
            stop = Button(words("button.undeploy"), f"model.undeploy:{handle}", is_danger=True)
            note = " · ".join([words("hosted.deployment"), host.name, one.status])
            yield ListingRow(one.name, one.name, note, buttons=(stop,))


async def _model(ask: Request, records: Records) -> Model:
    """By the end of its name, which is all that fits into a button."""
    handle = ask.argument
    for assistant in await records.assistants.all(ask.id):
        for model in await records.models.all(ask.id, assistant.id):
            if handle == model.name[-HANDLE_LENGTH:]:
                return model
    raise NotFound(noun="model", name=handle)


async def _refuse_answering(ask: Request, model: Model, records: Records) -> None:
    current = await records.deployments.current(ask.id, model.assistant)
    if current is not None and current.model == model.name:
        raise NotNow(problem=ask.words("hosted.answering", model=model.name))


async def _files_of(job: Job, host: Host) -> AsyncIterator[RemoteFile]:
    async for file in host.files():
        if file.name.startswith(f"attune-{job.start}-"):
            yield file


def _known_files(job: Job) -> tuple[str, ...]:
    sent = tuple(file for file in (job.training_file, job.validation_file) if file)
    return (*sent, *job.result_files)


def _job(number: str) -> JobId:
    try:
        return JobId(whole_number(number))
    except ValueError:
        raise NotFound(noun="job", name=number) from None
