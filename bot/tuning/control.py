"""Cancel, pause, resume: a wish is written down, the watcher acts on it."""

from __future__ import annotations

from bot import access
from bot.commands import Ask
from bot.errors import NotNow
from bot.model import Job, JobWish, Phase
from bot.ports.provider import Hosts
from bot.ports.store import Records, Store
from bot.replies import Reply, Text
from bot.tuning import facts

_OPEN = (Phase.CONFIRMED, Phase.UPLOADING, Phase.CREATING, Phase.WATCHING)


async def wish(ask: Ask, wanted: JobWish, *, store: Store, hosts: Hosts) -> Reply:
    """Raises NotNow when there is no job that could do it, HostNotAllowed where it must not."""
    if wanted is JobWish.RESUME:
        access.refuse_closed(ask.workspace, ask.words)
    async with store.writing() as records:
        job = await _chosen(ask, records)
        if job.wish is JobWish.CANCEL and wanted is not JobWish.CANCEL:
            raise NotNow(problem=ask.words("job.cancelling", id=job.id))
        if not _is_open_to(job, wanted):
            raise NotNow(problem=ask.words("job.so_already", id=job.id, state=_state(ask, job)))
        if wanted is JobWish.RESUME:
            hosts.paid(job.host, ask.workspace)
        written = await records.jobs.change(
            ask.id, job.id, when=_OPEN, wish=wanted, next_look=ask.now
        )
        if not written:
            raise NotNow(problem=ask.words("job.over", id=job.id))
        await records.audit.add(ask.id, ask.by, f"job.{wanted}", at=ask.now, job=job.id)
        await facts.tell_status(records, job, at=ask.now)
    return Text(ask.words(f"job.asked.{wanted}", id=job.id), private=True)


def _is_open_to(job: Job, wanted: JobWish) -> bool:
    """Whether a button or command asks for anything that is not so, or asked for, already."""
    if job.wish is wanted:
        return False
    is_halted = job.wish is JobWish.PAUSE or (job.status == "paused" and job.wish is None)
    match wanted:
        case JobWish.PAUSE:
            return not is_halted
        case JobWish.RESUME:
            return is_halted
        case _:
            return True


def _state(ask: Ask, job: Job) -> str:
    if job.wish is not None:
        return ask.words(f"job.wish.{job.wish}")
    key = f"status.{job.status}"
    return ask.words(key) if ask.words.has(key) else str(job.status or job.phase)


async def _chosen(ask: Ask, records: Records) -> Job:
    if ask.argument or ask.text("job"):
        return await records.jobs.get(ask.id, facts.number(ask))
    running = await records.jobs.open_in(ask.id)
    if not running:
        raise NotNow(problem=ask.words("job.none_running"))
    return running[-1]
