"""Many jobs of one host are looked at in its list, so that a thousand cost a dozen calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bot.domain import HostName, Job, JobId, Phase
from bot.ports.provider import Host, Hosts, RemoteJob
from bot.tuning.job_record import JobRecord
from bot.tuning.runner import is_unusually_long

FEW = 10
"""So many are looked at one by one: that tells more of each."""
MOST_CALLS = 12
_ROWS_A_CALL = 100
_LONG_AGO = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class JobSnapshot:
    """How a job stands at its host, and whether it is its turn to tell its events.

    None: the list does not have it, so it must be asked for by its name.
    """

    remote: RemoteJob | None
    wants_events: bool = True


class JobBatches:
    """Remembers whose events were heard when, so that everybody has a turn."""

    def __init__(self, ledger: JobRecord, hosts: Hosts) -> None:
        self._ledger = ledger
        self._hosts = hosts
        self._heard: dict[JobId, datetime] = {}

    def among(
        self, jobs: Sequence[Job], *, now: datetime
    ) -> tuple[Sequence[Job], Sequence[Sequence[Job]]]:
        """Which jobs are due: those to be looked at alone, and those of a host together.

        A crowd waits for nobody: whose turn comes within half an interval is
        taken along, so that after one round all have the same.
        """
        by_host: dict[HostName, list[Job]] = defaultdict(list)
        for job in jobs:
            if job.phase is Phase.WATCHING and job.requested_action is None:
                by_host[job.host].append(job)
        crowds = [self._taken_along(host, each, now) for host, each in by_host.items()]
        large = [crowd for crowd in crowds if len(crowd) > FEW]
        together = {job.id for crowd in large for job in crowd}
        alone = [job for job in jobs if _is_due(job, now) and job.id not in together]
        return alone, large

    async def look(self, crowd: Sequence[Job]) -> Sequence[tuple[Job, JobSnapshot]]:
        """Those that have something to say; the others are put off until the next round."""
        host = self._hosts.get(crowd[0].host)
        found, calls = await _listed(host, {job.host_job or "" for job in crowd})
        left = max(0, MOST_CALLS - calls)
        missing = [job for job in crowd if job.host_job not in found][:left]
        talkers = self._talkers(crowd, found, left - len(missing))
        now = self._ledger.clock.now()
        news = [
            (job, JobSnapshot(found[job.host_job or ""], wants_events=job.id in talkers))
            for job in crowd
            if job.host_job in found
            and (job.id in talkers or _is_news(job, found[job.host_job or ""], now))
        ]
        busy = {job.id for job, _ in news} | {job.id for job in missing}
        quiet = [job for job in crowd if job.id not in busy]
        await self._ledger.postpone(*quiet, seconds=host.profile.poll_seconds)
        return [*news, *((job, JobSnapshot(None)) for job in missing)]

    def _taken_along(self, host: HostName, jobs: Sequence[Job], now: datetime) -> Sequence[Job]:
        if host not in self._hosts.names() or not any(_is_due(job, now) for job in jobs):
            return ()
        poll = self._hosts.get(host).profile.poll_seconds
        return [job for job in jobs if _is_due(job, now + timedelta(seconds=poll / 2))]

    def _talkers(
        self, crowd: Sequence[Job], found: dict[str, RemoteJob], most: int
    ) -> frozenset[JobId]:
        """The running ones whose story was heard longest ago."""
        now = self._ledger.clock.now()
        running = [
            j for j in crowd if j.host_job in found and found[j.host_job].status == "running"
        ]
        waiting = sorted(running, key=lambda job: self._heard.get(job.id, _LONG_AGO))
        chosen = [job.id for job in waiting[:most]]
        open_now = {job.id for job in crowd}
        self._heard = {job: at for job, at in self._heard.items() if job in open_now}
        self._heard.update(dict.fromkeys(chosen, now))
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


def _is_news(job: Job, remote: RemoteJob, now: datetime) -> bool:
    is_late = is_unusually_long(job, remote.status, now)
    return remote.status != job.status or job.trouble is not None or is_late


def _is_due(job: Job, now: datetime) -> bool:
    return job.next_look is None or job.next_look <= now
