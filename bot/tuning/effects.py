"""What is done at the host in each phase: files sent, a job created and followed, a model deployed.

An effect is written down before it is tried (`attempted_at`) and its outcome after. Where the
outcome is unknown (a crash, a timeout, a 5xx), files are found by their name and jobs by their
training file; only when a listing could no longer lag is the effect tried again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from bot.domain import (
    Job,
    JobEvent,
    Model,
    ModelKind,
    ModelName,
    Phase,
    RequestedAction,
    Sampling,
    Split,
    StepMetrics,
)
from bot.errors import (
    EmptyAnswer,
    HostError,
    HostNotFound,
    HostRefused,
    HostTimeout,
    KeyRefused,
    ModelUnnamed,
    NotBegun,
    NotFound,
    StateUnknown,
)
from bot.evaluation import notices as evaluation_notices
from bot.evaluation import questions
from bot.paid_run_actions import queue_run_notice
from bot.ports.provider import Host, Hosts, JobRequest, PaidHost, RemoteFile, RemoteJob, Serving
from bot.ports.store import Records
from bot.tuning import holding_out, retries, serving, snapshot
from bot.tuning.states import ACTIONS, BY_HAND, NOT_YET_RUNNING, JobWriter

T = TypeVar("T")

log = logging.getLogger(__name__)

_FILES = ((Split.TRAIN, "training_file"), (Split.VALIDATION, "validation_file"))
_BAD_ENDS = {"failed": Phase.FAILED, "cancelled": Phase.CANCELLED}
_GOING_ON = (*NOT_YET_RUNNING, "running", "paused")
_HURRY = 0.1
_LONG_QUEUE, _LONG_RUN = timedelta(hours=2), timedelta(hours=6)
_SHORTEST_LONG_RUN = timedelta(minutes=30)
_LONGER_THAN_USUAL = 3
_LONGEST_WARM_UP, _LONGEST_DEPLOYING = timedelta(minutes=30), timedelta(hours=1)
_UNITS = ((120, 10), (1800, 60), (float("inf"), 300))
"""Below so many seconds, the grain in which time left is told."""


@dataclass(frozen=True, slots=True)
class PolledJob:
    """A job as its host's list has it; `remote` None: it must be asked for by its id.

    Without `wants_events` its events wait for another round.
    """

    remote: RemoteJob | None = None
    wants_events: bool = True


async def advance_job(record: JobWriter, job: Job, hosts: Hosts, seen: PolledJob | None) -> None:
    """One step of a job, by its phase.

    Raises HostError, JobChangedError, and NotFound where the host or workspace is gone.
    """
    host = hosts.get(job.host)
    match job.phase:
        case Phase.CONFIRMED:
            await _begin(record, job)
        case Phase.UPLOADING:
            await _upload_next(record, job, await _paid(record, job, hosts))
        case Phase.CREATING:
            await _create(record, job, await _paid(record, job, hosts))
        case Phase.WATCHING:
            await _follow(record, job, host, seen or PolledJob())
        case Phase.WARMING:
            await _warm_up(record, job, await _paid(record, job, hosts))
        case _:
            return


async def _paid(record: JobWriter, job: Job, hosts: Hosts) -> PaidHost:
    """Raises HostNotAllowed where the operator has taken the permission back meanwhile."""
    async with record.store.reading() as records:
        workspace = await records.workspaces.find(job.workspace)
    if workspace is None:
        raise NotFound(noun="workspace", name=job.workspace)
    return hosts.paid(job.host, workspace)


async def _begin(record: JobWriter, job: Job) -> None:
    """Examples are marked as held out only now: an estimate that is declined marks nothing."""
    if not await _is_stopped(record, job):
        await holding_out.hold_out(job, store=record.store, at=record.clock.now())
        await record.update(job, {"phase": Phase.UPLOADING})


async def _is_stopped(record: JobWriter, job: Job) -> bool:
    """Until the job is created it may be cancelled, and permission be taken back: it ends."""
    if job.requested_action is RequestedAction.CANCEL:
        await record.end(job, Phase.CANCELLED)
        return True
    async with record.store.reading() as records:
        forbidden = await records.snapshots.count_forbidden(job.workspace, job.snapshot)
    if forbidden:
        await record.end(job, Phase.ABANDONED, error_code="permission")
    return bool(forbidden)


async def _upload_next(record: JobWriter, job: Job, host: PaidHost) -> None:
    for split, field in _FILES:
        has_rows = split is Split.TRAIN or job.estimate.validation_rows > 0
        if has_rows and getattr(job, field) is None:
            return await _upload(record, job, host, split, field)
    return await record.update(job, {"phase": Phase.CREATING, "attempted_at": None})


async def _upload(record: JobWriter, job: Job, host: PaidHost, split: Split, field: str) -> None:
    if await _is_stopped(record, job):
        return None
    part = "training" if split is Split.TRAIN else "validation"
    name = f"attune-{job.idempotency_key}-{part}.jsonl"
    file = None
    if job.attempted_at is not None:
        file = await _find_file(host, job.idempotency_key, part)
        if file is None and record.may_lag(job, host):
            return await record.look_again(job, host)
    if file is None:
        lines = await snapshot.training_lines(job, split, host.profile, store=record.store)
        file = await record.attempt(job, host.upload(name, lines))
    return await record.update(
        job, {field: file.id, "attempted_at": None, **retries.cleared_failure()}
    )


async def _find_file(host: Host, start: str, part: str) -> RemoteFile | None:
    """The file of that start; of several, and of those that broke off, one that is whole stays."""
    found = [file async for file in host.files() if file.was_uploaded_for(start, part)]
    kept = next((file for file in found if file.is_whole), None)
    for stray in found:
        if stray is not kept:
            with contextlib.suppress(HostNotFound):
                await host.delete_file(stray.id)
    return kept


async def _create(record: JobWriter, job: Job, host: PaidHost) -> None:
    remote = None
    if job.attempted_at is not None:
        remote = await find_job(host, job.training_file or "")
        if remote is None and record.may_lag(job, host):
            return await record.look_again(job, host)
    if remote is None:
        if await _is_stopped(record, job):
            return None
        remote = await record.attempt(job, host.create_job(_job_request(job)))
    changes = {"phase": Phase.WATCHING, "host_job": remote.id, "status": remote.status}
    return await record.update(job, {**changes, "attempted_at": None, **retries.cleared_failure()})


async def find_job(host: Host, training_file: str) -> RemoteJob | None:
    """The job of that training file, if the host lists one; of several, one goes on."""
    found = [one async for one in host.jobs() if one.training_file == training_file]
    going_on = [one for one in found if one.status not in (*_BAD_ENDS, "cancelling")]
    kept = next(iter((*going_on, *found)), None)
    for twin in going_on[1:]:
        # Who tried twice, a proxy or the host itself, would have it paid for twice.
        with contextlib.suppress(HostRefused):
            await host.cancel_job(twin.id)
    return kept


def _job_request(job: Job) -> JobRequest:
    return JobRequest(
        idempotency_key=job.idempotency_key,
        base=job.base,
        training_file=job.training_file or "",
        validation_file=job.validation_file,
        method=job.method,
        hyperparameters=job.hyperparameters,
        suffix=job.suffix,
        seed=job.seed,
        price=job.estimate.price,
    )


async def _follow(record: JobWriter, job: Job, host: Host, seen: PolledJob) -> None:
    """The job's status, events and requested action, until the host reports an end."""
    remote = seen.remote or await host.job(job.host_job or "")
    is_over = remote.status == "succeeded" or remote.status in _BAD_ENDS
    if (action := job.requested_action) is not None:
        if not is_over:
            remote = await _request_of_host(record, job, action, host, remote)
        elif remote.status not in ACTIONS[action].fulfilled_at:
            await record.refuse_action(job, action, why=None)
    if remote.status == "succeeded" and remote.model is None:
        remote = replace(remote, model=await _deployable(host, remote))
    wants_events = seen.wants_events or is_over
    news = await _news(record, job, host, remote, wants_events=wants_events)
    if remote.status == "succeeded":
        if remote.model is None:
            raise ModelUnnamed(host=host.name)
        await _trained(record, job, remote, host, news)
    elif remote.status in _BAD_ENDS:
        why = {"error_code": remote.error_code, "error_message": remote.error_message}
        details = {"param": remote.error_param}
        end = _BAD_ENDS[remote.status]
        await record.end(job, end, **{**news, **why, "error_details": details})
    else:
        await _goes_on(record, job, remote, host, news)


async def _request_of_host(
    record: JobWriter, job: Job, action: RequestedAction, host: Host, remote: RemoteJob
) -> RemoteJob:
    """The job as the host has it after the action, where it can be asked for by now."""
    if remote.status in (*ACTIONS[action].waits_at, "cancelling"):
        return remote
    try:
        match action:
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
        await record.refuse_action(job, action, why=error)
        return remote


async def _deployable(host: Host, remote: RemoteJob) -> ModelName | None:
    """Where a model is deployed by hand, some hosts name it with its checkpoints only."""
    if host.profile.serving is not Serving.BY_HAND:
        return None
    checkpoints = await host.checkpoints(remote.id)
    return checkpoints[-1].model if checkpoints else None


async def _news(
    record: JobWriter, job: Job, host: Host, remote: RemoteJob, *, wants_events: bool
) -> dict[str, object]:
    """Fields of the job as the host reports them now; its new events are kept."""
    async with record.store.reading() as records:
        known = await records.jobs.event_ids(job.workspace, job.id)
    events = await _extras(job, host.job_events(remote.id, known)) if wants_events else ()
    async with record.store.writing() as records:
        await records.jobs.add_events(job.workspace, job.id, events)
    news = {"status": remote.status, **_progress(events)}
    if remote.resolved_hyperparameters:
        news["resolved_hyperparameters"] = remote.resolved_hyperparameters
    if remote.result_files:
        news["result_files"] = remote.result_files
    return {**news, "seconds_left": _seconds_left(job, remote, news, record.clock.now())}


def _progress(events: Sequence[JobEvent]) -> dict[str, object]:
    """Steps and losses come only from the host's events."""
    news: dict[str, object] = {}
    for event in events:
        values = {"step": event.step, "total_steps": event.total_steps}
        news.update({name: value for name, value in values.items() if value is not None})
        for metric in ("train_loss", "valid_loss"):
            if metric in event.metrics:
                news[metric] = event.metrics[metric]
    return news


def _seconds_left(
    job: Job, remote: RemoteJob, news: Mapping[str, object], now: datetime
) -> float | None:
    """As the host says, else by the pace of its steps; rounded, so that it seldom changes."""
    if remote.status != "running":
        return None
    if remote.seconds_left is not None:
        return _rounded(remote.seconds_left)
    if remote.estimated_finish is not None:
        return _rounded((remote.estimated_finish - now).total_seconds())
    step, total = (news.get(name, getattr(job, name)) for name in ("step", "total_steps"))
    if job.running_at is None or not isinstance(step, int) or not isinstance(total, int):
        return None
    took = (now - job.running_at).total_seconds()
    return _rounded(took / step * (total - step)) if step else None


def _rounded(seconds: float) -> float | None:
    if seconds <= 0:
        return None
    unit = next(unit for limit, unit in _UNITS if seconds < limit)
    return float(max(unit, round(seconds / unit) * unit))


async def _extras(job: Job, answer: Awaitable[Sequence[T]]) -> Sequence[T]:
    """Events, checkpoints, results; a host that refuses to give them trains all the same."""
    try:
        return await answer
    except HostError as error:
        if not isinstance(error, HostRefused) and job.attempts < retries.MOST_REFUSALS:
            raise
        log.warning("A host tells less of a job", extra={"job": job.id, "why": error.key})
        return ()


async def _goes_on(
    record: JobWriter, job: Job, remote: RemoteJob, host: Host, news: Mapping[str, object]
) -> None:
    """Any status that is not an end: `paused` too, and those that are not of the protocol."""
    now, action = record.clock.now(), job.requested_action
    changes = {**news, **retries.cleared_failure()}
    if remote.status == "running" and job.running_at is None:
        changes["running_at"] = now
    if action is not None and remote.status in ACTIONS[action].fulfilled_at:
        changes["requested_action"] = None
    if is_unusually_long(job, remote.status, now):
        changes["is_late"] = True
    if remote.status in NOT_YET_RUNNING and _waited(job, now) > record.limits.job:
        why = retries.failure_fields(NotBegun(host=host.name))
        return await record.give_up(job, error_code=None, **why)
    if remote.status not in _GOING_ON:
        is_new = job.status != remote.status or news.get("step", job.step) != job.step
        known = replace(job, error_details={}) if is_new else job
        if now - retries.unknown_since(known, now=now) > record.limits.job:
            why = retries.failure_fields(StateUnknown(host=host.name, message=remote.status))
            return await record.give_up(job, error_code=None, **why)
        changes["error_details"] = retries.unknown_status(known, now=now)
    poll = host.profile.poll_seconds
    # A cancel that was asked of the host is not asked again in a hurry.
    is_hurried = (
        action in (RequestedAction.PAUSE, RequestedAction.RESUME)
        and "requested_action" not in changes
    )
    return await record.update(job, changes, wait=min(poll, _HURRY) if is_hurried else poll)


def _waited(job: Job, now: datetime) -> timedelta:
    """For how long it has waited to be begun; one that ran already is resumed, not waited for."""
    since = job.confirmed_at if job.running_at is None else None
    return now - (since or now)


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


async def _trained(
    record: JobWriter, job: Job, remote: RemoteJob, host: Host, news: Mapping[str, object]
) -> None:
    checkpoints = await _extras(job, host.checkpoints(remote.id))
    measures = await _extras(job, _result_measures(host, remote))
    async with record.store.writing() as records:
        await records.jobs.add_checkpoints(job.workspace, job.id, checkpoints)
        await records.jobs.add_measures(job.workspace, job.id, measures)
    changes = {
        **retries.cleared_failure(),
        "phase": Phase.WARMING,
        "model": remote.model,
        "trained_tokens": remote.trained_tokens,
        "running_at": job.running_at or job.confirmed_at,
        "finished_at": record.clock.now(),
        "requested_action": None,
    }
    await record.update(job, {**news, **changes})


async def _result_measures(host: Host, remote: RemoteJob) -> Sequence[StepMetrics]:
    files = [await host.result_file(file) for file in remote.result_files]
    return [one for file in files for one in file.measures]


async def _warm_up(record: JobWriter, job: Job, host: PaidHost) -> None:
    """Deploy the model where the host needs that, and announce it once it has answered.

    Raises HostTimeout where the deployment should long have been ready.
    """
    model, profile = ModelName(job.model or ""), host.profile
    if profile.serving is Serving.BY_HAND:
        page = profile.serving_page or host.name
        return await _succeed(record, job, served_name=None, error_message=page, error_code=BY_HAND)
    limit = _LONGEST_WARM_UP if profile.serving is Serving.AT_ONCE else _LONGEST_DEPLOYING
    now = record.clock.now()
    is_given_up = now - (job.finished_at or now) > limit
    try:
        name = f"attune-{job.idempotency_key}"
        served_name = await host.serve(job.host_job or "", model, base=job.base, name=name)
        if served_name is None:
            if is_given_up:
                raise HostTimeout(host=host.name)
            return await record.postpone(job, seconds=profile.poll_seconds)
        await _await_first_word(host, served_name)
    except HostError as error:
        if not is_given_up:
            raise
        return await _succeed(record, job, served_name=None, **retries.failure_fields(error))
    if profile.serving is Serving.BY_CALL:
        async with record.store.writing() as records:
            await serving.queue_hourly_cost_notice(records, job, host, at=now)
    return await _succeed(record, job, served_name=None if served_name == model else served_name)


async def _await_first_word(host: PaidHost, model: ModelName) -> None:
    """An empty answer is an answer too."""
    question = [{"role": "user", "content": "Hello"}]
    try:
        async with aclosing(host.chat(model, question, Sampling(max_tokens=8))) as deltas:
            await anext(deltas, None)
    except EmptyAnswer:
        return


async def _succeed(
    record: JobWriter, job: Job, *, served_name: ModelName | None, **changes: object
) -> None:
    """Keep the models and deploy the new one, in the transaction that ends the job."""
    changes = {"error_message": None, "error_details": {}, **changes}
    at = record.clock.now()
    async with record.store.writing() as records:
        is_tainted = await _keep_models(records, job, served_name=served_name, at=at)
        if changes["error_message"] is None:
            await _evaluate_or_deploy(records, job, served_name=served_name, at=at)
        changes["requested_action"] = RequestedAction.FORGET if is_tainted else None
        await record.write_end(records, job, Phase.SUCCEEDED, **changes)


async def _keep_models(
    records: Records, job: Job, *, served_name: ModelName | None, at: datetime
) -> bool:
    """The model and its checkpoints; marked, and True, where a row was erased meanwhile."""
    assistant = await records.assistants.get(job.workspace, job.assistant)
    earlier = await records.models.all(job.workspace, job.assistant)
    number = 1 + sum(model.kind is ModelKind.TUNED for model in earlier)
    taken = {name for model in earlier for name in (model.label, model.name)}
    while f"{assistant.name} {number}" in taken:
        number += 1
    tuned = Model(
        workspace=job.workspace,
        assistant=job.assistant,
        name=ModelName(job.model or ""),
        host=job.host,
        kind=ModelKind.TUNED,
        parent=job.base,
        job=job.id,
        created_at=at,
        served_name=served_name,
        label=f"{assistant.name} {number}",
    )
    for checkpoint in await records.jobs.checkpoints(job.workspace, job.id):
        if checkpoint.model != job.model:
            kind = ModelKind.CHECKPOINT
            kept = replace(tuned, name=checkpoint.model, kind=kind, served_name=None, label=None)
            await records.models.add(job.workspace, kept)
    await records.models.add(job.workspace, tuned)
    is_tainted = bool(await records.snapshots.count_forbidden(job.workspace, job.snapshot))
    if is_tainted:
        await records.models.taint(job.workspace, [job.snapshot])
    return is_tainted


async def _evaluate_or_deploy(
    records: Records, job: Job, *, served_name: ModelName | None, at: datetime
) -> None:
    """The evaluation is compared with what is in use before; as a gate it decides what is after."""
    is_gate = job.use_when_done and job.use_if_better
    evaluation = await questions.start_evaluation_for_job(records, job, is_gate=is_gate, at=at)
    if evaluation is not None:
        await queue_run_notice(records, evaluation, evaluation_notices.STATUS, at=at)
    if job.use_when_done and (evaluation is None or not is_gate):
        await _deploy(records, job, served_name=served_name, at=at)


async def _deploy(
    records: Records, job: Job, *, served_name: ModelName | None, at: datetime
) -> None:
    current = await records.deployments.current(job.workspace, job.assistant)
    await records.deployments.add(
        job.workspace,
        job.assistant,
        model=ModelName(job.model or ""),
        host=job.host,
        by=job.asked_by,
        at=at,
        after=current.model if current else None,
        served_name=served_name,
    )
    await records.audit.add(job.workspace, job.asked_by, "model.used", at=at, model=job.model)
