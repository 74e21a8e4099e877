"""The step of each phase at the host: upload files, create and poll a job, deploy the model.

`attempted_at` is stored before a request with an effect, and its outcome after. If the outcome
is unknown (a crash, a timeout, a 5xx), files are looked up by name and jobs by training file; the
request is repeated only once the host's lists cannot lag any more.
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
from bot.evaluation import planning
from bot.paid_run_actions import queue_run_notice
from bot.ports.model_hosts import Host, Hosts, JobRequest, PaidHost, RemoteFile, RemoteJob, Serving
from bot.ports.store import Records
from bot.tuning import paid_deployments, retries, snapshot
from bot.tuning.state_machine import (
    ACTION_RULES,
    DEPLOY_BY_HAND,
    STATUSES_BEFORE_RUNNING,
    JobWriter,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

_FILES = ((Split.TRAIN, "training_file"), (Split.VALIDATION, "validation_file"))
_BAD_ENDS = {"failed": Phase.FAILED, "cancelled": Phase.CANCELLED}
_KNOWN_STATUSES = (*STATUSES_BEFORE_RUNNING, "running", "paused")
_SHORT_POLL_SECONDS = 0.1
_LONG_QUEUE, _LONG_RUN = timedelta(hours=2), timedelta(hours=6)
_MIN_LONG_RUN_LENGTH = timedelta(minutes=30)
_LONGER_THAN_USUAL = 3
_MAX_WARM_UP_SECONDS, _MAX_DEPLOYMENT_WAIT = timedelta(minutes=30), timedelta(hours=1)
_UNITS = ((120, 10), (1800, 60), (float("inf"), 300))
"""(limit, unit) in seconds: remaining time below `limit` is rounded to multiples of `unit`."""


@dataclass(frozen=True, slots=True)
class PolledJob:
    """A job from the host's list; with `remote` None it must be fetched by its id.

    Without `wants_events` its events are not fetched in this round.
    """

    remote: RemoteJob | None = None
    fetches_events: bool = True


async def advance_job(record: JobWriter, job: Job, hosts: Hosts, polled: PolledJob | None) -> None:
    """Makes the next step of a job, by its phase.

    Raises HostError, JobChangedError, and NotFound if the host or workspace does not exist.
    """
    host = hosts.get(job.host)
    match job.phase:
        case Phase.CONFIRMED:
            await _begin(record, job)
        case Phase.UPLOADING:
            await _upload_next(record, job, await _paid_host(record, job, hosts))
        case Phase.CREATING:
            await _create(record, job, await _paid_host(record, job, hosts))
        case Phase.WATCHING:
            await _handle_status(record, job, host, polled or PolledJob())
        case Phase.WARMING:
            await _warm_up(record, job, await _paid_host(record, job, hosts), hosts)
        case _:
            return


async def _paid_host(record: JobWriter, job: Job, hosts: Hosts) -> PaidHost:
    """Returns the job's host; raises HostNotAllowed if the operator revoked the permission."""
    async with record.store.reading() as records:
        workspace = await records.workspaces.find(job.workspace)
    if workspace is None:
        raise NotFound(noun="workspace", name=job.workspace)
    return hosts.get_paid(job.host, workspace)


async def _begin(record: JobWriter, job: Job) -> None:
    """Marks held-out examples; only now, so that a declined estimate marks nothing."""
    if not await _end_if_stopped(record, job):
        await snapshot.mark_held_out(job, store=record.store, at=record.clock.now())
        await record.update_job(job, {"phase": Phase.UPLOADING})


async def _end_if_stopped(record: JobWriter, job: Job) -> bool:
    """Ends a job that was cancelled, or lost permission for a row; returns whether it ended."""
    if job.requested_action is RequestedAction.CANCEL:
        await record.end_job(job, Phase.CANCELLED)
        return True
    async with record.store.reading() as records:
        forbidden = await records.snapshots.count_untrainable_rows(job.workspace, job.snapshot)
    if forbidden:
        await record.end_job(job, Phase.ABANDONED, error_code="permission")
    return bool(forbidden)


async def _upload_next(record: JobWriter, job: Job, host: PaidHost) -> None:
    for split, field in _FILES:
        has_rows = split is Split.TRAIN or job.estimate.validation_rows > 0
        if has_rows and getattr(job, field) is None:
            return await _upload(record, job, host, split, field)
    return await record.update_job(job, {"phase": Phase.CREATING, "attempted_at": None})


async def _upload(record: JobWriter, job: Job, host: PaidHost, split: Split, field: str) -> None:
    if await _end_if_stopped(record, job):
        return None
    part = "training" if split is Split.TRAIN else "validation"
    name = f"attune-{job.idempotency_key}-{part}.jsonl"
    file = None
    if job.attempted_at is not None:
        file = await _find_file(host, job.idempotency_key, part)
        if file is None and record.may_list_lag(job, host):
            return await record.poll_again_soon(job, host)
    if file is None:
        lines = await snapshot.training_lines(job, split, host.profile, store=record.store)
        file = await record.attempt_request(job, host.upload(name, lines))
    return await record.update_job(
        job, {field: file.id, "attempted_at": None, **retries.job_fields_without_error()}
    )


async def _find_file(host: Host, start: str, part: str) -> RemoteFile | None:
    """Returns the complete file uploaded for a job, if any; deletes other and incomplete ones."""
    files = [file async for file in host.files() if file.was_uploaded_for(start, part)]
    complete = next((file for file in files if file.is_whole), None)
    for stray in files:
        if stray is not complete:
            with contextlib.suppress(HostNotFound):
                await host.delete_file(stray.id)
    return complete


async def _create(record: JobWriter, job: Job, host: PaidHost) -> None:
    remote = None
    if job.attempted_at is not None:
        remote = await find_job_by_training_file(host, job.training_file or "")
        if remote is None and record.may_list_lag(job, host):
            return await record.poll_again_soon(job, host)
    if remote is None:
        if await _end_if_stopped(record, job):
            return None
        remote = await record.attempt_request(job, host.create_job(_job_request(job)))
    changes = {"phase": Phase.WATCHING, "host_job": remote.id, "status": remote.status}
    return await record.update_job(
        job, {**changes, "attempted_at": None, **retries.job_fields_without_error()}
    )


async def find_job_by_training_file(host: Host, training_file: str) -> RemoteJob | None:
    """Returns the host's job with this training file, if any; cancels further running ones."""
    jobs = [remote async for remote in host.jobs() if remote.training_file == training_file]
    running = [remote for remote in jobs if remote.status not in (*_BAD_ENDS, "cancelling")]
    remaining = next(iter((*running, *jobs)), None)
    for twin in running[1:]:
        # A proxy or the host may have repeated the request, and each job is charged.
        with contextlib.suppress(HostRefused):
            await host.cancel_job(twin.id)
    return remaining


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


async def _handle_status(record: JobWriter, job: Job, host: Host, polled: PolledJob) -> None:
    """Handles the job's status, events and requested action, until the host reports an end."""
    remote = polled.remote or await host.job(job.host_job or "")
    is_over = remote.status == "succeeded" or remote.status in _BAD_ENDS
    if (action := job.requested_action) is not None:
        if not is_over:
            remote = await _send_action(record, job, action, host, remote)
        elif remote.status not in ACTION_RULES[action].fulfilled_at:
            await record.refuse_action(job, action, why=None)
    if remote.status == "succeeded" and remote.model is None:
        remote = replace(remote, model=await _last_checkpoint_model(host, remote))
    wants_events = polled.fetches_events or is_over
    news = await _fetch_news(record, job, host, remote, wants_events=wants_events)
    if remote.status == "succeeded":
        if remote.model is None:
            raise ModelUnnamed(host=host.name)
        await _finish_training(record, job, remote, host, news)
    elif remote.status in _BAD_ENDS:
        why = {"error_code": remote.error_code, "error_message": remote.error_message}
        details = {"param": remote.error_param}
        end = _BAD_ENDS[remote.status]
        await record.end_job(job, end, **{**news, **why, "error_details": details})
    else:
        await _continue(record, job, remote, host, news)


async def _send_action(
    record: JobWriter, job: Job, action: RequestedAction, host: Host, remote: RemoteJob
) -> RemoteJob:
    """Sends a requested action, if the host's status allows it; returns the job after it."""
    if remote.status in (*ACTION_RULES[action].waits_at, "cancelling"):
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


async def _last_checkpoint_model(host: Host, remote: RemoteJob) -> ModelName | None:
    """Returns the last checkpoint's model: some hosts with manual deployment name no other."""
    if host.profile.serving is not Serving.DEPLOYED_BY_PERSON:
        return None
    checkpoints = await host.checkpoints(remote.id)
    return checkpoints[-1].model if checkpoints else None


async def _fetch_news(
    record: JobWriter, job: Job, host: Host, remote: RemoteJob, *, wants_events: bool
) -> dict[str, object]:
    """Stores the job's new events; returns the fields of the job that the host reports."""
    async with record.store.reading() as records:
        known_ids = await records.jobs.event_ids(job.workspace, job.id)
    events = (
        await _fetch_optional(job, host.job_events(remote.id, known_ids)) if wants_events else ()
    )
    async with record.store.writing() as records:
        await records.jobs.add_events(job.workspace, job.id, events)
    news = {"status": remote.status, **_progress(events)}
    if remote.resolved_hyperparameters:
        news["resolved_hyperparameters"] = remote.resolved_hyperparameters
    if remote.result_files:
        news["result_files"] = remote.result_files
    return {**news, "seconds_left": _seconds_left(job, remote, news, record.clock.now())}


def _progress(events: Sequence[JobEvent]) -> dict[str, object]:
    """Returns step and loss fields; the protocol has them only in events."""
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
    """Returns the host's estimate, else one by the time per step.

    Rounded, so that the status message is seldom edited.
    """
    if remote.status != "running":
        return None
    if remote.seconds_left is not None:
        return _rounded(remote.seconds_left)
    if remote.estimated_finish is not None:
        return _rounded((remote.estimated_finish - now).total_seconds())
    step, total = (news.get(name, getattr(job, name)) for name in ("step", "total_steps"))
    if job.running_at is None or not isinstance(step, int) or not isinstance(total, int):
        return None
    elapsed = (now - job.running_at).total_seconds()
    return _rounded(elapsed / step * (total - step)) if step else None


def _rounded(seconds: float) -> float | None:
    if seconds <= 0:
        return None
    unit = next(unit for limit, unit in _UNITS if seconds < limit)
    return float(max(unit, round(seconds / unit) * unit))


async def _fetch_optional(job: Job, answer: Awaitable[Sequence[T]]) -> Sequence[T]:
    """Returns events, checkpoints or results; nothing if the host refuses them.

    These are optional, so a refusal does not end the job. Other errors are raised until there
    were several in a row.
    """
    try:
        return await answer
    except HostError as error:
        if not isinstance(error, HostRefused) and job.attempts < retries.MAX_REFUSALS:
            raise
        log.warning("A host refused details of a job", extra={"job": job.id, "why": error.key})
        return ()


async def _continue(
    record: JobWriter, job: Job, remote: RemoteJob, host: Host, news: Mapping[str, object]
) -> None:
    """Handles any status that is not an end: also `paused`, and statuses not in the protocol."""
    now, action = record.clock.now(), job.requested_action
    changes = {**news, **retries.job_fields_without_error()}
    if remote.status == "running" and job.running_at is None:
        changes["running_at"] = now
    if action is not None and remote.status in ACTION_RULES[action].fulfilled_at:
        changes["requested_action"] = None
    if is_unusually_long(job, remote.status, now):
        changes["is_late"] = True
    if remote.status in STATUSES_BEFORE_RUNNING and _waiting_time(job, now) > record.limits.job:
        why = retries.job_fields_of_error(NotBegun(host=host.name))
        return await record.end_job_as_failed(job, error_code=None, **why)
    if remote.status not in _KNOWN_STATUSES:
        is_new = job.status != remote.status or news.get("step", job.step) != job.step
        counted = replace(job, error_details={}) if is_new else job
        if now - retries.unknown_status_since(counted, now=now) > record.limits.job:
            why = retries.job_fields_of_error(StateUnknown(host=host.name, message=remote.status))
            return await record.end_job_as_failed(job, error_code=None, **why)
        changes["error_details"] = retries.error_details_of_unknown_status(counted, now=now)
    poll = host.profile.poll_seconds
    # A cancel that was sent is not sent again at the short interval.
    is_hurried = (
        action in (RequestedAction.PAUSE, RequestedAction.RESUME)
        and "requested_action" not in changes
    )
    return await record.update_job(
        job, changes, wait=min(poll, _SHORT_POLL_SECONDS) if is_hurried else poll
    )


def _waiting_time(job: Job, now: datetime) -> timedelta:
    """Returns how long a job has waited for its first run; zero if it ran before."""
    since = job.confirmed_at if job.running_at is None else None
    return now - (since or now)


def is_unusually_long(job: Job, status: str, now: datetime) -> bool:
    """Whether a job takes longer than earlier ones did, or than a fixed limit without these."""
    if status == "paused" or job.is_late:
        return False
    if job.running_at is None:
        return job.confirmed_at is not None and now - job.confirmed_at > _LONG_QUEUE
    usual = job.estimate.seconds
    if usual is None:
        return now - job.running_at > _LONG_RUN
    limit = max(_MIN_LONG_RUN_LENGTH, timedelta(seconds=_LONGER_THAN_USUAL * usual))
    return now - job.running_at > limit


async def _finish_training(
    record: JobWriter, job: Job, remote: RemoteJob, host: Host, news: Mapping[str, object]
) -> None:
    checkpoints = await _fetch_optional(job, host.checkpoints(remote.id))
    measures = await _fetch_optional(job, _result_measures(host, remote))
    async with record.store.writing() as records:
        await records.jobs.add_checkpoints(job.workspace, job.id, checkpoints)
        await records.jobs.add_metrics(job.workspace, job.id, measures)
    changes = {
        **retries.job_fields_without_error(),
        "phase": Phase.WARMING,
        "model": remote.model,
        "trained_tokens": remote.trained_tokens,
        "running_at": job.running_at or job.confirmed_at,
        "finished_at": record.clock.now(),
        "requested_action": None,
    }
    await record.update_job(job, {**news, **changes})


async def _result_measures(host: Host, remote: RemoteJob) -> Sequence[StepMetrics]:
    files = [await host.result_file(file) for file in remote.result_files]
    return [metrics for file in files for metrics in file.measures]


async def _warm_up(record: JobWriter, job: Job, host: PaidHost, hosts: Hosts) -> None:
    """Deploys the model if the host needs that, and ends the job once the model has answered.

    After a time limit the job ends with the error instead.
    """
    model, profile = ModelName(job.model or ""), host.profile
    if profile.serving is Serving.DEPLOYED_BY_PERSON:
        page = profile.serving_page or host.name
        fields = {"error_message": page, "error_code": DEPLOY_BY_HAND}
        return await _succeed(record, job, hosts, served_name=None, **fields)
    limit = (
        _MAX_WARM_UP_SECONDS
        if profile.serving is Serving.READY_WHEN_TRAINED
        else _MAX_DEPLOYMENT_WAIT
    )
    now = record.clock.now()
    is_given_up = now - (job.finished_at or now) > limit
    try:
        name = f"attune-{job.idempotency_key}"
        served_name = await host.deploy(job.host_job or "", model, base=job.base, name=name)
        if served_name is None:
            if is_given_up:
                raise HostTimeout(host=host.name)
            return await record.postpone_polls(job, seconds=profile.poll_seconds)
        await _await_first_delta(host, served_name)
    except HostError as error:
        if not is_given_up:
            raise
        return await _succeed(
            record, job, hosts, served_name=None, **retries.job_fields_of_error(error)
        )
    if profile.serving is Serving.DEPLOYED_BY_API:
        async with record.store.writing() as records:
            await paid_deployments.queue_hourly_cost_notice(records, job, host, at=now)
    if served_name == model:
        served_name = None
    return await _succeed(record, job, hosts, served_name=served_name)


async def _await_first_delta(host: PaidHost, model: ModelName) -> None:
    """Sends one request to the model; an empty answer counts as an answer."""
    question = [{"role": "user", "content": "Hello"}]
    try:
        async with aclosing(host.chat(model, question, Sampling(max_tokens=8))) as deltas:
            await anext(deltas, None)
    except EmptyAnswer:
        return


async def _succeed(
    record: JobWriter, job: Job, hosts: Hosts, *, served_name: ModelName | None, **changes: object
) -> None:
    """Stores the models and deploys the new one, in the transaction that ends the job."""
    changes = {"error_message": None, "error_details": {}, **changes}
    at = record.clock.now()
    async with record.store.writing() as records:
        is_tainted = await _store_models(records, job, served_name=served_name, at=at)
        if changes["error_message"] is None:
            await _evaluate_or_deploy(records, job, hosts, served_name=served_name, at=at)
        changes["requested_action"] = RequestedAction.FORGET if is_tainted else None
        await record.write_end(records, job, Phase.SUCCEEDED, **changes)


async def _store_models(
    records: Records, job: Job, *, served_name: ModelName | None, at: datetime
) -> bool:
    """Stores the model and its checkpoints; returns whether they are tainted.

    They are if one of their rows was erased during the training.
    """
    assistant = await records.assistants.get(job.workspace, job.assistant)
    earlier = await records.models.all(job.workspace, job.assistant)
    number = 1 + sum(model.kind is ModelKind.TUNED for model in earlier)
    used_names = {name for model in earlier for name in (model.label, model.name)}
    while f"{assistant.name} {number}" in used_names:
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
            stored = replace(tuned, name=checkpoint.model, kind=kind, served_name=None, label=None)
            await records.models.add(job.workspace, stored)
    await records.models.add(job.workspace, tuned)
    is_tainted = bool(await records.snapshots.count_untrainable_rows(job.workspace, job.snapshot))
    if is_tainted:
        await records.models.mark_tainted(job.workspace, [job.snapshot])
    return is_tainted


async def _evaluate_or_deploy(
    records: Records, job: Job, hosts: Hosts, *, served_name: ModelName | None, at: datetime
) -> None:
    """Starts the evaluation, then deploys the model unless an evaluation decides about that.

    A model for which `use:if_better` was promised is not deployed without an evaluation.
    The evaluation is started first, so that it compares with the model that was deployed before.
    """
    is_gate = job.use_when_done and job.use_if_better
    evaluation = await planning.start_evaluation_for_job(
        records, job, hosts, is_gate=is_gate, at=at
    )
    if evaluation is not None:
        await queue_run_notice(records, evaluation, evaluation_notices.STATUS_NOTICE, at=at)
    if job.use_when_done and not is_gate:
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
        previous_model=current.model if current else None,
        served_name=served_name,
    )
    await records.audit.add(job.workspace, job.asked_by, "model.used", at=at, model=job.model)
