"""Carries a confirmed start to its end: wish before act, look before acting again.

Every outside effect is written down before it is tried (`attempted_at`) and
its outcome after. Where the outcome is unknown (a crash, a timeout, a 5xx),
files are found by their name and jobs by their training file; only when a
listing could no longer lag is the effect tried again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, closing
from datetime import datetime, timedelta
from typing import TypeVar

from bot.errors import (
    EmptyAnswer,
    HostBroken,
    HostBusy,
    HostError,
    HostForgot,
    HostRefused,
    HostSilent,
    HostUnreachable,
    KeyRefused,
    NotFound,
)
from bot.model import (
    Job,
    JobWish,
    ModelName,
    Phase,
    Sampling,
    Split,
)
from bot.ports.provider import Host, Hosts, RemoteFile, RemoteJob
from bot.ports.store import Clock, Records, Store
from bot.tuning import facts
from bot.tuning.harvest import keep_models, put_to_use
from bot.tuning.hosting import (
    file_name,
    find_file,
    find_job,
    is_granted,
    news_of,
    request,
    result_measures,
    training_lines,
)

T = TypeVar("T")

log = logging.getLogger(__name__)

_PATIENCE_GONE = 6
_WARMING = timedelta(minutes=30)
_LONGEST_WAIT = 300.0
_HURRY = 0.1
_AT_ONCE = 8
_ENDS_WISHED = {JobWish.CANCEL: "cancelled"}
_NOT_YET_RUNNING = ("validating_files", "queued")
_VISIBLE = frozenset(
    ("phase", "status", "wish", "step", "total_steps", "train_loss", "valid_loss", "trouble")
)
_BAD_ENDS = {"failed": Phase.FAILED, "cancelled": Phase.CANCELLED}
_FILES = ((Split.TRAIN, "training_file"), (Split.VALIDATION, "validation_file"))


class Watcher:
    """Looks after every open job of every workspace."""

    def __init__(self, *, store: Store, hosts: Hosts, clock: Clock) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def look(self) -> float | None:
        """Advance what is due; seconds until the next job is due, None without jobs."""
        async with self._store.reading() as records:
            jobs = await records.jobs.open()
        now = self._clock.now()
        due = [job for job in jobs if job.next_look is None or job.next_look <= now]
        await asyncio.gather(*(self._advance(job) for job in due))
        await self._forget_files()
        async with self._store.reading() as records:
            jobs = await records.jobs.open()
        waits = [self._seconds_until(job.next_look) for job in jobs]
        return min(waits) if waits else None

    async def _forget_files(self) -> None:
        """Our words do not stay at a host that is not to learn from them (any more)."""
        async with self._store.reading() as records:
            jobs = await records.jobs.forgetting()
        for job in jobs:
            if self._seconds_until(job.next_look) > 0:
                continue
            try:
                await self._forget(job)
            except (HostError, NotFound) as error:
                log.warning("A host keeps a file", extra={"job": job.id, "why": error.key})
                await self._postpone(job, _LONGEST_WAIT)

    async def _forget(self, job: Job) -> None:
        host = self._hosts.get(job.host)
        known = {file for file in (job.training_file, job.validation_file) if file}
        if job.attempted_at is not None:
            if self._may_lag(job, host):
                return
            prefix = f"attune-{job.start}-"
            known |= {file.id async for file in host.files() if file.name.startswith(prefix)}
        for file in known:
            with contextlib.suppress(HostForgot):
                await host.delete_file(file)
        now, gone = self._clock.now(), {"training_file": None, "validation_file": None}
        async with self._store.writing() as records:
            await records.jobs.change(
                job.workspace, job.id, when=None, wish=None, attempted_at=None, **gone
            )
            await records.audit.add(job.workspace, None, "files.deleted", at=now, job=job.id)

    async def _advance(self, job: Job) -> None:
        async with self._gate:
            try:
                await self._try_step(job)
            except Exception:
                log.exception("A job could not be advanced", extra={"job": job.id})
                await self._postpone(job, _LONGEST_WAIT)

    async def _try_step(self, job: Job) -> None:
        try:
            await self._step(job)
        except HostError as error:
            await self._host_trouble(job, error)
        except NotFound as error:
            await self._end(job, Phase.FAILED, trouble_code="host_gone", trouble=error.sentence)

    async def _step(self, job: Job) -> None:
        host = self._hosts.get(job.host)
        match job.phase:
            case Phase.CONFIRMED:
                await self._begin(job)
            case Phase.UPLOADING:
                await self._upload_parts(job, host)
            case Phase.CREATING:
                await self._create(job, host)
            case Phase.WATCHING:
                await self._watch(job, host)
            case Phase.WARMING:
                await self._warm(job, host)
            case _:
                return

    async def _begin(self, job: Job) -> None:
        if await self._must_not_go_on(job):
            return
        await self._record(job, {"phase": Phase.UPLOADING})

    async def _must_not_go_on(self, job: Job) -> bool:
        """Until create, permission may be taken back and the start cancelled."""
        if job.wish is JobWish.CANCEL:
            await self._end(job, Phase.CANCELLED)
            return True
        async with self._store.reading() as records:
            forbidden = await records.snapshots.forbidden(job.workspace, job.snapshot)
        if forbidden:
            await self._end(job, Phase.ABANDONED, trouble_code="permission")
        return bool(forbidden)

    async def _upload_parts(self, job: Job, host: Host) -> None:
        for split, field in _FILES:
            has_rows = split is Split.TRAIN or job.estimate.validation_rows > 0
            if has_rows and getattr(job, field) is None:
                if await self._must_not_go_on(job):
                    return None
                return await self._upload(job, host, split, field)
        return await self._record(job, {"phase": Phase.CREATING, "attempted_at": None})

    async def _upload(self, job: Job, host: Host, split: Split, field: str) -> None:
        name = file_name(job, split)
        if job.attempted_at is not None:
            found = await find_file(host, name)
            if found is not None:
                return await self._record(job, _done(field, found))
            if self._may_lag(job, host):
                return await self._look_again(job, host)
        uploaded = await self._attempt(job, host.upload(name, await self._lines(job, split)))
        return await self._record(job, _done(field, uploaded))

    async def _create(self, job: Job, host: Host) -> None:
        if job.attempted_at is not None:
            found = await find_job(host, job.training_file or "")
            if found is not None:
                return await self._adopt(job, found)
            if self._may_lag(job, host):
                return await self._look_again(job, host)
        if await self._must_not_go_on(job):
            return None
        return await self._adopt(job, await self._attempt(job, host.create_job(request(job))))

    async def _adopt(self, job: Job, remote: RemoteJob) -> None:
        await self._record(
            job,
            {
                "phase": Phase.WATCHING,
                "host_job": remote.id,
                "status": remote.status,
                "attempted_at": None,
                "attempts": 0,
                "trouble": None,
            },
        )

    async def _watch(self, job: Job, host: Host) -> None:
        remote = await host.job(job.host_job or "")
        is_over = remote.status == "succeeded" or remote.status in _BAD_ENDS
        if job.wish is not None and not is_over:
            remote = await self._act_on_wish(job, job.wish, host, remote)
        elif job.wish is not None and _ENDS_WISHED.get(job.wish) != remote.status:
            await self._refused(job, job.wish, why=None)
        async with self._store.reading() as records:
            seen = await records.jobs.event_ids(job.workspace, job.id)
        events = await self._extras(job, host.job_events(remote.id, seen))
        async with self._store.writing() as records:
            await records.jobs.add_events(job.workspace, job.id, events)
        told = news_of(remote, events)
        if remote.status == "succeeded" and remote.model is not None:
            await self._trained(job, remote, host, told)
        elif remote.status in _BAD_ENDS:
            await self._end(
                job,
                _BAD_ENDS[remote.status],
                trouble_code=remote.error_code,
                trouble=remote.error_message,
                **told,
            )
        else:
            await self._goes_on(job, remote, host, told)

    async def _goes_on(
        self, job: Job, remote: RemoteJob, host: Host, told: Mapping[str, object]
    ) -> None:
        """Anything that is not an end: `paused`, and words nobody has seen before, too."""
        changes = dict(told)
        if remote.status == "running" and job.running_at is None:
            changes["running_at"] = self._clock.now()
        if is_granted(job.wish, remote.status):
            changes["wish"] = None
        changes |= {"attempts": 0, "trouble": None}
        poll = host.profile.poll_seconds
        is_hurried = job.wish is not None and "wish" not in changes
        await self._record(job, changes, wait=min(poll, _HURRY) if is_hurried else poll)

    async def _trained(
        self, job: Job, remote: RemoteJob, host: Host, told: Mapping[str, object]
    ) -> None:
        checkpoints = await self._extras(job, host.checkpoints(remote.id))
        measures = await self._extras(job, result_measures(host, remote))
        async with self._store.writing() as records:
            await records.jobs.add_checkpoints(job.workspace, job.id, checkpoints)
            await records.jobs.add_measures(job.workspace, job.id, measures)
        await self._record(
            job,
            {
                "phase": Phase.WARMING,
                "model": remote.model,
                "trained_tokens": remote.trained_tokens,
                "running_at": job.running_at or job.confirmed_at,
                "finished_at": self._clock.now(),
                "wish": None,
                "trouble": None,
                "attempts": 0,
                **told,
            },
        )

    async def _act_on_wish(
        self, job: Job, wish: JobWish, host: Host, remote: RemoteJob
    ) -> RemoteJob:
        """The job as it is after it; a wish that cannot be granted is told of, and forgotten."""
        if wish is JobWish.PAUSE and remote.status in _NOT_YET_RUNNING:
            return remote
        try:
            match wish:
                case JobWish.CANCEL:
                    return await host.cancel_job(remote.id)
                case JobWish.PAUSE:
                    return await host.pause_job(remote.id)
                case JobWish.RESUME:
                    return await host.resume_job(remote.id)
                case _:
                    return remote
        except KeyRefused:
            raise
        except HostRefused as error:
            await self._refused(job, wish, why=error.sentence)
            return remote

    async def _refused(self, job: Job, wish: JobWish, *, why: str | None) -> None:
        at = self._clock.now()
        async with self._store.writing() as records:
            await records.jobs.change(job.workspace, job.id, when=None, wish=None)
            await facts.tell_refused(records, job, wish, why, at=at)
            await facts.tell_status(records, job, at=at)

    async def _extras(self, job: Job, asked: Awaitable[Sequence[T]]) -> Sequence[T]:
        """Events and checkpoints tell more; a host that does not give them trains all the same."""
        try:
            return await asked
        except HostError as error:
            if not isinstance(error, HostRefused) and job.attempts < _PATIENCE_GONE:
                raise
            log.warning("A host tells less of a job", extra={"job": job.id, "why": error.key})
            return ()

    async def _warm(self, job: Job, host: Host) -> None:
        """A model is announced only once it has answered."""
        model = ModelName(job.model or "")
        answers = await self._answers(job, host, model)
        if not answers:
            return
        async with self._store.writing() as records:
            is_tainted = await keep_models(records, job, at=self._clock.now())
            if job.use_when_done and answers == "yes":
                await put_to_use(records, job, at=self._clock.now())
            await self._write_end(
                records,
                job,
                Phase.SUCCEEDED,
                trouble=None if answers == "yes" else answers,
                wish=JobWish.FORGET if is_tainted else None,
            )

    async def _answers(self, job: Job, host: Host, model: ModelName) -> str:
        """ "yes", or why not although we gave up waiting; empty while it is worth waiting."""
        waited = self._clock.now() - (job.finished_at or self._clock.now())
        try:
            ask = [{"role": "user", "content": "Hello"}]
            async with aclosing(host.chat(model, ask, Sampling(max_tokens=8))) as deltas:
                await anext(deltas, None)
        except EmptyAnswer:
            return "yes"
        except HostError as error:
            if waited > _WARMING:
                return error.sentence
            raise
        return "yes"

    async def _host_trouble(self, job: Job, error: HostError) -> None:
        """Decide what a host's failure means for the step that met it.

        A host that refuses only to be looked at may be right about it later.
        """
        is_before_job = job.phase in (Phase.UPLOADING, Phase.CREATING)
        if is_before_job and isinstance(error, HostRefused):
            async with self._store.reading() as records:
                fresh = await records.jobs.get(job.workspace, job.id)
            if fresh.attempted_at is None or job.attempts >= _PATIENCE_GONE:
                told = {"trouble_code": error.code, "trouble": error.sentence}
                return await self._end(job, Phase.FAILED, **told)
        is_gone = isinstance(error, HostForgot) and job.phase is Phase.WATCHING
        if is_gone and job.attempts >= _PATIENCE_GONE:
            return await self._end(
                job, Phase.FAILED, trouble_code="vanished", trouble=error.sentence
            )
        return await self._try_later(job, error)

    async def _try_later(self, job: Job, error: HostError) -> None:
        poll = self._hosts.get(job.host).profile.poll_seconds
        wait = min(_LONGEST_WAIT, error.retry_after or poll * 2 ** min(job.attempts, 10))
        is_unknown = isinstance(error, HostSilent | HostBroken)
        log.warning(
            "A host made a job wait",
            extra={"job": job.id, "why": error.key, "unknown_outcome": is_unknown},
        )
        await self._record(
            job, {"attempts": job.attempts + 1, "trouble": error.sentence}, wait=wait
        )

    async def _attempt(self, job: Job, act: Coroutine[object, object, T]) -> T:
        """Written down before the act; a crash from here on means: look first.

        Struck out again only where the host has surely done nothing.
        """
        with closing(act):
            await self._record(job, {"attempted_at": self._clock.now()}, tell=False)
            try:
                return await act
            except (HostRefused, HostBusy, HostUnreachable):
                await self._record(job, {"attempted_at": None}, tell=False)
                raise

    def _may_lag(self, job: Job, host: Host) -> bool:
        """A listing may still hide what we did: not yet time to act again."""
        if job.attempted_at is None:
            return False
        until = job.attempted_at + timedelta(seconds=host.profile.listing_lag)
        return self._clock.now() < until

    async def _look_again(self, job: Job, host: Host) -> None:
        await self._postpone(job, min(5.0, host.profile.poll_seconds))

    async def _lines(self, job: Job, split: Split) -> Iterator[bytes]:
        async with self._store.reading() as records:
            assistant = await records.assistants.get(job.workspace, job.assistant)
            rows = [row async for row in records.snapshots.rows(job.workspace, job.snapshot, split)]
        return training_lines(rows, assistant)

    async def _end(self, job: Job, phase: Phase, **changes: object) -> None:
        async with self._store.writing() as records:
            await self._write_end(records, job, phase, **changes)

    async def _write_end(self, records: Records, job: Job, phase: Phase, **changes: object) -> None:
        now = self._clock.now()
        changes = {"finished_at": job.finished_at or now, "wish": JobWish.FORGET, **changes}
        if not await records.jobs.change(
            job.workspace, job.id, when=None, phase=phase, next_look=now, **changes
        ):
            return
        await records.audit.add(job.workspace, None, f"job.{phase}", at=now, job=job.id)
        await facts.tell_status(records, job, at=now)
        await facts.tell_ended(records, job, at=now)

    async def _record(
        self, job: Job, changes: dict[str, object], *, wait: float = 0.0, tell: bool = True
    ) -> None:
        """The change and its notice in one transaction.

        A wish is only cleared if it is still the one that was granted.
        """
        now = self._clock.now()
        next_look = now + timedelta(seconds=wait)
        async with self._store.writing() as records:
            fresh = await records.jobs.get(job.workspace, job.id)
            if fresh.wish is not job.wish:
                changes.pop("wish", None)
                next_look = now
            await records.jobs.change(
                job.workspace, job.id, when=None, next_look=next_look, **changes
            )
            if tell and _is_news(fresh, changes):
                await facts.tell_status(records, job, at=now)

    async def _postpone(self, job: Job, seconds: float) -> None:
        await self._record(job, {}, tell=False, wait=seconds)

    def _seconds_until(self, moment: datetime | None) -> float:
        if moment is None:
            return 0.0
        return max(0.0, (moment - self._clock.now()).total_seconds())


def _is_news(job: Job, changes: Mapping[str, object]) -> bool:
    """Only what the status message shows is worth an edit."""
    return any(name in _VISIBLE and getattr(job, name) != value for name, value in changes.items())


def _done(field: str, file: RemoteFile) -> dict[str, object]:
    return {field: file.id, "attempted_at": None, "attempts": 0}
