"""The way out of the house: files up, job made, each once."""

from __future__ import annotations

from collections.abc import Iterator

from bot.domain import Job, Phase, RequestedAction, Split
from bot.ports.provider import Host, PaidHost, RemoteFile, RemoteJob
from bot.tuning import freezing
from bot.tuning.host_calls import file_name, find_file, find_job, request, training_lines
from bot.tuning.job_record import JobRecord, no_trouble

_FILES = ((Split.TRAIN, "training_file"), (Split.VALIDATION, "validation_file"))


async def begin(ledger: JobRecord, job: Job) -> None:
    """What is held back is marked only now: an estimate that is declined marks nothing."""
    if not await _must_not_go_on(ledger, job):
        await freezing.hold_out(job, store=ledger.store, at=ledger.clock.now())
        await ledger.record(job, {"phase": Phase.UPLOADING})


async def upload_parts(ledger: JobRecord, job: Job, host: PaidHost) -> None:
    for split, field in _FILES:
        has_rows = split is Split.TRAIN or job.estimate.validation_rows > 0
        if has_rows and getattr(job, field) is None:
            if await _must_not_go_on(ledger, job):
                return None
            return await _upload(ledger, job, host, split, field)
    return await ledger.record(job, {"phase": Phase.CREATING, "attempted_at": None})


async def create(ledger: JobRecord, job: Job, host: PaidHost) -> None:
    if job.attempted_at is not None:
        found = await find_job(host, job.training_file or "")
        if found is not None:
            return await _adopt(ledger, job, found)
        if ledger.may_lag(job, host):
            return await ledger.look_again(job, host)
    if await _must_not_go_on(ledger, job):
        return None
    made = await ledger.attempt(job, host.create_job(request(job)))
    return await _adopt(ledger, job, made)


async def _must_not_go_on(ledger: JobRecord, job: Job) -> bool:
    """Until create, permission may be taken back and the start cancelled."""
    if job.requested_action is RequestedAction.CANCEL:
        await ledger.end(job, Phase.CANCELLED)
        return True
    async with ledger.store.reading() as records:
        forbidden = await records.snapshots.forbidden(job.workspace, job.snapshot)
    if forbidden:
        await ledger.end(job, Phase.ABANDONED, trouble_code="permission")
    return bool(forbidden)


async def _upload(ledger: JobRecord, job: Job, host: PaidHost, split: Split, field: str) -> None:
    name = file_name(job, split)
    if job.attempted_at is not None:
        found = await find_file(host, name)
        if found is not None:
            return await ledger.record(job, _done(field, found))
        if ledger.may_lag(job, host):
            return await ledger.look_again(job, host)
    lines = await _lines(ledger, job, host, split)
    uploaded = await ledger.attempt(job, host.upload(name, lines))
    return await ledger.record(job, _done(field, uploaded))


async def _adopt(ledger: JobRecord, job: Job, remote: RemoteJob) -> None:
    await ledger.record(
        job,
        {
            "phase": Phase.WATCHING,
            "host_job": remote.id,
            "status": remote.status,
            "attempted_at": None,
            **no_trouble(),
        },
    )


async def _lines(ledger: JobRecord, job: Job, host: Host, split: Split) -> Iterator[bytes]:
    async with ledger.store.reading() as records:
        assistant = await records.assistants.get(job.workspace, job.assistant)
        rows = [row async for row in records.snapshots.rows(job.workspace, job.snapshot, split)]
    return training_lines(rows, assistant, host.profile)


def _done(field: str, file: RemoteFile) -> dict[str, object]:
    return {field: file.id, "attempted_at": None, **no_trouble()}
