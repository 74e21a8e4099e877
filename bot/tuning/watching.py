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
from collections.abc import Sequence
from datetime import datetime

from bot.errors import HostBroken, HostError, HostForgot, HostRefused, HostSilent, NotFound, told
from bot.model import Job, Phase
from bot.ports.provider import Hosts, PaidHost
from bot.ports.store import Clock, Store
from bot.tuning import leaving, sending, warming
from bot.tuning.calendar import Calendar
from bot.tuning.crowds import Crowds, Seen
from bot.tuning.following import PATIENCE_GONE, follow
from bot.tuning.ledger import Ledger, trouble

log = logging.getLogger(__name__)

_LONGEST_WAIT = 300.0
_AT_ONCE = 8


class Watcher:
    """Looks after every open job of every workspace."""

    def __init__(self, *, store: Store, hosts: Hosts, clock: Clock) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._ledger = Ledger(store=store, clock=clock)
        self._crowds = Crowds(self._ledger, hosts)
        self._gate = asyncio.Semaphore(_AT_ONCE)
        self.calendar = Calendar(store=store, hosts=hosts, clock=clock)

    async def look(self) -> float | None:
        """Advance what is due; seconds until the next job is due, None without jobs."""
        async with self._store.reading() as records:
            jobs = await records.jobs.open()
        alone, crowds = self._crowds.among(jobs, now=self._clock.now())
        await asyncio.gather(
            *(self._advance(job) for job in alone), *(self._advance_all(one) for one in crowds)
        )
        await self._forget_files()
        await leaving.clear(store=self._store, hosts=self._hosts, clock=self._clock)
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
                await self._ledger.postpone(job, seconds=_LONGEST_WAIT)

    async def _forget(self, job: Job) -> None:
        host = self._hosts.get(job.host)
        known = {file for file in (job.training_file, job.validation_file) if file}
        if job.attempted_at is not None:
            if self._ledger.may_lag(job, host):
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

    async def _advance_all(self, crowd: Sequence[Job]) -> None:
        """Jobs of one host, seen in its list; those with news are gone on with one by one."""
        try:
            seen = await self._crowds.look(crowd)
        except HostError as error:
            for job in crowd:
                await self._try_later(job, error)
            return
        except Exception:
            log.exception("Jobs could not be looked at", extra={"jobs": len(crowd)})
            await self._ledger.postpone(*crowd, seconds=_LONGEST_WAIT)
            return
        await asyncio.gather(*(self._advance(job, one) for job, one in seen))

    async def _advance(self, job: Job, seen: Seen | None = None) -> None:
        async with self._gate:
            try:
                await self._try_step(job, seen)
            except Exception:
                log.exception("A job could not be advanced", extra={"job": job.id})
                await self._ledger.postpone(job, seconds=_LONGEST_WAIT)

    async def _try_step(self, job: Job, seen: Seen | None) -> None:
        try:
            await self._step(job, seen)
        except HostError as error:
            await self._host_trouble(job, error)
        except NotFound as error:
            why = {"trouble": error.sentence, "trouble_details": told(error)}
            await self._ledger.end(job, Phase.FAILED, trouble_code="host_gone", **why)

    async def _step(self, job: Job, seen: Seen | None) -> None:
        host, ledger = self._hosts.get(job.host), self._ledger
        match job.phase:
            case Phase.CONFIRMED:
                await sending.begin(ledger, job)
            case Phase.UPLOADING:
                await sending.upload_parts(ledger, job, await self._paid(job))
            case Phase.CREATING:
                await sending.create(ledger, job, await self._paid(job))
            case Phase.WATCHING if seen is not None:
                await follow(ledger, job, host, remote=seen.remote, told=seen.wants_events)
            case Phase.WATCHING:
                await follow(ledger, job, host)
            case Phase.WARMING:
                await warming.warm(ledger, job, await self._paid(job))
            case _:
                return

    async def _paid(self, job: Job) -> PaidHost:
        """Raises HostNotAllowed where the operator has taken the permission back meanwhile."""
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(job.workspace)
        if workspace is None:
            raise NotFound(noun="workspace", name=job.workspace)
        return self._hosts.paid(job.host, workspace)

    async def _host_trouble(self, job: Job, error: HostError) -> None:
        """Decide what a host's failure means for the step that met it.

        A host that refuses only to be looked at may be right about it later.
        """
        is_before_job = job.phase in (Phase.UPLOADING, Phase.CREATING)
        if is_before_job and isinstance(error, HostRefused):
            async with self._store.reading() as records:
                fresh = await records.jobs.get(job.workspace, job.id)
            if fresh.attempted_at is None or job.attempts >= PATIENCE_GONE:
                why = {"trouble_code": error.code, **trouble(error)}
                return await self._ledger.end(job, Phase.FAILED, **why)
        is_gone = isinstance(error, HostForgot) and job.phase is Phase.WATCHING
        if is_gone and job.attempts >= PATIENCE_GONE:
            why = {"trouble_code": "vanished", **trouble(error)}
            return await self._ledger.end(job, Phase.FAILED, **why)
        return await self._try_later(job, error)

    async def _try_later(self, job: Job, error: HostError) -> None:
        poll = self._hosts.get(job.host).profile.poll_seconds
        wait = min(_LONGEST_WAIT, error.retry_after or poll * 2 ** min(job.attempts, 10))
        is_unknown = isinstance(error, HostSilent | HostBroken)
        log.warning(
            "A host made a job wait",
            extra={"job": job.id, "why": error.key, "unknown_outcome": is_unknown},
        )
        changes = {"attempts": job.attempts + 1, **trouble(error)}
        await self._ledger.record(job, changes, wait=wait)

    def _seconds_until(self, moment: datetime | None) -> float:
        if moment is None:
            return 0.0
        return max(0.0, (moment - self._clock.now()).total_seconds())
