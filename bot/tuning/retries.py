"""Retry rules: how long a host may fail before a job is given up, and the delays between retries.

An outage must not end a training that continues at the host, so a job that exists there has days.
Before that only a click is lost, so the limit is hours, and shorter for a host whose answers are
invalid. Only failures in a row count; a good answer resets them. Their count and first time are
stored in `Job.error_details`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain import PHASES_BEFORE_HOST_JOB, Job, Phase
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

MAX_RETRY_SECONDS = 300.0
"""Limit of the seconds between two retries."""
MAX_RETRY_AFTER_SECONDS = 3600.0
"""A Retry-After header above so many seconds is ignored."""
MAX_REFUSALS = 6
"""After so many equal refusals in a row a refusal is final where a single one is not."""

_UNREACHABLE_FACTOR = 6
"""How many times longer than `before_job` an unreachable host is retried."""
_SINCE, _TIMES, _UNKNOWN_SINCE = "since", "times", "unknown_since"


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """Durations for which a host may fail before a job is given up.

    `before_job` is for invalid answers (5xx, HTML pages, wrong fields) before the job exists at
    the host, `unreachable_before_job` for a host that is busy or unreachable then, `job` for all
    errors after that.
    """

    before_job: timedelta = timedelta(hours=1)
    unreachable_before_job: timedelta = timedelta(hours=6)
    job: timedelta = timedelta(hours=72)

    @classmethod
    def of_hours(cls, *, start: float, job: float) -> RetryLimits:
        hours = timedelta(hours=start)
        return cls(hours, _UNREACHABLE_FACTOR * hours, timedelta(hours=job))

    def limit_for(self, job: Job, error: AttuneError) -> timedelta:
        """Returns the limit for an error; success without a model has the short `before_job`."""
        if isinstance(error, ModelUnnamed):
            return self.before_job
        if job.phase not in PHASES_BEFORE_HOST_JOB:
            return self.job
        is_away = isinstance(error, HostBusy | HostTimeout | HostUnreachable)
        return self.unreachable_before_job if is_away else self.before_job


def is_final_refusal(job: Job, error: AttuneError) -> bool:
    """Whether a refusal ends the job without retries.

    Before the job exists at the host: at once if no request can have had an effect, else after
    several refusals in a row. While the job is watched: after several 404 in a row.
    """
    is_often = _repeat_count(job, error) >= MAX_REFUSALS
    if job.phase in PHASES_BEFORE_HOST_JOB and isinstance(error, HostRefused):
        return job.attempted_at is None or is_often
    return job.phase is Phase.WATCHING and isinstance(error, HostNotFound) and is_often


def is_retry_limit_reached(
    job: Job, error: AttuneError, limits: RetryLimits, *, now: datetime
) -> bool:
    """Whether the host has failed without a good answer for longer than the limit."""
    return now - _stored_time(job, _SINCE, now) > limits.limit_for(job, error)


def retry_delay(job: Job, error: AttuneError, *, poll_seconds: float) -> float:
    """Returns seconds until the next retry: doubled with each failure, or the Retry-After."""
    asked = error.retry_after if isinstance(error, HostError) else None
    if asked and asked <= MAX_RETRY_AFTER_SECONDS:
        return max(asked, poll_seconds)
    return max(poll_seconds, min(MAX_RETRY_SECONDS, poll_seconds * 2.0 ** min(job.attempts, 10)))


def job_fields_of_error(error: AttuneError) -> dict[str, object]:
    """Returns the job fields of an error: its English text, and data for other languages."""
    return {"error_message": error.sentence, "error_details": serialize(error)}


def job_fields_without_error() -> dict[str, object]:
    return {"error_message": None, "error_details": {}, "attempts": 0}


def job_fields_of_repeated_error(
    job: Job, error: AttuneError, *, now: datetime
) -> dict[str, object]:
    """Returns the job fields of an error, with its count and first time in a row."""
    details_before = job.error_details
    unknown_since = {
        name: details_before[name] for name in (_UNKNOWN_SINCE,) if name in details_before
    }
    details = {
        **serialize(error),
        **unknown_since,
        _SINCE: _stored_time(job, _SINCE, now).isoformat(),
        _TIMES: _repeat_count(job, error),
    }
    return {
        "error_message": error.sentence,
        "error_details": details,
        "attempts": job.attempts + 1,
    }


def error_details_of_unknown_status(job: Job, *, now: datetime) -> dict[str, object]:
    """Returns `error_details` for a job whose host reports a status that is not in the protocol."""
    return {_UNKNOWN_SINCE: unknown_status_since(job, now=now).isoformat()}


def unknown_status_since(job: Job, *, now: datetime) -> datetime:
    """Returns since when the host has reported a status that is not in the protocol."""
    return _stored_time(job, _UNKNOWN_SINCE, now)


def _repeat_count(job: Job, error: AttuneError) -> int:
    """Returns how many errors of this class came in a row, including this one."""
    count = job.error_details.get(_TIMES)
    is_same = job.error_details.get("error") == type(error).__name__
    return count + 1 if is_same and isinstance(count, int) else 1


def _stored_time(job: Job, name: str, now: datetime) -> datetime:
    value = job.error_details.get(name)
    return datetime.fromisoformat(value) if isinstance(value, str) else now
