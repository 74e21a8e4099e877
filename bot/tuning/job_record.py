"""What a job's life is written down with: each change and its notice in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Mapping
from contextlib import closing
from datetime import timedelta
from typing import TypeVar

from bot.domain import Job, JobId, Phase, RemoteCleanup, RequestedAction
from bot.errors import (
    AttuneError,
    HostBusy,
    HostError,
    HostRefused,
    HostUnreachable,
    NotFound,
    serialize,
)
from bot.ports.provider import Host
from bot.ports.store import Clock, Records, Store
from bot.tuning import notices
from bot.tuning.patience import Patience

T = TypeVar("T")

_VISIBLE = frozenset(
    (
        *("phase", "status", "requested_action", "step", "total_steps", "train_loss", "valid_loss"),
        *("trouble", "seconds_left"),
    )
)
_LOOK_AGAIN = 5.0
_NOT_OVER = [phase for phase in Phase if not phase.is_over]


class JobChangedError(Exception):
    """The job is no longer what a step was decided on; the step ends before it acts."""


class JobRecord:
    """Writes how far a job has come; the only way in which the watcher changes one."""

    def __init__(self, *, store: Store, clock: Clock, patience: Patience) -> None:
        self.store = store
        self.clock = clock
        self.patience = patience

    async def read(self, job: Job) -> Job | None:
        """The job as it is now; None where it is over, or its workspace has left."""
        async with self.store.reading() as records:
            try:
                fresh = await records.jobs.get(job.workspace, job.id)
            except NotFound:
                return None
        return None if fresh.phase.is_over else fresh

    async def record(
        self, job: Job, changes: Mapping[str, object], *, wait: float = 0.0, tell: bool = True
    ) -> None:
        """A wish is only cleared if it is still the one that was granted."""
        now, changes = self.clock.now(), dict(changes)
        next_look = now + timedelta(seconds=wait)
        async with self.store.writing() as records:
            fresh = await records.jobs.get(job.workspace, job.id)
            if fresh.requested_action is not job.requested_action:
                changes.pop("requested_action", None)
                next_look = now
            await records.jobs.change(
                job.workspace, job.id, when=_NOT_OVER, next_look=next_look, **changes
            )
            if tell and _is_news(fresh, changes):
                await notices.tell_status(records, job, at=now)
            if changes.get("is_late") and not fresh.is_late:
                await notices.tell_late(records, fresh, at=now)

    async def postpone(self, *jobs: Job, seconds: float) -> None:
        """Nothing new: all of them in one transaction, but those that got another wish meanwhile.

        What people wish is looked at when they wish it, so its time stays as it is.
        """
        next_look = self.clock.now() + timedelta(seconds=seconds)
        by_wish: dict[RequestedAction | None, list[JobId]] = defaultdict(list)
        for job in jobs:
            by_wish[job.requested_action].append(job.id)
        async with self.store.writing() as records:
            for requested_action, ids in by_wish.items():
                await records.jobs.postpone(ids, requested_action=requested_action, until=next_look)

    async def end(self, job: Job, phase: Phase, **changes: object) -> None:
        async with self.store.writing() as records:
            await self.write_end(records, job, phase, **changes)

    async def give_up(self, job: Job, **changes: object) -> None:
        """Failed on our side; what may still run there ends once the host can be reached again."""
        files = tuple(file for file in (job.training_file, job.validation_file) if file)
        left = RemoteCleanup(job.host, job.start, job.host_job, files, self.clock.now())
        async with self.store.writing() as records:
            if job.host_job is not None or job.attempted_at is not None:
                await records.remote_cleanups.add(left)
            await self.write_end(records, job, Phase.FAILED, **changes)

    async def write_end(self, records: Records, job: Job, phase: Phase, **changes: object) -> None:
        """Once only: a job that is over stays as it ended."""
        now = self.clock.now()
        fresh = await records.jobs.get(job.workspace, job.id)
        changes = {
            "finished_at": job.finished_at or now,
            "requested_action": RequestedAction.FORGET,
            **changes,
        }
        if not await records.jobs.change(
            job.workspace, job.id, when=_NOT_OVER, phase=phase, next_look=now, **changes
        ):
            return
        if phase is Phase.SUCCEEDED and fresh.requested_action is not None:
            await notices.tell_refused(records, job, fresh.requested_action, None, at=now)
        await records.audit.add(job.workspace, None, f"job.{phase}", at=now, job=job.id)
        await notices.tell_status(records, job, at=now)
        await notices.tell_ended(records, job, at=now)

    async def refused(
        self, job: Job, requested_action: RequestedAction, *, why: HostError | None
    ) -> None:
        """A wish that cannot be granted is told of, and cleared unless there is another by now."""
        at = self.clock.now()
        async with self.store.writing() as records:
            fresh = await records.jobs.get(job.workspace, job.id)
            if fresh.requested_action is requested_action:
                await records.jobs.change(
                    job.workspace, job.id, when=_NOT_OVER, requested_action=None
                )
            await notices.tell_refused(records, job, requested_action, why, at=at)
            await notices.tell_status(records, job, at=at)

    async def attempt(self, job: Job, act: Coroutine[object, object, T]) -> T:
        """Written down before the act; a crash from here on means: look first.

        Struck out again only where the host has surely done nothing. Raises
        JobChangedError, before the act, where somebody changed the job since it was read.
        """
        with closing(act):
            await self._intend(job)
            try:
                return await act
            except (HostRefused, HostBusy, HostUnreachable):
                await self.record(job, {"attempted_at": None}, tell=False)
                raise

    async def _intend(self, job: Job) -> None:
        now = self.clock.now()
        async with self.store.writing() as records:
            fresh = await records.jobs.get(job.workspace, job.id)
            if (fresh.phase, fresh.requested_action) != (job.phase, job.requested_action):
                raise JobChangedError
            await records.jobs.change(
                job.workspace, job.id, when=(job.phase,), attempted_at=now, next_look=now
            )

    def may_lag(self, job: Job, host: Host) -> bool:
        """A listing may still hide what we did: not yet time to act again."""
        if job.attempted_at is None:
            return False
        until = job.attempted_at + timedelta(seconds=host.profile.listing_lag)
        return self.clock.now() < until

    async def look_again(self, job: Job, host: Host) -> None:
        await self.postpone(job, seconds=min(_LOOK_AGAIN, host.profile.poll_seconds))


def trouble(error: AttuneError) -> dict[str, object]:
    """What a host's failure leaves in a job: in English, and to be worded in any language."""
    return {"trouble": error.sentence, "trouble_details": serialize(error)}


def no_trouble() -> dict[str, object]:
    return {"trouble": None, "trouble_details": {}, "attempts": 0}


def _is_news(job: Job, changes: Mapping[str, object]) -> bool:
    """Only what the status message shows is worth an edit."""
    return any(name in _VISIBLE and getattr(job, name) != value for name, value in changes.items())
