"""The yes or no to a priced start, and the money that a workspace allows itself."""

from __future__ import annotations

from bot import access
from bot.commands import Handlers
from bot.domain import Job, Phase, Role
from bot.errors import NotFound, NotNow, Outdated
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Card, Reply
from bot.request import Request
from bot.tuning import notices

handlers = Handlers()


@handlers.button("job.confirm", Role.TRAINER)
async def confirm(ask: Request, deps: Dependencies) -> Reply:
    return await _confirm(ask, deps, is_sure=False)


@handlers.button("job.confirm_unpriced", Role.TRAINER)
async def confirm_unpriced(ask: Request, deps: Dependencies) -> Reply:
    return await _confirm(ask, deps, is_sure=True)


async def _confirm(ask: Request, deps: Dependencies, *, is_sure: bool) -> Reply:
    """The wish is durable from here on; the watcher acts on it.

    Where nobody knows the price, it takes a second yes.
    """
    access.refuse_closed(ask.workspace, ask.words)
    async with deps.store.writing() as records:
        job = await _asked_here(ask, records)
        if job.phase is Phase.ESTIMATED:
            await _within_budget(ask, job, records)
            if job.estimate.price is None and not is_sure:
                return _sure(ask, job)
        await _write(ask, job, records)
    deps.wake()
    lines = (ask.words("start.cost", **notices.cost(job, ask.words)),)
    return Card(ask.words("start.confirmed", name=ask.user.name), lines=lines, replaces=True)


@handlers.button("job.decline", Role.TRAINER)
async def decline(ask: Request, deps: Dependencies) -> Reply:
    """Nothing is left of it: no number, no mark on an example; the list of rows is swept."""
    async with deps.store.writing() as records:
        job = await _asked_here(ask, records)
        if not await records.jobs.decline(ask.id, job.id):
            raise Outdated(problem=ask.words("start.already"))
    return Card(ask.words("start.declined"), replaces=True)


async def _asked_here(ask: Request, records: Records) -> Job:
    """The estimate that is named, if it was made in this channel or for this person."""
    try:
        job = await records.jobs.get(ask.id, notices.number(ask))
    except NotFound as error:
        raise Outdated(problem=ask.words("start.already")) from error
    is_here = job.place.channel == ask.place.channel or ask.role is Role.OPERATOR
    if not is_here and job.asked_by != ask.by:
        raise NotFound(noun="job", name=job.id)
    return job


async def _write(ask: Request, estimate: Job, records: Records) -> None:
    job = await records.jobs.confirm(ask.id, estimate.id, at=ask.now)
    if job is None:
        raise Outdated(problem=ask.words("start.already"))
    await records.audit.add(
        ask.id,
        ask.by,
        "job.confirmed",
        at=ask.now,
        job=job.id,
        rows=job.estimate.rows,
        price=job.estimate.price,
    )
    await notices.tell_status(records, job, at=ask.now, locale=ask.words.language)


def _sure(ask: Request, job: Job) -> Card:
    words = ask.words
    return Card(
        title=words("start.sure", host=job.host),
        lines=(words("start.sure.note", tokens=f"{job.estimate.tokens:,}"),),
        buttons=(
            Button(words("button.confirm_unpriced"), f"job.confirm_unpriced:{job.id}"),
            Button(words("button.cancel"), f"job.decline:{job.id}"),
        ),
        replaces=True,
    )


async def _within_budget(ask: Request, job: Job, records: Records) -> None:
    """Raises NotNow where this month's money does not reach, or cannot be reckoned."""
    # As it is now: an admin may have lowered it since this event was read.
    workspace = await records.workspaces.find(ask.id)
    cap, price = (workspace or ask.workspace).training_cap, job.estimate.price
    if cap is None or price == 0:
        return
    if price is None:
        if ask.role < Role.ADMIN:
            raise NotNow(problem=ask.words("budget.unpriced", host=job.host))
        return
    spent = await records.jobs.committed(ask.id, since=ask.month_start)
    if spent + price > cap:
        left = f"${max(0.0, cap - spent):,.2f}"
        said = notices.said_price(price, ask.words)
        raise NotNow(problem=ask.words("budget.exceeded", price=said, left=left))
