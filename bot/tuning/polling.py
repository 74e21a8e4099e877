"""Looks at every open job when it is due, by itself or in its host's list, until it is over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from bot.domain import HostName, Job, JobId, Phase
from bot.errors import AttuneError, HostError, HostServerError, HostTimeout, NotFound
from bot.ports.provider import Host, Hosts, RemoteJob
from bot.ports.store import Clock, Store
from bot.tuning import deletions, effects, retries
from bot.tuning.effects import PolledJob
from bot.tuning.expiry import ExpiryCalendar
from bot.tuning.retries import LONGEST_WAIT, RetryLimits
from bot.tuning.states import JobChangedError, JobWriter

log = logging.getLogger(__name__)

_AT_ONCE = 8
"""So many jobs of one host advance at the same time."""
FEW = 10
"""So many are looked at one by one: that tells more of each."""
MOST_CALLS = 12
_ROWS_A_CALL = 100
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class JobPoller:
    """Looks after every open job of every workspace, each host for itself."""

    def __init__(
        self, *, store: Store, hosts: Hosts, clock: Clock, limits: RetryLimits | None = None
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._record = JobWriter(store=store, clock=clock, limits=limits or RetryLimits())
        self._batches = JobBatches(self._record, hosts)
        self._gates: dict[HostName, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_AT_ONCE)
        )
        self._claimed: set[JobId] = set()
        self.calendar = ExpiryCalendar(store=store, hosts=hosts, clock=clock)

    async def poll(self) -> float | None:
        """At every host at once; seconds until the next job is due, None without jobs."""
        hosts = (*self._hosts.names(), None)
        looks = [asyncio.create_task(self.poll_host(host), name=f"{host}") for host in hosts]
        try:
            waits = await asyncio.gather(*looks)
        finally:
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)
        return min((wait for wait in waits if wait is not None), default=None)

    async def poll_host(self, host: HostName | None) -> float | None:
        """Advance what is due at one host; None stands for those that are configured no more."""
        alone, batches = self._batches.due(await self._open_at(host), now=self._clock.now())
        await asyncio.gather(
            *(self._advance(job) for job in alone), *(self._advance_all(one) for one in batches)
        )
        due = await deletions.delete_due(host, self._record, self._hosts)
        waits = [self._seconds_until(job.next_poll_at) for job in await self._open_at(host)]
        waits += [] if due is None else [self._seconds_until(due)]
        return min(waits) if waits else None

    async def _open_at(self, host: HostName | None) -> Sequence[Job]:
        async with self._store.reading() as records:
            jobs = await records.jobs.list_open()
        return [job for job in jobs if deletions.matches_host(job.host, host, self._hosts)]

    async def _advance_all(self, batch: Sequence[Job]) -> None:
        """Jobs of one host, seen in its list; those with news are gone on with one by one."""
        try:
            seen = await self._batches.poll(batch)
        except HostError as error:
            for job in batch:
                await self._in_trouble(job, error)
            return
        except Exception:
            log.exception("Jobs could not be looked at", extra={"jobs": len(batch)})
            await self._record.postpone(*batch, seconds=LONGEST_WAIT)
            return
        await asyncio.gather(*(self._advance(job, one) for job, one in seen))

    async def _advance(self, job: Job, seen: PolledJob | None = None) -> None:
        """One step, on the job as it is once nobody else works on it."""
        async with self._gates[job.host]:
            if job.id in self._claimed:
                return
            with self._claim(job):
                fresh = await self._record.read(job)
                if fresh is None or (seen is None and self._seconds_until(fresh.next_poll_at) > 0):
                    return
                await self._try_step(fresh, seen)

    @contextlib.contextmanager
    def _claim(self, job: Job) -> Iterator[None]:
        self._claimed.add(job.id)
        try:
            yield
        finally:
            self._claimed.discard(job.id)

    async def _try_step(self, job: Job, seen: PolledJob | None) -> None:
        try:
            await effects.advance_job(self._record, job, self._hosts, seen)
        except JobChangedError:
            log.info("A job was changed before it was acted on", extra={"job": job.id})
        except HostError as error:
            await self._in_trouble(job, error)
        except NotFound as error:
            with contextlib.suppress(NotFound):
                await self._record.end(
                    job, Phase.FAILED, error_code="host_gone", **retries.failure_fields(error)
                )
        except Exception:
            log.exception("A job could not be advanced", extra={"job": job.id})
            await self._in_trouble(job, AttuneError())

    async def _in_trouble(self, job: Job, error: AttuneError) -> None:
        """Try again later, or give up: what is refused at once, the rest when its time is over."""
        record, now = self._record, self._clock.now()
        fresh = await record.read(job)
        if fresh is None:
            return None
        if retries.is_final(fresh, error):
            code = "vanished" if fresh.phase is Phase.WATCHING else error.details.get("code")
            return await record.give_up(fresh, error_code=code, **retries.failure_fields(error))
        if retries.is_exhausted(fresh, error, record.limits, now=now):
            return await record.give_up(fresh, error_code=None, **retries.failure_fields(error))
        poll = self._hosts.get(job.host).profile.poll_seconds
        is_unknown = isinstance(error, HostTimeout | HostServerError)
        log.warning(
            "A host made a job wait",
            extra={"job": job.id, "why": error.key, "unknown_outcome": is_unknown},
        )
        changes = retries.repeated_failure(fresh, error, now=now)
        seconds = retries.retry_delay(fresh, error, poll_seconds=poll)
        # By the job as it was before: an action that was requested meanwhile does not wait.
        return await record.update(job, changes, wait=seconds)

    def _seconds_until(self, moment: datetime | None) -> float:
        if moment is None:
            return 0.0
        return max(0.0, (moment - self._clock.now()).total_seconds())


class JobBatches:
    """Looks at many jobs of one host in its list, so that a thousand cost a dozen calls.

    Remembers whose events were read when, so that every job has its turn.
    """

    def __init__(self, record: JobWriter, hosts: Hosts) -> None:
        self._record = record
        self._hosts = hosts
        self._events_read: dict[JobId, datetime] = {}

    def due(
        self, jobs: Sequence[Job], *, now: datetime
    ) -> tuple[Sequence[Job], Sequence[Sequence[Job]]]:
        """The jobs that are due: those to be looked at alone, and those of a host together.

        Jobs that are due within half a poll interval join their host's batch, so that after one
        round all have the same interval.
        """
        by_host: dict[HostName, list[Job]] = defaultdict(list)
        for job in jobs:
            if job.phase is Phase.WATCHING and job.requested_action is None:
                by_host[job.host].append(job)
        batches = [self._batch(host, each, now) for host, each in by_host.items()]
        large = [batch for batch in batches if len(batch) > FEW]
        together = {job.id for batch in large for job in batch}
        alone = [job for job in jobs if _is_due(job, now) and job.id not in together]
        return alone, large

    async def poll(self, batch: Sequence[Job]) -> Sequence[tuple[Job, PolledJob]]:
        """Those with news; the others are put off until the next round."""
        host = self._hosts.get(batch[0].host)
        found, calls = await _listed(host, {job.host_job or "" for job in batch})
        left = max(0, MOST_CALLS - calls)
        missing = [job for job in batch if job.host_job not in found][:left]
        chosen = self._whose_events(batch, found, left - len(missing))
        now = self._record.clock.now()
        news = [
            (job, PolledJob(found[job.host_job or ""], wants_events=job.id in chosen))
            for job in batch
            if job.host_job in found
            and (job.id in chosen or _has_news(job, found[job.host_job or ""], now))
        ]
        busy = {job.id for job, _ in news} | {job.id for job in missing}
        quiet = [job for job in batch if job.id not in busy]
        await self._record.postpone(*quiet, seconds=host.profile.poll_seconds)
        return [*news, *((job, PolledJob()) for job in missing)]

    def _batch(self, host: HostName, jobs: Sequence[Job], now: datetime) -> Sequence[Job]:
        if host not in self._hosts.names() or not any(_is_due(job, now) for job in jobs):
            return ()
        poll = self._hosts.get(host).profile.poll_seconds
        return [job for job in jobs if _is_due(job, now + timedelta(seconds=poll / 2))]

    def _whose_events(
        self, batch: Sequence[Job], found: dict[str, RemoteJob], most: int
    ) -> frozenset[JobId]:
        """The running ones whose events were read longest ago."""
        running = [
            j for j in batch if j.host_job in found and found[j.host_job].status == "running"
        ]
        waiting = sorted(running, key=lambda job: self._events_read.get(job.id, _LONG_AGO))
        chosen = [job.id for job in waiting[:most]]
        open_now = {job.id for job in batch}
        self._events_read = {job: at for job, at in self._events_read.items() if job in open_now}
        self._events_read.update(dict.fromkeys(chosen, self._record.clock.now()))
        return frozenset(chosen)


async def _listed(host: Host, wanted: set[str]) -> tuple[dict[str, RemoteJob], int]:
    """The wanted jobs as the list has them, and how many calls that took."""
    found: dict[str, RemoteJob] = {}
    rows = 0
    async with aclosing(host.jobs()) as jobs:
        async for remote in jobs:
            rows += 1
            if remote.id in wanted:
                found[remote.id] = remote
            if len(found) == len(wanted) or rows == MOST_CALLS * _ROWS_A_CALL:
                break
    return found, max(1, -(-rows // _ROWS_A_CALL))


def _has_news(job: Job, remote: RemoteJob, now: datetime) -> bool:
    is_late = effects.is_unusually_long(job, remote.status, now)
    return remote.status != job.status or job.error_message is not None or is_late


def _is_due(job: Job, now: datetime) -> bool:
    return job.next_poll_at is None or job.next_poll_at <= now
