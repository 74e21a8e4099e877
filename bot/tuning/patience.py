"""How long a host may fail before a start or a job is given up, and how long to wait between looks.

An outage must never end a training that goes on at the host, so a running job has days; a start,
of which nothing is lost but a click, has hours, and less where the host answers without sense.
What counts is trouble without a break: one good answer, and the count begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain import Job, Phase
from bot.errors import (
    AttuneError,
    HostBusy,
    HostError,
    HostForgot,
    HostRefused,
    HostSilent,
    HostUnreachable,
    ModelUnnamed,
)

LONGEST_WAIT = 300.0
"""Seconds between two tries of what keeps failing."""
LONGEST_RETRY_AFTER = 3600.0
"""A host that asks for a longer pause cannot mean it; then the usual wait holds."""
TIMES_REFUSED = 6
"""So many refusals in a row, and a host that refuses to be looked at is believed."""

_AWAY = 6
"""So many times as long as for senseless answers is a start's host waited for that is away."""
_BEFORE_JOB = (Phase.CONFIRMED, Phase.UPLOADING, Phase.CREATING)
_SINCE, _TIMES, _UNKNOWN_SINCE = "since", "times", "unknown_since"


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long a host may fail.

    `start` is for answers without sense (5xx, pages, wrong fields) before the job exists, `away`
    for a host that is busy or cannot be reached then, `job` for all that happens once it exists.
    """

    start: timedelta = timedelta(hours=1)
    away: timedelta = timedelta(hours=6)
    job: timedelta = timedelta(hours=72)

    @classmethod
    def of_hours(cls, *, start: float, job: float) -> Patience:
        hours = timedelta(hours=start)
        return cls(hours, _AWAY * hours, timedelta(hours=job))

    def of(self, job: Job, error: AttuneError) -> timedelta:
        """A host that says it is done is not waited for as one that still trains."""
        if isinstance(error, ModelUnnamed):
            return self.start
        if job.phase not in _BEFORE_JOB:
            return self.job
        is_away = isinstance(error, HostBusy | HostSilent | HostUnreachable)
        return self.away if is_away else self.start


def since(job: Job, *, now: datetime) -> datetime:
    """When the present trouble began."""
    return _moment(job, _SINCE) or now


def unknown_since(job: Job, *, now: datetime) -> datetime:
    """When the host began to report a state that nobody knows, with nothing else to tell."""
    return _moment(job, _UNKNOWN_SINCE) or now


def times(job: Job, error: AttuneError) -> int:
    """How often in a row it was this kind of error, this one included."""
    known = job.trouble_details.get(_TIMES)
    is_same = job.trouble_details.get("error") == type(error).__name__
    return known + 1 if is_same and isinstance(known, int) else 1


def noted(job: Job, error: AttuneError, *, now: datetime) -> dict[str, object]:
    """What is kept of this error, so that the next one knows how long it has been so."""
    kept = {
        name: job.trouble_details[name] for name in (_UNKNOWN_SINCE,) if name in job.trouble_details
    }
    return {**kept, _SINCE: since(job, now=now).isoformat(), _TIMES: times(job, error)}


def noted_unknown(job: Job, *, now: datetime) -> dict[str, object]:
    return {_UNKNOWN_SINCE: unknown_since(job, now=now).isoformat()}


def is_final(job: Job, error: AttuneError) -> bool:
    """A refusal ends a start at once where nothing may have been done; else after several."""
    is_often = times(job, error) >= TIMES_REFUSED
    if job.phase in _BEFORE_JOB and isinstance(error, HostRefused):
        return job.attempted_at is None or is_often
    return job.phase is Phase.WATCHING and isinstance(error, HostForgot) and is_often


def wait(job: Job, error: AttuneError, *, poll_seconds: float) -> float:
    """Longer with every failure; as long as the host asks where it does."""
    asked = error.retry_after if isinstance(error, HostError) else None
    if asked and asked <= LONGEST_RETRY_AFTER:
        return max(asked, poll_seconds)
    return max(poll_seconds, min(LONGEST_WAIT, poll_seconds * 2.0 ** min(job.attempts, 10)))


def _moment(job: Job, name: str) -> datetime | None:
    value = job.trouble_details.get(name)
    return datetime.fromisoformat(value) if isinstance(value, str) else None
