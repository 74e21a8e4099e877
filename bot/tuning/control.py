"""Cancel, pause, resume: a wish is written down, the watcher acts on it."""

from __future__ import annotations

from bot import access
from bot.commands import JOB, Handlers
from bot.domain import Job, Phase, RequestedAction, Role
from bot.errors import NotNow
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Reply, Text
from bot.request import Request
from bot.tuning import notices

handlers = Handlers()


_OPEN = (Phase.CONFIRMED, Phase.UPLOADING, Phase.CREATING, Phase.WATCHING)


@handlers.command("cancel", Role.TRAINER, JOB)
@handlers.button("job.cancel", Role.TRAINER)
async def cancel(ask: Request, deps: Dependencies) -> Reply:
    return await _request_action(ask, RequestedAction.CANCEL, deps)


@handlers.command("pause", Role.TRAINER, JOB)
@handlers.button("job.pause", Role.TRAINER)
async def pause(ask: Request, deps: Dependencies) -> Reply:
    return await _request_action(ask, RequestedAction.PAUSE, deps)


@handlers.command("resume", Role.TRAINER, JOB)
@handlers.button("job.resume", Role.TRAINER)
async def resume(ask: Request, deps: Dependencies) -> Reply:
    return await _request_action(ask, RequestedAction.RESUME, deps)


async def _request_action(ask: Request, wanted: RequestedAction, deps: Dependencies) -> Reply:
    """Raises NotNow when there is no job that could do it, HostNotAllowed where it must not."""
    if wanted is RequestedAction.RESUME:
        access.refuse_closed(ask.workspace, ask.words)
    async with deps.store.writing() as records:
        job = await _chosen(ask, records)
        if job.requested_action is RequestedAction.CANCEL and wanted is not RequestedAction.CANCEL:
            raise NotNow(problem=ask.words("job.cancelling", id=job.id))
        if not _is_open_to(job, wanted):
            raise NotNow(problem=ask.words("job.so_already", id=job.id, state=_state(ask, job)))
        if wanted is RequestedAction.RESUME:
            deps.hosts.paid(job.host, ask.workspace)
        written = await records.jobs.change(
            ask.id, job.id, when=_OPEN, requested_action=wanted, next_look=ask.now
        )
        if not written:
            raise NotNow(problem=ask.words("job.over", id=job.id))
        await records.audit.add(ask.id, ask.by, f"job.{wanted}", at=ask.now, job=job.id)
        await notices.tell_status(records, job, at=ask.now)
    deps.wake()
    return Text(ask.words(f"job.asked.{wanted}", id=job.id), private=True)


def _is_open_to(job: Job, wanted: RequestedAction) -> bool:
    """Whether a button or command asks for anything that is not so, or asked for, already."""
    if job.requested_action is wanted:
        return False
    is_halted = job.requested_action is RequestedAction.PAUSE or (
        job.status == "paused" and job.requested_action is None
    )
    match wanted:
        case RequestedAction.PAUSE:
            return not is_halted
        case RequestedAction.RESUME:
            return is_halted
        case _:
            return True


def _state(ask: Request, job: Job) -> str:
    if job.requested_action is not None:
        return ask.words(f"job.wish.{job.requested_action}")
    key = f"status.{job.status}"
    return ask.words(key) if ask.words.has(key) else str(job.status or job.phase)


async def _chosen(ask: Request, records: Records) -> Job:
    if ask.argument or ask.text("job"):
        return await records.jobs.get(ask.id, notices.number(ask))
    running = await records.jobs.open_in(ask.id)
    if not running:
        raise NotNow(problem=ask.words("job.none_running"))
    return running[-1]
