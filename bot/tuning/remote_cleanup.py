"""Deletes files and models at hosts that are not needed or not allowed any more.

These are files of finished jobs, models trained on rows that were erased since, cleanups of
removed workspaces and abandoned jobs, and deletions that a person requested. The latter wait
until they cannot be undone any more; if the host refuses one, the person gets a notice.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TypeGuard

from bot.domain import (
    ChannelId,
    HostName,
    Job,
    JobId,
    MessageId,
    Model,
    ModelName,
    Notice,
    Place,
    RemoteCleanup,
    Undoable,
)
from bot.errors import (
    AttuneError,
    HostError,
    HostNotFound,
    HostRefused,
    KeyRefused,
    NotFound,
    deserialize,
    serialize,
)
from bot.ports.model_hosts import Host, Hosts
from bot.ports.store import Records
from bot.replies import Drawn, Text
from bot.tuning import paid_deployments
from bot.tuning.notices import may_quote_host
from bot.tuning.retries import MAX_RETRY_SECONDS
from bot.tuning.state_machine import JobWriter
from bot.words import Words

log = logging.getLogger(__name__)

DELETION_REFUSED_NOTICE = "hosted.kept_there"
"""The notice that a host refused a deletion."""
_CLEANUP_WAIT, _MAX_CLEANUP_WAIT = timedelta(minutes=5), timedelta(days=1)
_CLEANUP_DOUBLINGS = 10
_DELETION_WAIT, _DELETION_DOUBLINGS = timedelta(minutes=1), 6


async def delete_what_is_due(
    host: HostName | None, record: JobWriter, hosts: Hosts
) -> datetime | None:
    """Deletes what is due at one host; None stands for hosts that are not configured any more.

    Returns when the next deletion requested by a person is due.
    """
    async with record.store.reading() as records:
        due_at, now = await records.undoables.next_due_time(host), record.clock.now()
        is_due = due_at is not None and due_at <= now
        if not is_due and not await _has_due(host, records, hosts, now=now):
            return due_at
    await _forget_files(host, record, hosts)
    await _delete_tainted(host, record, hosts)
    await _clean_up(host, record, hosts)
    async with record.store.reading() as records:
        due = await records.undoables.list_due(host, now=record.clock.now())
    for undoable in due:
        await _delete_for_good(undoable, record, hosts)
    async with record.store.reading() as records:
        return await records.undoables.next_due_time(host)


async def _has_due(host: HostName | None, records: Records, hosts: Hosts, *, now: datetime) -> bool:
    """Whether any step but the last has work; one transaction instead of five for each poll."""
    return bool(
        await records.jobs.list_awaiting_file_deletion()
        or (_keeps_words(host, hosts) and await records.models.list_tainted(host))
        or await records.remote_cleanups.list_due(now=now)
    )


def _keeps_words(host: HostName | None, hosts: Hosts) -> TypeGuard[HostName]:
    return host is not None and hosts.get(host).profile.memorizes_rows


def matches_host(name: HostName, host: HostName | None, hosts: Hosts) -> bool:
    """Whether `name` is `host`; for `host` None, whether `name` is not configured any more."""
    return name == host if host is not None else name not in hosts.names()


async def _forget_files(host: HostName | None, record: JobWriter, hosts: Hosts) -> None:
    """Deletes the uploaded files of finished jobs that requested it."""
    async with record.store.reading() as records:
        jobs = await records.jobs.list_awaiting_file_deletion()
    now = record.clock.now()
    for job in jobs:
        if not matches_host(job.host, host, hosts) or (
            job.next_poll_at is not None and job.next_poll_at > now
        ):
            continue
        try:
            await _forget_files_of(job, record, hosts.get(job.host))
        except (HostError, NotFound) as error:
            log.warning(
                "A file could not be deleted at its host", extra={"job": job.id, "why": error.key}
            )
            await record.postpone_polls(job, seconds=MAX_RETRY_SECONDS)


async def _forget_files_of(job: Job, record: JobWriter, host: Host) -> None:
    files = {file for file in (job.training_file, job.validation_file) if file}
    if job.attempted_at is not None:
        if record.may_list_lag(job, host):
            return
        files |= await _uploaded_files(job.idempotency_key, host)
    await _delete_files(files, host)
    cleared = dict.fromkeys(
        ("training_file", "validation_file", "requested_action", "attempted_at")
    )
    async with record.store.writing() as records:
        await records.jobs.update_if(job.workspace, job.id, when=None, **cleared)
        at = record.clock.now()
        await records.audit.add(job.workspace, None, "files.deleted", at=at, job=job.id)


async def _uploaded_files(start: str, host: Host) -> set[str]:
    return {file.id async for file in host.files() if file.was_uploaded_for(start)}


async def _delete_files(files: Collection[str], host: Host) -> None:
    for file in sorted(files):
        with contextlib.suppress(HostNotFound):
            await host.delete_file(file)


async def _delete_model(model: ModelName, host: Host) -> None:
    with contextlib.suppress(HostNotFound):
        await host.delete_model(model)


async def _delete_tainted(name: HostName | None, record: JobWriter, hosts: Hosts) -> None:
    """Deletes tainted models at a host whose models store their rows verbatim."""
    if not _keeps_words(name, hosts):
        return
    async with record.store.reading() as records:
        tainted: Sequence[Model] = await records.models.list_tainted(name)
    for model in tainted:
        try:
            await _delete_model(model.name, hosts.get(name))
        except HostError as error:
            log.warning(
                "A model could not be deleted at its host",
                extra={"model": model.name, "why": error.key},
            )
            continue
        at = record.clock.now()
        async with record.store.writing() as records:
            await records.models.mark_deleted(model.workspace, model.name)
            await records.audit.add(model.workspace, None, "model.deleted", at=at, model=model.name)


async def _clean_up(host: HostName | None, record: JobWriter, hosts: Hosts) -> None:
    """Runs the due cleanups; a failed one is retried without end, at doubling intervals."""
    async with record.store.reading() as records:
        due = await records.remote_cleanups.list_due(now=record.clock.now())
    for cleanup in due:
        if not matches_host(cleanup.host, host, hosts):
            continue
        is_gone = await _is_removed(cleanup, hosts)
        async with record.store.writing() as records:
            if is_gone:
                await records.remote_cleanups.delete(cleanup.id)
            else:
                doubled = _CLEANUP_WAIT * 2 ** min(cleanup.attempts, _CLEANUP_DOUBLINGS)
                until = record.clock.now() + min(_MAX_CLEANUP_WAIT, doubled)
                await records.remote_cleanups.postpone(cleanup.id, until=until)


async def _is_removed(cleanup: RemoteCleanup, hosts: Hosts) -> bool:
    try:
        await _remove(cleanup, hosts.get(cleanup.host))
    except (HostError, NotFound) as error:
        log.warning("A cleanup at a host failed and is retried", extra={"why": error.key})
        return False
    except Exception:
        log.exception("A cleanup at a host raised an unexpected error")
        return False
    return True


async def _remove(cleanup: RemoteCleanup, host: Host) -> None:
    # Also found by name: an upload may have been in progress when the job was given up.
    files = {*cleanup.files, *await _uploaded_files(cleanup.idempotency_key, host)}
    jobs = [cleanup.host_job] if cleanup.host_job is not None else []
    if not jobs and files:
        # The request that created a job from these files may have had no answer.
        jobs = [job.id async for job in host.jobs() if job.training_file in files]
    for job in jobs:
        await _cancel(job, host)
    await _delete_files(files, host)
    await paid_deployments.delete_deployments_of_job(host, idempotency_key=cleanup.idempotency_key)
    for model in cleanup.models:
        await paid_deployments.delete_deployments_of_job(
            host, idempotency_key=None, served_name=model
        )
        await _delete_model(model, host)


async def _cancel(job: str, host: Host) -> None:
    """Cancels a job at its host; a job that has ended is refused by the host, which is ignored."""
    try:
        await host.cancel_job(job)
    except KeyRefused:
        raise
    except HostRefused:
        return


async def _delete_for_good(undoable: Undoable, record: JobWriter, hosts: Hosts) -> None:
    try:
        if undoable.host is not None:
            await _delete_at_host(undoable, hosts.get(undoable.host), record)
    except HostRefused as error:
        await _give_up(undoable, error, record)
        return
    except HostError as error:
        log.warning("A deletion failed and is retried", extra={"why": error.key})
        wait = _DELETION_WAIT * 2 ** min(undoable.attempts, _DELETION_DOUBLINGS)
        async with record.store.writing() as records:
            await records.undoables.postpone(undoable.id, until=record.clock.now() + wait)
        return
    async with record.store.writing() as records:
        await records.undoables.delete(undoable.id)


async def _delete_at_host(undoable: Undoable, host: Host, record: JobWriter) -> None:
    if undoable.kind == "model":
        await _delete_with_checkpoints(undoable, host, record)
        return
    file = str(undoable.details["file"])
    await _delete_files([file], host)
    async with record.store.writing() as records:
        job = await records.jobs.get(undoable.workspace, JobId(int(str(undoable.details["job"]))))
        changes: dict[str, object] = {
            "result_files": tuple(
                result_file for result_file in job.result_files if result_file != file
            )
        }
        for name in ("training_file", "validation_file"):
            if getattr(job, name) == file:
                changes[name] = None
        await records.jobs.update_if(undoable.workspace, job.id, when=None, **changes)


async def _delete_with_checkpoints(undoable: Undoable, host: Host, record: JobWriter) -> None:
    name = ModelName(str(undoable.details["model"]))
    async with record.store.reading() as records:
        model = await records.models.find(undoable.workspace, name)
        if model is None:
            return
        job = (
            await records.jobs.get(undoable.workspace, model.job) if model.job is not None else None
        )
    await paid_deployments.delete_deployments_of_job(
        host, idempotency_key=job.idempotency_key if job else None, served_name=model.served_name
    )
    await _delete_model(name, host)
    remaining = {sibling.name for sibling in await host.models()}
    async with record.store.writing() as records:
        # Some hosts delete the checkpoints of a model with it.
        for sibling in await records.models.all(undoable.workspace, model.assistant):
            if (
                sibling.job == model.job
                and sibling.host == model.host
                and sibling.name not in remaining
            ):
                await records.models.mark_deleted(undoable.workspace, sibling.name)


async def _give_up(undoable: Undoable, error: HostError, record: JobWriter) -> None:
    """Restores a model that its host refused to delete, and queues a notice with the reason."""
    details, thread = undoable.details, undoable.details.get("thread")
    channel = ChannelId(str(details["channel"]))
    place = Place(undoable.workspace, channel, MessageId(str(thread)) if thread else None)
    name = str(details.get("model") or details.get("file"))
    notice_details = {"name": name, "why": serialize(error)}
    at = record.clock.now()
    async with record.store.writing() as records:
        if undoable.kind == "model":
            await records.models.unmark_deleted(undoable.workspace, ModelName(name))
        key = f"{undoable.workspace}.kept.{undoable.id}"
        await records.outbox.put(key, place, DELETION_REFUSED_NOTICE, details=notice_details, at=at)
        await records.undoables.delete(undoable.id)


async def render_deletion_refused_notice(
    notice: Notice, records: Records, words: Words
) -> Drawn | None:
    """Renders the notice that a host refused a deletion, with the reason."""
    serialized = notice.details.get("why")
    why = deserialize(serialized) if isinstance(serialized, dict) else None
    name, error = notice.details.get("name"), why or AttuneError()
    text = (
        words.error_text(error)
        if may_quote_host(notice)
        else words.error_text_without_host_message(error)
    )
    return Text(words(DELETION_REFUSED_NOTICE, name=name, why=text))
