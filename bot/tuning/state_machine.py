"""The state machine of a training: its transitions, user actions, and the writer of changes.

`TRANSITIONS` and `ACTIONS` are all rules. `docs/understand/training-states.md` is generated from
them, and `JobWriter` makes no other transition.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from bot import access
from bot.commands import JOB_OPTION, Handlers
from bot.domain import (
    OPEN_PHASES,
    PHASES_BEFORE_HOST_JOB,
    Job,
    JobId,
    Phase,
    RemoteCleanup,
    RequestedAction,
    Role,
)
from bot.errors import HostBusy, HostError, HostRefused, HostUnreachable, NotFound, NotNow
from bot.ports.dependencies import Dependencies
from bot.ports.model_hosts import Host
from bot.ports.store import Clock, Records, Store
from bot.replies import Reply, Text
from bot.request import Request
from bot.tuning import notices
from bot.tuning.retries import RetryLimits

T = TypeVar("T")

handlers = Handlers()

_VISIBLE = frozenset(
    (
        *("phase", "status", "requested_action", "step", "total_steps", "train_loss", "valid_loss"),
        *("error_message", "seconds_left"),
    )
)
"""Fields of a job that its status message shows."""
_LOOK_AGAIN_SECONDS = 5.0


class Actor(StrEnum):
    """Cause of a transition: a trainer's click, the host's report, or Attune's own work."""

    TRAINER = "trainer"
    ATTUNE = "Attune"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class Transition:
    """A transition from any of `sources` to `target`."""

    sources: tuple[Phase, ...]
    target: Phase
    actor: Actor
    reason: str


TRANSITIONS = (
    Transition((Phase.ESTIMATED,), Phase.CONFIRMED, Actor.TRAINER, "confirms the price"),
    Transition((Phase.CONFIRMED,), Phase.UPLOADING, Actor.ATTUNE, "held-out examples are marked"),
    Transition((Phase.UPLOADING,), Phase.CREATING, Actor.ATTUNE, "every file is at the host"),
    Transition((Phase.CREATING,), Phase.WATCHING, Actor.ATTUNE, "the job is created or found"),
    Transition((Phase.WATCHING,), Phase.WARMING, Actor.HOST, "reports succeeded"),
    Transition((Phase.WARMING,), Phase.SUCCEEDED, Actor.ATTUNE, "the model answers or is given up"),
    Transition(PHASES_BEFORE_HOST_JOB, Phase.CANCELLED, Actor.TRAINER, "cancels"),
    Transition((Phase.WATCHING,), Phase.CANCELLED, Actor.HOST, "reports cancelled"),
    Transition(
        PHASES_BEFORE_HOST_JOB, Phase.ABANDONED, Actor.ATTUNE, "an example may not be trained on"
    ),
    Transition((Phase.WATCHING,), Phase.FAILED, Actor.HOST, "reports failed"),
    Transition(OPEN_PHASES, Phase.FAILED, Actor.ATTUNE, "the host refuses or fails for too long"),
)


@dataclass(frozen=True, slots=True)
class ActionRule:
    """The phases in which an action may be requested, and the host's statuses that fulfil it.

    `requires_paused` True: only for a job that is paused or about to be; False: only for others.
    At a status in `waits_at` the action is not sent to the host yet.
    """

    requested_by: str
    phases: tuple[Phase, ...]
    fulfilled_at: tuple[str, ...] = ()
    waits_at: tuple[str, ...] = ()
    requires_paused: bool | None = None


DEPLOY_BY_HAND = "by_hand"
"""`error_code` of a model to be deployed by hand; `error_message` is the URL for that."""
STATUSES_BEFORE_RUNNING = ("validating_files", "queued")
_BEFORE_MODEL = (*PHASES_BEFORE_HOST_JOB, Phase.WATCHING)
_OVER = tuple(phase for phase in Phase if phase.is_over)

ACTION_RULES: Mapping[RequestedAction, ActionRule] = {
    RequestedAction.CANCEL: ActionRule("trainer", _BEFORE_MODEL, ("cancelled",)),
    RequestedAction.PAUSE: ActionRule(
        "trainer", _BEFORE_MODEL, ("paused",), STATUSES_BEFORE_RUNNING, requires_paused=False
    ),
    RequestedAction.RESUME: ActionRule(
        "trainer", _BEFORE_MODEL, ("queued", "running"), requires_paused=True
    ),
    RequestedAction.FORGET: ActionRule("the end of a job, or an erased example", _OVER),
}


def phases_before(target: Phase) -> tuple[Phase, ...]:
    """Returns the phases with a transition to `target`."""
    return tuple(
        source
        for transition in TRANSITIONS
        if transition.target is target
        for source in transition.sources
    )


def would_change_job(job: Job, action: RequestedAction) -> bool:
    """Whether an action would change the job's status or requested action; ignores the phase."""
    if job.requested_action is action:
        return False
    is_paused = job.requested_action is RequestedAction.PAUSE or (
        job.status == "paused" and job.requested_action is None
    )
    return ACTION_RULES[action].requires_paused in (None, is_paused)


@handlers.command("cancel", Role.TRAINER, JOB_OPTION)
@handlers.button("job.cancel", Role.TRAINER)
async def cancel_job(request: Request, deps: Dependencies) -> Reply:
    return await _request_action(request, RequestedAction.CANCEL, deps)


@handlers.command("pause", Role.TRAINER, JOB_OPTION)
@handlers.button("job.pause", Role.TRAINER)
async def pause_job(request: Request, deps: Dependencies) -> Reply:
    return await _request_action(request, RequestedAction.PAUSE, deps)


@handlers.command("resume", Role.TRAINER, JOB_OPTION)
@handlers.button("job.resume", Role.TRAINER)
async def resume_job(request: Request, deps: Dependencies) -> Reply:
    return await _request_action(request, RequestedAction.RESUME, deps)


async def _request_action(request: Request, action: RequestedAction, deps: Dependencies) -> Reply:
    """Stores a trainer's request to cancel, pause or resume; the poller sends it to the host.

    Raises NotNow if no job allows it, HostNotAllowed if the workspace may not use the host.
    """
    words = request.words
    if action is RequestedAction.RESUME:
        access.refuse_closed_workspace(request.workspace, words)
    async with deps.store.writing() as records:
        job = await _running_job(request, records)
        if job.requested_action is RequestedAction.CANCEL and action is not RequestedAction.CANCEL:
            raise NotNow(problem=words("job.cancelling", id=job.id))
        if not would_change_job(job, action):
            raise NotNow(
                problem=words("job.so_already", id=job.id, state=_status_text(request, job))
            )
        if action is RequestedAction.RESUME:
            deps.hosts.get_paid(job.host, request.workspace)
        changes = {"requested_action": action, "next_poll_at": request.now}
        if not await records.jobs.update_if(
            request.workspace_id, job.id, when=ACTION_RULES[action].phases, **changes
        ):
            raise NotNow(problem=words("job.over", id=job.id))
        await request.audit(records, f"job.{action}", job=job.id)
        await notices.queue_status_notice(records, job, at=request.now)
    deps.wake_runners()
    return Text(words(f"job.asked.{action}", id=job.id), private=True)


def _status_text(request: Request, job: Job) -> str:
    if job.requested_action is not None:
        return request.words(f"job.wish.{job.requested_action}")
    key = f"status.{job.status}"
    return request.words(key) if request.words.has_sentence(key) else str(job.status or job.phase)


async def _running_job(request: Request, records: Records) -> Job:
    """Returns the named job, else the newest running one."""
    if request.argument or request.text_option("job"):
        return await notices.named_job(request, records)
    running = await records.jobs.list_open_in_workspace(request.workspace_id)
    if not running:
        raise NotNow(problem=request.words("job.none_running"))
    return running[-1]


class JobChangedError(Exception):
    """The job was changed since a step read it; the step ends before its request."""


class JobWriter:
    """Stores changes of a job, each with its notice in one transaction.

    The poller makes all changes of jobs through this class.
    """

    def __init__(self, *, store: Store, clock: Clock, limits: RetryLimits) -> None:
        self.store = store
        self.clock = clock
        self.limits = limits

    async def read_open_job(self, job: Job) -> Job | None:
        """Reads a job anew; None if it is over or its workspace is erased."""
        async with self.store.reading() as records:
            try:
                fresh = await records.jobs.get(job.workspace, job.id)
            except NotFound:
                return None
        return None if fresh.phase.is_over else fresh

    async def update_job(
        self, job: Job, changes: Mapping[str, object], *, wait: float = 0.0, tell: bool = True
    ) -> None:
        """Sets fields, and schedules the next poll in `wait` seconds.

        If another action was requested since `job` was read, that action stays and the next poll
        is due at once.
        """
        now, changes = self.clock.now(), dict(changes)
        next_poll_at = now + timedelta(seconds=wait)
        phase = changes.get("phase")
        when = phases_before(phase) if isinstance(phase, Phase) else OPEN_PHASES
        async with self.store.writing() as records:
            fresh = await records.jobs.get(job.workspace, job.id)
            if fresh.requested_action is not job.requested_action:
                changes.pop("requested_action", None)
                next_poll_at = now
            await records.jobs.update_if(
                job.workspace, job.id, when=when, next_poll_at=next_poll_at, **changes
            )
            if tell and _is_visible(fresh, changes):
                await notices.queue_status_notice(records, job, at=now)
            if changes.get("is_late") and not fresh.is_late:
                await notices.queue_late_notice(records, fresh, at=now)

    async def postpone_polls(self, *jobs: Job, seconds: float) -> None:
        """Delays the next poll of jobs, in one transaction.

        A job with another requested action since it was read is not delayed.
        """
        next_poll_at = self.clock.now() + timedelta(seconds=seconds)
        by_action: dict[RequestedAction | None, list[JobId]] = defaultdict(list)
        for job in jobs:
            by_action[job.requested_action].append(job.id)
        async with self.store.writing() as records:
            for action, ids in by_action.items():
                await records.jobs.postpone_poll(ids, requested_action=action, until=next_poll_at)

    async def end_job(self, job: Job, phase: Phase, **changes: object) -> None:
        async with self.store.writing() as records:
            await self.write_end(records, job, phase, **changes)

    async def end_job_as_failed(self, job: Job, **changes: object) -> None:
        """Ends a job as failed; a cleanup cancels and deletes at the host what may exist there."""
        files = tuple(file for file in (job.training_file, job.validation_file) if file)
        cleanup = RemoteCleanup(
            job.host, job.idempotency_key, job.host_job, files, self.clock.now()
        )
        async with self.store.writing() as records:
            if job.host_job is not None or job.attempted_at is not None:
                await records.remote_cleanups.add(cleanup)
            await self.write_end(records, job, Phase.FAILED, **changes)

    async def write_end(self, records: Records, job: Job, phase: Phase, **changes: object) -> None:
        """Ends a job and queues its notices; does nothing if the job is over already."""
        now = self.clock.now()
        fresh = await records.jobs.get(job.workspace, job.id)
        changes = {
            "phase": phase,
            "next_poll_at": now,
            "finished_at": job.finished_at or now,
            "requested_action": RequestedAction.FORGET,
            **changes,
        }
        if not await records.jobs.update_if(
            job.workspace, job.id, when=phases_before(phase), **changes
        ):
            return
        if phase is Phase.SUCCEEDED and fresh.requested_action is not None:
            await notices.queue_action_refused_notice(
                records, job, fresh.requested_action, None, at=now
            )
        await records.audit.add(job.workspace, None, f"job.{phase}", at=now, job=job.id)
        await notices.queue_status_notice(records, job, at=now)
        await notices.queue_ended_notice(records, job, at=now)

    async def refuse_action(
        self, job: Job, action: RequestedAction, *, why: HostError | None
    ) -> None:
        """Queues the notice of a refused action, and clears the action unless it has changed."""
        at = self.clock.now()
        async with self.store.writing() as records:
            fresh = await records.jobs.get(job.workspace, job.id)
            if fresh.requested_action is action:
                await records.jobs.update_if(
                    job.workspace, job.id, when=OPEN_PHASES, requested_action=None
                )
            await notices.queue_action_refused_notice(records, job, action, why, at=at)
            await notices.queue_status_notice(records, job, at=at)

    async def attempt_request(self, job: Job, effect: Coroutine[object, object, T]) -> T:
        """Stores `attempted_at`, then awaits a request that has an effect at the host.

        `attempted_at` is cleared only if the host has certainly done nothing; while it is set,
        the caller looks for the effect before it repeats the request. Raises JobChangedError,
        before the request, if the job was changed since it was read.
        """
        with closing(effect):
            await self._mark_attempt(job)
            try:
                return await effect
            except (HostRefused, HostBusy, HostUnreachable):
                await self.update_job(job, {"attempted_at": None}, tell=False)
                raise

    async def _mark_attempt(self, job: Job) -> None:
        now = self.clock.now()
        async with self.store.writing() as records:
            fresh = await records.jobs.get(job.workspace, job.id)
            if (fresh.phase, fresh.requested_action) != (job.phase, job.requested_action):
                raise JobChangedError
            await records.jobs.update_if(
                job.workspace, job.id, when=(job.phase,), attempted_at=now, next_poll_at=now
            )

    def may_list_lag(self, job: Job, host: Host) -> bool:
        """Whether the effect of an earlier attempt may still be missing from the host's list."""
        if job.attempted_at is None:
            return False
        until = job.attempted_at + timedelta(seconds=host.profile.listing_lag)
        return self.clock.now() < until

    async def poll_again_soon(self, job: Job, host: Host) -> None:
        await self.postpone_polls(job, seconds=min(_LOOK_AGAIN_SECONDS, host.profile.poll_seconds))


def _is_visible(job: Job, changes: Mapping[str, object]) -> bool:
    """Whether changes of a job change its status message."""
    return any(name in _VISIBLE and getattr(job, name) != value for name, value in changes.items())
