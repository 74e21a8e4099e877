"""Queues the notices of a job, and renders its duration, cost and error as text."""

from __future__ import annotations

from datetime import datetime

from bot.domain import LOCAL, Job, JobId, Notice, RequestedAction
from bot.errors import HostError, deserialize, serialize
from bot.number_formats import parse_number_argument
from bot.outbox import ASKER_DETAIL, locale_detail
from bot.paid_run_actions import job_status_notice_key
from bot.ports.store import Records
from bot.replies import Fact
from bot.request import Request
from bot.words import Words

STATUS_NOTICE = "job.status"
ENDED_NOTICE = "job.ended"
LATE_NOTICE = "job.late"
ACTION_REFUSED_NOTICE = "job.refused"


async def named_job(request: Request, records: Records) -> Job:
    """Returns the job that a button or an option names. Raises NotFound."""
    text = request.argument or request.text_option("job") or ""
    return await records.jobs.get(request.workspace_id, parse_job_id(text))


def parse_job_id(text: str) -> JobId:
    return JobId(parse_number_argument(text, "job"))


async def queue_status_notice(
    records: Records, job: Job, *, at: datetime, locale: str = ""
) -> None:
    """Queues an edit of the job's live status message."""
    details = {"locale": locale} if locale else {}
    await _queue(records, job, STATUS_NOTICE, "status", at, **details)


async def queue_ended_notice(records: Records, job: Job, *, at: datetime) -> None:
    await _queue(records, job, ENDED_NOTICE, "ended", at)


async def queue_late_notice(records: Records, job: Job, *, at: datetime) -> None:
    """Queues the notice that a job takes unusually long; the caller does so only once."""
    seconds = (at - (job.running_at or job.confirmed_at or at)).total_seconds()
    usual = job.estimate.seconds if job.running_at else None
    await _queue(records, job, LATE_NOTICE, "late", at, seconds=seconds, usual=usual)


async def queue_action_refused_notice(
    records: Records, job: Job, action: RequestedAction, why: HostError | None, *, at: datetime
) -> None:
    """Queues the notice that the host refused an action; `why` None: the job had ended."""
    details = {"wish": action, **(serialize(why) if why else {})}
    await _queue(records, job, ACTION_REFUSED_NOTICE, f"refused.{action}", at, **details)


async def _queue(
    records: Records, job: Job, kind: str, name: str, at: datetime, **details: object
) -> None:
    """Queues a notice in the job's channel; if that is closed, to the user who started the job."""
    key = f"job.{job.id}.{name}"
    locale = await records.outbox.locale_of(job.workspace, [key, job_status_notice_key(job.id)])
    details = {ASKER_DETAIL: job.asked_by, **locale_detail(locale), **details}
    await records.outbox.put(key, job.place, kind, subject=job.id, details=details, at=at)


def job_fact(name: str, value: str, words: Words) -> Fact:
    """Returns a labelled value of a job, with an explanation if `bot.words` has one."""
    key = f"about.{name}"
    about = words(key) if words.has_sentence(key) else ""
    return Fact(words(f"fact.{name}"), value, name, about)


def job_error_text(job: Job, words: Words, *, in_full: bool) -> str | None:
    """Returns the job's error in the reader's language; the host's own text only with `in_full`."""
    error = deserialize(job.error_details)
    if error is not None:
        return words.error_text(error) if in_full else words.error_text_without_host_message(error)
    return (
        job.error_message
        if in_full or not job.error_message
        else words("host.plain", host=job.host)
    )


def may_quote_host(notice: Notice) -> bool:
    """Whether a notice may quote the host: only in the local workspace, read by the operator."""
    return notice.place.workspace == LOCAL


def duration_text(seconds: float | None, words: Words) -> str:
    if seconds is None:
        return words("time.unknown")
    if seconds < 60:
        return words("time.seconds", count=max(1, round(seconds)))
    if seconds < 5400:
        return words("time.minutes", count=round(seconds / 60))
    return words("time.hours", count=round(seconds / 3600))


def time_and_price_text(job: Job, words: Words) -> str:
    """Returns the estimated time and price as a sentence."""
    time, price = duration_text(job.estimate.seconds, words), words.price_text(job.estimate.price)
    return words("start.cost", time=time, price=price)
