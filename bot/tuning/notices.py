"""What the tuning files share: telling a channel, and saying time and money."""

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


def number(ask: Request) -> JobId:
    """The job that a button or an option names."""
    said = ask.argument or ask.text("job") or ""
    try:
        return JobId(whole_number(said.lstrip("#")))
    except ValueError:
        raise NotFound(noun="job", name=said) from None


async def tell_status(records: Records, job: Job, *, at: datetime, locale: str = "") -> None:
    """The one live message of a job has something new to say."""
    details = {"locale": locale} if locale else {}
    await _tell(records, job, STATUS, "status", at, **details)


async def tell_ended(records: Records, job: Job, *, at: datetime) -> None:
    await _tell(records, job, ENDED, "ended", at)


async def tell_late(records: Records, job: Job, *, at: datetime) -> None:
    """It takes longer than it should; the caller sees to it that this is said once."""
    took = (at - (job.running_at or job.confirmed_at or at)).total_seconds()
    usual = job.estimate.seconds if job.running_at else None
    await _tell(records, job, LATE, "late", at, seconds=took, usual=usual)


async def tell_refused(
    records: Records,
    job: Job,
    requested_action: RequestedAction,
    why: HostError | None,
    *,
    at: datetime,
) -> None:
    """What was asked of the host will not be done."""
    details = {"wish": requested_action, **(serialize(why) if why else {})}
    await _tell(records, job, REFUSED, f"refused.{requested_action}", at, **details)


async def _tell(
    records: Records, job: Job, kind: str, name: str, at: datetime, **details: object
) -> None:
    """Where the job was started, and to whoever started it should that place be closed by then."""
    key = f"job.{job.id}.{name}"
    known = {ASKER: job.asked_by, **details}
    await records.outbox.put(key, job.place, kind, subject=job.id, details=known, at=at)


def fact(name: str, value: str, words: Words) -> Fact:
    """A fact of a training, explained where its name says little to most people."""
    key = f"about.{name}"
    about = words(key) if words.has(key) else ""
    return Fact(words(f"fact.{name}"), value, name, about)


def said_trouble(job: Job, words: Words, *, in_full: bool) -> str | None:
    """In the reader's language where it is ours; the host's own words only in full."""
    error = deserialize(job.trouble_details)
    if error is not None:
        return words.error(error) if in_full else words.plain(error)
    return job.trouble if in_full or not job.trouble else words("host.plain", host=job.host)


def may_quote(notice: Notice) -> bool:
    """Whether a host's own words may stand in a place: the operator alone reads the local room."""
    return notice.place.workspace == LOCAL


def said_left(job: Job, words: Words) -> str | None:
    """How long it will probably take from the last look on."""
    if job.seconds_left is None:
        return None
    return words("job.left", time=said_time(job.seconds_left, words))


def said_time(seconds: float | None, words: Words) -> str:
    if seconds is None:
        return words("time.unknown")
    if seconds < 60:
        return words("time.seconds", count=max(1, round(seconds)))
    if seconds < 5400:
        return words("time.minutes", count=round(seconds / 60))
    return words("time.hours", count=round(seconds / 3600))


def cost(job: Job, words: Words) -> dict[str, str]:
    """Time and price as the sentence `start.cost` wants them."""
    estimate = job.estimate
    return {"time": said_time(estimate.seconds, words), "price": said_price(estimate.price, words)}


def said_price(price: float | None, words: Words) -> str:
    if price is None:
        return words("price.unknown")
    if price == 0:
        return words("price.free")
    return f"${price:,.2f}" if price >= 0.01 else words("price.tiny")
