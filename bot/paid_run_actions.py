"""What a judge and a run of proposals share: their buttons' state changes and their notice."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from bot import monthly_budget
from bot.domain import UNFINISHED_CALLS, EvaluationState, Judging, Notice, SyntheticRun
from bot.errors import AttuneError, NotFound, NotNow, Outdated, deserialize, serialize
from bot.numerals import whole_number
from bot.outbox import ASKER
from bot.ports.paid_runs import PaidRuns
from bot.ports.store import Records
from bot.replies import Button, Card, Progress, Reply, Text, Tone
from bot.request import Request
from bot.words import Words

_TROUBLE = "trouble"
_ESTIMATED = (EvaluationState.ESTIMATED,)
_CAN_STOP = (EvaluationState.CONFIRMED, EvaluationState.RUNNING)

R = TypeVar("R", Judging, SyntheticRun)
C = TypeVar("C")


async def named_run(request: Request, runs: PaidRuns[R, C], *, noun: str) -> R:
    """The run whose number the button names. Raises NotFound."""
    try:
        number = whole_number(request.argument)
    except ValueError:
        raise NotFound(noun=noun, name=request.argument) from None
    return await runs.get(request.id, number)


async def estimated_run(request: Request, runs: PaidRuns[R, C], *, noun: str) -> R:
    """The estimate that is named, if it was made in this channel or for this person."""
    try:
        run = await named_run(request, runs, noun=noun)
    except NotFound as error:
        raise Outdated(problem=request.words("start.already")) from error
    monthly_budget.require_decider(request, run, noun=noun)
    return run


async def confirm_run(
    request: Request, run: R, runs: PaidRuns[R, C], records: Records, *, status: str
) -> None:
    """The run is durable from here on; its runner asks. Raises Outdated where it is already."""
    if not await runs.change(request.id, run.id, when=_ESTIMATED, state=EvaluationState.CONFIRMED):
        raise Outdated(problem=request.words("start.already"))
    await tell_run(records, run, status, at=request.now, locale=request.words.language)


async def decline_run(request: Request, run: R, runs: PaidRuns[R, C]) -> Reply:
    """Drops an estimate. Raises Outdated where the run is confirmed."""
    if not await runs.decline(request.id, run.id):
        raise Outdated(problem=request.words("start.already"))
    return Card(request.words("start.declined"), replaces=True)


async def stop_run(
    request: Request, run: R, runs: PaidRuns[R, C], records: Records, *, name: str, status: str
) -> Reply:
    """Asks the runner to end it; `name` begins the keys of its words. Raises NotNow when over."""
    if not await runs.change(request.id, run.id, when=_CAN_STOP, state=EvaluationState.STOPPING):
        raise NotNow(problem=request.words(f"{name}.over"))
    await tell_run(records, run, status, at=request.now, locale=request.words.language)
    return Text(request.words(f"{name}.stops"), private=True)


async def tell_run(
    records: Records,
    run: Judging | SyntheticRun,
    status: str,
    *,
    at: datetime,
    locale: str | None = None,
    trouble: AttuneError | None = None,
) -> None:
    """One message, which becomes the result; `trouble` is why the model did not answer lately."""
    more: dict[str, object] = {"locale": locale} if locale else {}
    more |= {_TROUBLE: serialize(trouble)} if trouble else {}
    await records.outbox.put(
        f"{status}.{run.id}",
        run.place,
        status,
        subject=run.id,
        details={ASKER: run.asked_by, **more},
        at=at,
    )


def trouble_in(notice: Notice, words: Words) -> str:
    """Why the model did not answer lately, as a sentence; empty where it did."""
    trouble = notice.details.get(_TROUBLE)
    error = deserialize(trouble) if isinstance(trouble, dict) else None
    return words.plain(error) if error else ""


async def progress_card(
    run: R, runs: PaidRuns[R, C], total: int, title: str, words: Words, *, name: str, why: str
) -> Card:
    """How many of `total` calls have an outcome, and *Stop*."""
    counts = await runs.counts(run.workspace, run.id)
    done = sum(count for state, count in counts.items() if state not in UNFINISHED_CALLS)
    lines = (words(f"{name}.progress", done=done, total=total),)
    return Card(
        title,
        lines + ((words("evaluation.waits", why=why),) if why else ()),
        progress=Progress(done, total),
        buttons=(Button(words("button.stop"), f"{name}.stop:{run.id}", is_danger=True),),
        tone=Tone.BUSY,
    )
