"""A job at its host, looked at until it ends: its status, its events, what people wish of it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from bot.domain import Job, ModelName, Phase, RequestedAction
from bot.errors import HostError, HostRefused, KeyRefused, ModelUnnamed, StateUnknown
from bot.ports.provider import Host, RemoteJob, Serving
from bot.tuning.host_calls import is_granted, news_of, result_measures
from bot.tuning.job_record import JobRecord, no_trouble, trouble
from bot.tuning.patience import TIMES_REFUSED, noted_unknown, unknown_since

T = TypeVar("T")

log = logging.getLogger(__name__)

BAD_ENDS = {"failed": Phase.FAILED, "cancelled": Phase.CANCELLED}

_HURRY = 0.1
_ENDS_WISHED = {RequestedAction.CANCEL: "cancelled"}
_NOT_YET_RUNNING = ("validating_files", "queued")
_GOING_ON = (*_NOT_YET_RUNNING, "running", "paused")
_LONG_QUEUE = timedelta(hours=2)
_LONG_RUN = timedelta(hours=6)
_SHORTEST_LONG_RUN = timedelta(minutes=30)
_LONGER_THAN_USUAL = 3


async def follow(
    ledger: JobRecord, job: Job, host: Host, *, remote: RemoteJob | None = None, told: bool = True
) -> None:
    """One look; `remote` is how the job stands where that is known, `told` asks for its events."""
    remote = remote or await host.job(job.host_job or "")
    is_over = remote.status == "succeeded" or remote.status in BAD_ENDS
    if job.requested_action is not None and not is_over:
        remote = await _act_on_wish(ledger, job, job.requested_action, host, remote)
    elif (
        job.requested_action is not None and _ENDS_WISHED.get(job.requested_action) != remote.status
    ):
        await ledger.refused(job, job.requested_action, why=None)
    if remote.status == "succeeded" and remote.model is None:
        remote = replace(remote, model=await _deployable(host, remote))
    news = await _news(ledger, job, host, remote, told=told or is_over)
    if remote.status == "succeeded" and remote.model is None:
        raise ModelUnnamed(host=host.name)
    if remote.status == "succeeded":
        await _trained(ledger, job, remote, host, news)
    elif remote.status in BAD_ENDS:
        await ledger.end(job, BAD_ENDS[remote.status], **{**news, **_why(remote)})
    else:
        await _goes_on(ledger, job, remote, host, news)


def is_unusually_long(job: Job, status: str, now: datetime) -> bool:
    """Longer than trainings like it took, or than anybody would wait without a word."""
    if status == "paused" or job.is_late:
        return False
    if job.running_at is None:
        return job.confirmed_at is not None and now - job.confirmed_at > _LONG_QUEUE
    usual = job.estimate.seconds
    if usual is None:
        return now - job.running_at > _LONG_RUN
    limit = max(_SHORTEST_LONG_RUN, timedelta(seconds=_LONGER_THAN_USUAL * usual))
    return now - job.running_at > limit


async def _deployable(host: Host, remote: RemoteJob) -> ModelName | None:
    """Where a model is deployed by hand, some hosts name it with its checkpoints only."""
    if host.profile.serving is not Serving.BY_HAND:
        return None
    checkpoints = await host.checkpoints(remote.id)
    return checkpoints[-1].model if checkpoints else None


async def _news(
    ledger: JobRecord, job: Job, host: Host, remote: RemoteJob, *, told: bool
) -> dict[str, object]:
    async with ledger.store.reading() as records:
        seen = await records.jobs.event_ids(job.workspace, job.id)
    events = await _extras(job, host.job_events(remote.id, seen)) if told else ()
    async with ledger.store.writing() as records:
        await records.jobs.add_events(job.workspace, job.id, events)
    return news_of(job, remote, events, now=ledger.clock.now())


def _why(remote: RemoteJob) -> dict[str, object]:
    return {
        "trouble_code": remote.error_code,
        "trouble": remote.error_message,
        "trouble_details": {"param": remote.error_param},
    }


async def _goes_on(
    ledger: JobRecord, job: Job, remote: RemoteJob, host: Host, news: Mapping[str, object]
) -> None:
    """Anything that is not an end: `paused`, and words nobody has seen before, too."""
    changes = {**news, **no_trouble()}
    if remote.status == "running" and job.running_at is None:
        changes["running_at"] = ledger.clock.now()
    if is_granted(job.requested_action, remote.status):
        changes["requested_action"] = None
    if is_unusually_long(job, remote.status, ledger.clock.now()):
        changes["is_late"] = True
    if remote.status not in _GOING_ON:
        if _is_stuck(ledger, job, remote, news):
            why = trouble(StateUnknown(host=host.name, message=remote.status))
            return await ledger.give_up(job, trouble_code=None, **why)
        changes["trouble_details"] = noted_unknown(_seen(job, remote, news), now=ledger.clock.now())
    poll = host.profile.poll_seconds
    # A cancel that was asked of the host is not asked again in a hurry.
    is_hurried = (
        job.requested_action in (RequestedAction.PAUSE, RequestedAction.RESUME)
        and "requested_action" not in changes
    )
    return await ledger.record(job, changes, wait=min(poll, _HURRY) if is_hurried else poll)


def _is_stuck(ledger: JobRecord, job: Job, remote: RemoteJob, news: Mapping[str, object]) -> bool:
    """Whether the host has reported the same unknown word, and nothing else, for too long."""
    now = ledger.clock.now()
    return now - unknown_since(_seen(job, remote, news), now=now) > ledger.patience.job


def _seen(job: Job, remote: RemoteJob, news: Mapping[str, object]) -> Job:
    """The job, without its memory of an unknown state where the host has told something new."""
    is_new = job.status != remote.status or news.get("step", job.step) != job.step
    return replace(job, trouble_details={}) if is_new else job


async def _trained(
    ledger: JobRecord, job: Job, remote: RemoteJob, host: Host, news: Mapping[str, object]
) -> None:
    checkpoints = await _extras(job, host.checkpoints(remote.id))
    measures = await _extras(job, result_measures(host, remote))
    async with ledger.store.writing() as records:
        await records.jobs.add_checkpoints(job.workspace, job.id, checkpoints)
        await records.jobs.add_measures(job.workspace, job.id, measures)
    await ledger.record(
        job,
        {
            **news,
            **no_trouble(),
            "phase": Phase.WARMING,
            "model": remote.model,
            "trained_tokens": remote.trained_tokens,
            "running_at": job.running_at or job.confirmed_at,
            "finished_at": ledger.clock.now(),
            "requested_action": None,
        },
    )


async def _act_on_wish(
    ledger: JobRecord, job: Job, requested_action: RequestedAction, host: Host, remote: RemoteJob
) -> RemoteJob:
    """The job as it is after it."""
    is_too_early = requested_action is RequestedAction.PAUSE and remote.status in _NOT_YET_RUNNING
    if is_too_early or remote.status == "cancelling":
        return remote
    try:
        match requested_action:
            case RequestedAction.CANCEL:
                return await host.cancel_job(remote.id)
            case RequestedAction.PAUSE:
                return await host.pause_job(remote.id)
            case RequestedAction.RESUME:
                return await host.resume_job(remote.id)
            case _:
                return remote
    except KeyRefused:
        raise
    except HostRefused as error:
        await ledger.refused(job, requested_action, why=error)
        return remote


async def _extras(job: Job, asked: Awaitable[Sequence[T]]) -> Sequence[T]:
    """Events and checkpoints tell more; a host that does not give them trains all the same."""
    try:
        return await asked
    except HostError as error:
        if not isinstance(error, HostRefused) and job.attempts < TIMES_REFUSED:
            raise
        log.warning("A host tells less of a job", extra={"job": job.id, "why": error.key})
        return ()
