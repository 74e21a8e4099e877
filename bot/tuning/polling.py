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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from bot.domain import HostName, Job, JobId, Phase
from bot.errors import (
    AttuneError,
    HostBroken,
    HostError,
    HostForgot,
    HostSilent,
    NotFound,
    serialize,
)
from bot.ports.provider import Hosts, PaidHost
from bot.ports.store import Clock, Store
from bot.tuning import deleting, model_warmup, patience, remote_cleanup, submission
from bot.tuning.expiry import ExpiryCalendar
from bot.tuning.job_batches import JobBatches, JobSnapshot
from bot.tuning.job_record import JobChangedError, JobRecord, trouble
from bot.tuning.patience import LONGEST_WAIT, Patience
from bot.tuning.runner import follow

log = logging.getLogger(__name__)

_AT_ONCE = 8


class JobPoller:
    """Looks after every open job of every workspace, each host for itself."""

    def __init__(
        self, *, store: Store, hosts: Hosts, clock: Clock, patience: Patience | None = None
    ) -> None:
        self._store = store
        self._hosts = hosts
        self._clock = clock
        self._ledger = JobRecord(store=store, clock=clock, patience=patience or Patience())
        self._crowds = JobBatches(self._ledger, hosts)
        self._gates: dict[HostName, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_AT_ONCE)
        )
        self._claimed: set[JobId] = set()
        self.calendar = ExpiryCalendar(store=store, hosts=hosts, clock=clock)

    async def look(self) -> float | None:
        """At every host at once; seconds until the next job is due, None without jobs."""
        places = (*self._hosts.names(), None)
        looks = [asyncio.create_task(self.look_at(place), name=f"{place}") for place in places]
        try:
            waits = await asyncio.gather(*looks)
        finally:
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)
        return min((wait for wait in waits if wait is not None), default=None)

    async def look_at(self, host: HostName | None) -> float | None:
        """Advance what is due at one host; None stands for those that are configured no more."""
        alone, crowds = self._crowds.among(await self._open_at(host), now=self._clock.now())
        await asyncio.gather(
            *(self._advance(job) for job in alone), *(self._advance_all(one) for one in crowds)
        )
        await self._forget_files(host)
        await self._forget_models(host)
        await remote_cleanup.clear(host, store=self._store, hosts=self._hosts, clock=self._clock)
        due = await deleting.clear(host, store=self._store, hosts=self._hosts, clock=self._clock)
        waits = [self._seconds_until(job.next_look) for job in await self._open_at(host)]
        waits += [] if due is None else [self._seconds_until(due)]
        return min(waits) if waits else None

    async def _open_at(self, host: HostName | None) -> Sequence[Job]:
        async with self._store.reading() as records:
            jobs = await records.jobs.open()
        return [job for job in jobs if self._is_at(job, host)]

    def _is_at(self, job: Job, host: HostName | None) -> bool:
        return job.host == host if host is not None else job.host not in self._hosts.names()

    async def _forget_files(self, host: HostName | None) -> None:
        """Our words do not stay at a host that is not to learn from them (any more)."""
        async with self._store.reading() as records:
            jobs = await records.jobs.forgetting()
        for job in jobs:
            if not self._is_at(job, host) or self._seconds_until(job.next_look) > 0:
                continue
            try:
                await self._forget(job)
            except (HostError, NotFound) as error:
                log.warning("A host keeps a file", extra={"job": job.id, "why": error.key})
                await self._ledger.postpone(job, seconds=LONGEST_WAIT)

    async def _forget_models(self, name: HostName | None) -> None:
        """A model that holds rows word for word goes once one of them was erased."""
        if name is None or not self._hosts.get(name).profile.keeps_words:
            return
        async with self._store.reading() as records:
            tainted = await records.models.tainted(name)
        for model in tainted:
            try:
                with contextlib.suppress(HostForgot):
                    await self._hosts.get(name).delete_model(model.name)
            except HostError as error:
                log.warning("A host keeps a model", extra={"model": model.name, "why": error.key})
                continue
            async with self._store.writing() as records:
                await records.models.delete(model.workspace, model.name)
                await records.audit.add(
                    model.workspace, None, "model.deleted", at=self._clock.now(), model=model.name
                )

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
                job.workspace, job.id, when=None, requested_action=None, attempted_at=None, **gone
            )
            await records.audit.add(job.workspace, None, "files.deleted", at=now, job=job.id)

    async def _advance_all(self, crowd: Sequence[Job]) -> None:
        """Jobs of one host, seen in its list; those with news are gone on with one by one."""
        try:
            seen = await self._crowds.look(crowd)
        except HostError as error:
            for job in crowd:
                await self._in_trouble(job, error)
            return
        except Exception:
            log.exception("Jobs could not be looked at", extra={"jobs": len(crowd)})
            await self._ledger.postpone(*crowd, seconds=LONGEST_WAIT)
            return
        await asyncio.gather(*(self._advance(job, one) for job, one in seen))

    async def _advance(self, job: Job, seen: JobSnapshot | None = None) -> None:
        """One step, on the job as it is once nobody else works on it."""
        async with self._gates[job.host]:
            if job.id in self._claimed:
                return
            with self._claim(job):
                fresh = await self._ledger.read(job)
                if fresh is None or (seen is None and self._seconds_until(fresh.next_look) > 0):
                    return
                await self._try_step(fresh, seen)

    @contextlib.contextmanager
    def _claim(self, job: Job) -> Iterator[None]:
        self._claimed.add(job.id)
        try:
            yield
        finally:
            self._claimed.discard(job.id)

    async def _try_step(self, job: Job, seen: JobSnapshot | None) -> None:
        try:
            await self._step(job, seen)
        except JobChangedError:
            log.info("A job was changed before it was acted on", extra={"job": job.id})
        except HostError as error:
            await self._in_trouble(job, error)
        except NotFound as error:
            why = {"trouble": error.sentence, "trouble_details": serialize(error)}
            with contextlib.suppress(NotFound):
                await self._ledger.end(job, Phase.FAILED, trouble_code="host_gone", **why)
        except Exception:
            log.exception("A job could not be advanced", extra={"job": job.id})
            await self._in_trouble(job, AttuneError())

    async def _step(self, job: Job, seen: JobSnapshot | None) -> None:
        host, ledger = self._hosts.get(job.host), self._ledger
        match job.phase:
            case Phase.CONFIRMED:
                await submission.begin(ledger, job)
            case Phase.UPLOADING:
                await submission.upload_parts(ledger, job, await self._paid(job))
            case Phase.CREATING:
                await submission.create(ledger, job, await self._paid(job))
            case Phase.WATCHING if seen is not None:
                await follow(ledger, job, host, remote=seen.remote, told=seen.wants_events)
            case Phase.WATCHING:
                await follow(ledger, job, host)
            case Phase.WARMING:
                await model_warmup.warm(ledger, job, await self._paid(job))
            case _:
                return

    async def _paid(self, job: Job) -> PaidHost:
        """Raises HostNotAllowed where the operator has taken the permission back meanwhile."""
        async with self._store.reading() as records:
            workspace = await records.workspaces.find(job.workspace)
        if workspace is None:
            raise NotFound(noun="workspace", name=job.workspace)
        return self._hosts.paid(job.host, workspace)

    async def _in_trouble(self, job: Job, error: AttuneError) -> None:
        """Try again later, or give up: what is refused at once, the rest when patience ends."""
        fresh = await self._ledger.read(job)
        if fresh is None:
            return None
        now = self._clock.now()
        if patience.is_final(fresh, error):
            code = "vanished" if fresh.phase is Phase.WATCHING else error.details.get("code")
            return await self._ledger.give_up(fresh, trouble_code=code, **trouble(error))
        if now - patience.since(fresh, now=now) > self._ledger.patience.of(fresh, error):
            return await self._ledger.give_up(fresh, trouble_code=None, **trouble(error))
        poll = self._hosts.get(job.host).profile.poll_seconds
        wait = patience.wait(fresh, error, poll_seconds=poll)
        is_unknown = isinstance(error, HostSilent | HostBroken)
        log.warning(
            "A host made a job wait",
            extra={"job": job.id, "why": error.key, "unknown_outcome": is_unknown},
        )
        changes = {**trouble(error), "attempts": fresh.attempts + 1}
        changes["trouble_details"] = {**serialize(error), **patience.noted(fresh, error, now=now)}
        return await self._ledger.record(job, changes, wait=wait)

    def _seconds_until(self, moment: datetime | None) -> float:
        if moment is None:
            return 0.0
        return max(0.0, (moment - self._clock.now()).total_seconds())
