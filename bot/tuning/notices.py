"""The notices of a training, and the words for its time, money and trouble."""

from __future__ import annotations

from datetime import datetime

from bot.domain import LOCAL, Job, JobId, Notice, RequestedAction
from bot.errors import HostError, NotFound, deserialize, serialize
from bot.numerals import whole_number
from bot.outbox import ASKER
from bot.ports.store import Records
from bot.replies import Fact
from bot.request import Request
from bot.words import Words

STATUS = "job.status"
ENDED = "job.ended"
LATE = "job.late"
REFUSED = "job.refused"


async def named_job(request: Request, records: Records) -> Job:
    """The job that a button or an option names; raises NotFound."""
    said = request.argument or request.text_option("job") or ""
    return await records.jobs.get(request.workspace_id, job_id(said))


def job_id(text: str) -> JobId:
    return JobId(number(text, "job"))


def number(text: str, noun: str) -> int:
    """The number in "12" or "#12"; raises NotFound, of that noun, where there is none."""
    try:
        return whole_number(text.lstrip("#"))
    except ValueError:
        raise NotFound(noun=noun, name=text) from None


async def queue_status_notice(
    records: Records, job: Job, *, at: datetime, locale: str = ""
) -> None:
    """The job's live status message has something new to say."""
    details = {"locale": locale} if locale else {}
    await _tell(records, job, STATUS, "status", at, **details)


async def queue_ended_notice(records: Records, job: Job, *, at: datetime) -> None:
    await _tell(records, job, ENDED, "ended", at)


async def queue_late_notice(records: Records, job: Job, *, at: datetime) -> None:
    """It takes longer than it should; the caller makes sure that this is told once."""
    took = (at - (job.running_at or job.confirmed_at or at)).total_seconds()
    usual = job.estimate.seconds if job.running_at else None
    await _tell(records, job, LATE, "late", at, seconds=took, usual=usual)


async def queue_refused_notice(
    records: Records, job: Job, action: RequestedAction, why: HostError | None, *, at: datetime
) -> None:
    """The host will not do the requested action; `why` None: it had ended by then."""
    details = {"wish": action, **(serialize(why) if why else {})}
    await _tell(records, job, REFUSED, f"refused.{action}", at, **details)


async def _tell(
    records: Records, job: Job, kind: str, name: str, at: datetime, **details: object
) -> None:
    """Where the job was started; should that place be closed, to whoever started it."""
    details = {ASKER: job.asked_by, **details}
    key = f"job.{job.id}.{name}"
    await records.outbox.put(key, job.place, kind, subject=job.id, details=details, at=at)


def fact(name: str, value: str, words: Words) -> Fact:
    """A fact of a training, explained where its name says little to most people."""
    key = f"about.{name}"
    about = words(key) if words.has(key) else ""
    return Fact(words(f"fact.{name}"), value, name, about)


def trouble_text(job: Job, words: Words, *, in_full: bool) -> str | None:
    """Attune's own sentence in the reader's language; the host's own words only in full."""
    error = deserialize(job.error_details)
    if error is not None:
        return words.error(error) if in_full else words.error_without_host_words(error)
    return (
        job.error_message
        if in_full or not job.error_message
        else words("host.plain", host=job.host)
    )


def may_quote(notice: Notice) -> bool:
    """Whether a host's own words may stand in a place: the operator alone reads the local room."""
    return notice.place.workspace == LOCAL


def time_text(seconds: float | None, words: Words) -> str:
    if seconds is None:
        return words("time.unknown")
    if seconds < 60:
        return words("time.seconds", count=max(1, round(seconds)))
    if seconds < 5400:
        return words("time.minutes", count=round(seconds / 60))
    return words("time.hours", count=round(seconds / 3600))


def cost_text(job: Job, words: Words) -> str:
    """The estimated time and price as a sentence."""
    time, price = time_text(job.estimate.seconds, words), words.price(job.estimate.price)
    return words("start.cost", time=time, price=price)
