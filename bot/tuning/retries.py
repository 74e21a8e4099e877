"""How long a host may fail before a start or a job is given up, and the waits between tries.

An outage must never end a training that goes on at the host, so a job that exists there has days;
a start, of which nothing is lost but a click, has hours, and less where the host answers without
sense. Only failures in a row count: one good answer, and the count begins anew. What is known of
them stands in `Job.error_details`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain import BEFORE_JOB, Job, Phase
from bot.errors import (
    AttuneError,
    HostBusy,
    HostError,
    HostNotFound,
    HostRefused,
    HostTimeout,
    HostUnreachable,
    ModelUnnamed,
    serialize,
)

LONGEST_WAIT = 300.0
"""Seconds between two tries of what keeps failing."""
LONGEST_RETRY_AFTER = 3600.0
"""A Retry-After above so many seconds is ignored."""
MOST_REFUSALS = 6
"""After so many refusals in a row a host that refuses to tell of a job is believed."""

_AWAY = 6
"""A host that is away gets so many times the hours of one that answers without sense."""
_SINCE, _TIMES, _UNKNOWN_SINCE = "since", "times", "unknown_since"


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """For how long a host may fail.

    `before_job` is for answers without sense (5xx, pages, wrong fields) before the job exists,
    `unreachable_before_job` for a host that is busy or cannot be reached then, `job` for all that
    happens once it exists.
    """

    before_job: timedelta = timedelta(hours=1)
    unreachable_before_job: timedelta = timedelta(hours=6)
    job: timedelta = timedelta(hours=72)

    @classmethod
    def of_hours(cls, *, start: float, job: float) -> RetryLimits:
        hours = timedelta(hours=start)
        return cls(hours, _AWAY * hours, timedelta(hours=job))

    def limit_for(self, job: Job, error: AttuneError) -> timedelta:
        """A host that reports success without a model is not waited for as one that trains."""
        if isinstance(error, ModelUnnamed):
            return self.before_job
        if job.phase not in BEFORE_JOB:
            return self.job
        is_away = isinstance(error, HostBusy | HostTimeout | HostUnreachable)
        return self.unreachable_before_job if is_away else self.before_job


def is_final(job: Job, error: AttuneError) -> bool:
    """A refusal ends a start at once where nothing may have been done; else after several."""
    is_often = _times(job, error) >= MOST_REFUSALS
    if job.phase in BEFORE_JOB and isinstance(error, HostRefused):
        return job.attempted_at is None or is_often
    return job.phase is Phase.WATCHING and isinstance(error, HostNotFound) and is_often


def is_exhausted(job: Job, error: AttuneError, limits: RetryLimits, *, now: datetime) -> bool:
    """Whether the host has failed, without a good answer in between, for too long."""
    return now - _since(job, _SINCE, now) > limits.limit_for(job, error)


def retry_delay(job: Job, error: AttuneError, *, poll_seconds: float) -> float:
    """Seconds until the next try: twice as many with every failure, or as the host asks."""
    asked = error.retry_after if isinstance(error, HostError) else None
    if asked and asked <= LONGEST_RETRY_AFTER:
        return max(asked, poll_seconds)
    return max(poll_seconds, min(LONGEST_WAIT, poll_seconds * 2.0 ** min(job.attempts, 10)))


def failure_fields(error: AttuneError) -> dict[str, object]:
    """The fields of a job that name a failure: in English, and to be worded in any language."""
    return {"error_message": error.sentence, "error_details": serialize(error)}


def cleared_failure() -> dict[str, object]:
    return {"error_message": None, "error_details": {}, "attempts": 0}


def repeated_failure(job: Job, error: AttuneError, *, now: datetime) -> dict[str, object]:
    """The failure, with how often and since when in a row."""
    known = job.error_details
    kept = {name: known[name] for name in (_UNKNOWN_SINCE,) if name in known}
    details = {
        **serialize(error),
        **kept,
        _SINCE: _since(job, _SINCE, now).isoformat(),
        _TIMES: _times(job, error),
    }
    return {
        "error_message": error.sentence,
        "error_details": details,
        "attempts": job.attempts + 1,
    }


def unknown_status(job: Job, *, now: datetime) -> dict[str, object]:
    """`error_details` of a job whose host reports a status that is not of the protocol."""
    return {_UNKNOWN_SINCE: unknown_since(job, now=now).isoformat()}


def unknown_since(job: Job, *, now: datetime) -> datetime:
    """When the host began to report such a status, with nothing else to tell."""
    return _since(job, _UNKNOWN_SINCE, now)


def _times(job: Job, error: AttuneError) -> int:
    """How often in a row it was this kind of error, this one included."""
    known = job.error_details.get(_TIMES)
    is_same = job.error_details.get("error") == type(error).__name__
    return known + 1 if is_same and isinstance(known, int) else 1


def _since(job: Job, name: str, now: datetime) -> datetime:
    value = job.error_details.get(name)
    return datetime.fromisoformat(value) if isinstance(value, str) else now
