"""Polls every open job when it is due, alone or through its host's list, until it is over."""

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
from bot.ports.model_hosts import Host, Hosts, RemoteJob
from bot.ports.store import Clock, Store
from bot.tuning import job_steps, remote_cleanup, retries
from bot.tuning.job_steps import PolledJob
from bot.tuning.model_expiry import ExpiryCalendar
from bot.tuning.retries import MAX_RETRY_SECONDS, RetryLimits
from bot.tuning.state_machine import JobChangedError, JobWriter

log = logging.getLogger(__name__)

_CONCURRENT_JOBS = 8
"""Number of jobs of one host that advance concurrently."""
MAX_JOBS_POLLED_ONE_BY_ONE = 10
"""Up to so many jobs are polled one by one, which also reads the events of each."""
MAX_CALLS_PER_BATCH = 12
"""Limit of requests to a host for one batch."""
_PAGE_ROWS = 100
_LONG_AGO = datetime.fromtimestamp(0, UTC)


class JobPoller:
    """Advances the open jobs of all workspaces; hosts are independent of each other."""

    def __init__(
        self, *, store: Store, hosts: Hosts, clock: Clock, limits: RetryLimits | None = None
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._record = JobWriter(store=store, clock=clock, limits=limits or RetryLimits())
        self._batches = BatchPoller(self._record, hosts)
        self._gates: dict[HostName, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_CONCURRENT_JOBS)
        )
        self._claimed: set[JobId] = set()
        self.calendar = ExpiryCalendar(store=store, hosts=hosts, clock=clock)

    async def poll(self) -> float | None:
        """Polls all hosts concurrently; returns seconds until the next job is due, None if none."""
        hosts = (*self._hosts.names(), None)
        tasks = [asyncio.create_task(self.poll_host(host), name=f"{host}") for host in hosts]
        try:
            waits = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return min((wait for wait in waits if wait is not None), default=None)

    async def poll_host(self, host: HostName | None) -> float | None:
        """Advances the due jobs of one host; None stands for hosts not configured any more.

        Returns seconds until the next job or deletion is due, None if there is none.
        """
        jobs = await self._open_at(host)
        alone, batches = self._batches.due_jobs_and_batches(jobs, now=self._clock.now())
        await asyncio.gather(
            *(self._advance(job) for job in alone), *(self._advance_all(batch) for batch in batches)
        )
        due = await remote_cleanup.delete_what_is_due(host, self._record, self._hosts)
        jobs = await self._open_at(host) if alone or batches else jobs
        waits = [self._seconds_until(job.next_poll_at) for job in jobs]
        waits += [] if due is None else [self._seconds_until(due)]
        return min(waits) if waits else None

    async def _open_at(self, host: HostName | None) -> Sequence[Job]:
        async with self._store.reading() as records:
            jobs = await records.jobs.list_open()
        return [job for job in jobs if remote_cleanup.matches_host(job.host, host, self._hosts)]

    async def _advance_all(self, batch: Sequence[Job]) -> None:
        """Polls jobs of one host through its list and advances those that have changed."""
        try:
            polled_jobs = await self._batches.poll_batch(batch)
        except HostError as error:
            for job in batch:
                await self._handle_error(job, error)
            return
        except Exception:
            log.exception("Jobs could not be polled", extra={"jobs": len(batch)})
            await self._record.postpone_polls(*batch, seconds=MAX_RETRY_SECONDS)
            return
        await asyncio.gather(*(self._advance(job, polled) for job, polled in polled_jobs))

    async def _advance(self, job: Job, polled: PolledJob | None = None) -> None:
        """Makes one step of a job, read anew, unless another task works on it."""
        async with self._gates[job.host]:
            if job.id in self._claimed:
                return
            with self._claim(job):
                fresh = await self._record.read_open_job(job)
                if fresh is None or (
                    polled is None and self._seconds_until(fresh.next_poll_at) > 0
                ):
                    return
                await self._try_step(fresh, polled)

    @contextlib.contextmanager
    def _claim(self, job: Job) -> Iterator[None]:
        self._claimed.add(job.id)
        try:
            yield
        finally:
            self._claimed.discard(job.id)

    async def _try_step(self, job: Job, polled: PolledJob | None) -> None:
        try:
            await job_steps.advance_job(self._record, job, self._hosts, polled)
        except JobChangedError:
            log.info("A job was changed before it was acted on", extra={"job": job.id})
        except HostError as error:
            await self._handle_error(job, error)
        except NotFound as error:
            with contextlib.suppress(NotFound):
                await self._record.end_job(
                    job, Phase.FAILED, error_code="host_gone", **retries.job_fields_of_error(error)
                )
        except Exception:
            log.exception("A job could not be advanced", extra={"job": job.id})
            await self._handle_error(job, AttuneError())

    async def _handle_error(self, job: Job, error: AttuneError) -> None:
        """Stores an error for a retry, or gives the job up.

        A refusal before the job exists ends it at once, other errors after a time limit.
        """
        record, now = self._record, self._clock.now()
        fresh = await record.read_open_job(job)
        if fresh is None:
            return None
        if retries.is_final_refusal(fresh, error):
            code = "vanished" if fresh.phase is Phase.WATCHING else error.details.get("code")
            return await record.end_job_as_failed(
                fresh, error_code=code, **retries.job_fields_of_error(error)
            )
        if retries.is_retry_limit_reached(fresh, error, record.limits, now=now):
            return await record.end_job_as_failed(
                fresh, error_code=None, **retries.job_fields_of_error(error)
            )
        poll = self._hosts.get(job.host).profile.poll_seconds
        is_unknown = isinstance(error, HostTimeout | HostServerError)
        log.warning(
            "A host made a job wait",
            extra={"job": job.id, "why": error.key, "unknown_outcome": is_unknown},
        )
        changes = retries.job_fields_of_repeated_error(fresh, error, now=now)
        seconds = retries.retry_delay(fresh, error, poll_seconds=poll)
        # With `job`, not `fresh`: an action that was requested meanwhile is not delayed.
        return await record.update_job(job, changes, wait=seconds)

    def _seconds_until(self, moment: datetime | None) -> float:
        if moment is None:
            return 0.0
        return max(0.0, (moment - self._clock.now()).total_seconds())


class BatchPoller:
    """Polls the jobs of one host through its list endpoint: a page of jobs a call.

    Events need a call for each job, so they are read in turn, longest ago first.
    """

    def __init__(self, record: JobWriter, hosts: Hosts) -> None:
        self._record = record
        self._hosts = hosts
        self._events_read: dict[JobId, datetime] = {}

    def due_jobs_and_batches(
        self, jobs: Sequence[Job], *, now: datetime
    ) -> tuple[Sequence[Job], Sequence[Sequence[Job]]]:
        """Returns the due jobs: those to poll one by one, and the batches by host.

        Jobs that are due within half a poll interval join their host's batch, so that after one
        round all have the same interval.
        """
        by_host: dict[HostName, list[Job]] = defaultdict(list)
        for job in jobs:
            if job.phase is Phase.WATCHING and job.requested_action is None:
                by_host[job.host].append(job)
        batches = [self._batch(host, host_jobs, now) for host, host_jobs in by_host.items()]
        large = [batch for batch in batches if len(batch) > MAX_JOBS_POLLED_ONE_BY_ONE]
        together = {job.id for batch in large for job in batch}
        alone = [job for job in jobs if _is_due(job, now) and job.id not in together]
        return alone, large

    async def poll_batch(self, batch: Sequence[Job]) -> Sequence[tuple[Job, PolledJob]]:
        """Returns the jobs that changed or whose events are read; delays the others' next poll."""
        host = self._hosts.get(batch[0].host)
        remote_jobs, calls = await _listed_jobs(host, {job.host_job or "" for job in batch})
        remaining_calls = max(0, MAX_CALLS_PER_BATCH - calls)
        missing = [job for job in batch if job.host_job not in remote_jobs][:remaining_calls]
        chosen = self._jobs_with_oldest_events(batch, remote_jobs, remaining_calls - len(missing))
        now = self._record.clock.now()
        news = [
            (job, PolledJob(remote_jobs[job.host_job or ""], fetches_events=job.id in chosen))
            for job in batch
            if job.host_job in remote_jobs
            and (job.id in chosen or _has_changed(job, remote_jobs[job.host_job or ""], now))
        ]
        busy = {job.id for job, _ in news} | {job.id for job in missing}
        unchanged = [job for job in batch if job.id not in busy]
        await self._record.postpone_polls(*unchanged, seconds=host.profile.poll_seconds)
        return [*news, *((job, PolledJob()) for job in missing)]

    def _batch(self, host: HostName, jobs: Sequence[Job], now: datetime) -> Sequence[Job]:
        if host not in self._hosts.names() or not any(_is_due(job, now) for job in jobs):
            return ()
        poll = self._hosts.get(host).profile.poll_seconds
        return [job for job in jobs if _is_due(job, now + timedelta(seconds=poll / 2))]

    def _jobs_with_oldest_events(
        self, batch: Sequence[Job], remote_jobs: dict[str, RemoteJob], most: int
    ) -> frozenset[JobId]:
        """Returns the running jobs whose events were read longest ago."""
        running = [
            j
            for j in batch
            if j.host_job in remote_jobs and remote_jobs[j.host_job].status == "running"
        ]
        waiting = sorted(running, key=lambda job: self._events_read.get(job.id, _LONG_AGO))
        chosen = [job.id for job in waiting[:most]]
        open_now = {job.id for job in batch}
        self._events_read = {
            job: read_at for job, read_at in self._events_read.items() if job in open_now
        }
        self._events_read.update(dict.fromkeys(chosen, self._record.clock.now()))
        return frozenset(chosen)


async def _listed_jobs(host: Host, wanted: set[str]) -> tuple[dict[str, RemoteJob], int]:
    """Returns the wanted jobs from the host's list, and the number of requests made."""
    by_id: dict[str, RemoteJob] = {}
    rows = 0
    async with aclosing(host.jobs()) as jobs:
        async for remote in jobs:
            rows += 1
            if remote.id in wanted:
                by_id[remote.id] = remote
            if len(by_id) == len(wanted) or rows == MAX_CALLS_PER_BATCH * _PAGE_ROWS:
                break
    return by_id, max(1, -(-rows // _PAGE_ROWS))


def _has_changed(job: Job, remote: RemoteJob, now: datetime) -> bool:
    is_late = job_steps.is_unusually_long(job, remote.status, now)
    return remote.status != job.status or job.error_message is not None or is_late


def _is_due(job: Job, now: datetime) -> bool:
    return job.next_poll_at is None or job.next_poll_at <= now
