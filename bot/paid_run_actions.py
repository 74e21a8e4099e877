"""Shared actions of paid runs (evaluations, judgings, synthetic examples) and their notices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from bot import access, monthly_budget
from bot.domain import (
    UNFINISHED_CALL_STATES,
    Evaluation,
    EvaluationState,
    HostName,
    JobId,
    Judging,
    Notice,
    SyntheticRun,
)
from bot.errors import AttuneError, NotFound, NotNow, Outdated, deserialize, serialize
from bot.number_formats import parse_number_argument
from bot.outbox import ASKER_DETAIL, locale_detail
from bot.ports.paid_runs import PaidRuns, Runs
from bot.ports.store import Records
from bot.replies import Button, Card, Progress, Reply, Text, Tone
from bot.request import Request
from bot.words import Words

_TROUBLE = "trouble"
_ESTIMATED = (EvaluationState.ESTIMATED,)
_CAN_STOP = (EvaluationState.CONFIRMED, EvaluationState.RUNNING)

R = TypeVar("R", Evaluation, Judging, SyntheticRun)
P = TypeVar("P", Judging, SyntheticRun)
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class PaidRunKind:
    """Names of one kind of run.

    `noun` is for NotFound, `audited` the prefix of audit entries, `words` the prefix of text keys
    and buttons, `status` the kind of the progress notice.
    """

    noun: str
    audit_prefix: str
    text_key_prefix: str
    status_notice: str


async def named_run(request: Request, runs: Runs[R], kind: PaidRunKind, name: str = "") -> R:
    """Returns the run with the number `name`, else with the button's argument. Raises NotFound."""
    number = parse_number_argument(name or request.argument, kind.noun)
    return await runs.get(request.workspace_id, number)


async def estimated_run(request: Request, runs: Runs[R], kind: PaidRunKind, name: str = "") -> R:
    """Returns the named estimate, if it was made in this channel or for this person."""
    try:
        run = await named_run(request, runs, kind, name)
    except NotFound as error:
        raise Outdated(problem=request.words("start.already")) from error
    access.require_may_confirm(request, run, noun=kind.noun)
    return run


async def confirm_run(
    request: Request, run: R, runs: Runs[R], records: Records, kind: PaidRunKind, *, host: HostName
) -> None:
    """Confirms an estimate; its runner then sends the requests.

    Raises Outdated if it is confirmed already, and NotNow if this month's budget does not cover
    the price, or if the price at `host` is unknown and there is a budget.
    """
    access.refuse_closed_workspace(request.workspace, request.words)
    await monthly_budget.require_monthly_budget(request, run.price, host, records)
    if not await runs.update_if(
        request.workspace_id, run.id, when=_ESTIMATED, state=EvaluationState.CONFIRMED
    ):
        raise Outdated(problem=request.words("start.already"))
    await _audit(request, run.id, "confirmed", records, kind)
    await queue_run_notice(
        records, run, kind.status_notice, at=request.now, locale=request.words.language
    )


async def decline_run(request: Request, runs: Runs[R], kind: PaidRunKind) -> Reply:
    """Deletes an estimate. Raises Outdated if the run is confirmed."""
    run = await estimated_run(request, runs, kind)
    if not await runs.delete_estimate(request.workspace_id, run.id):
        raise Outdated(problem=request.words("start.already"))
    return Card(request.words("start.declined"), replaces=True)


async def stop_run(request: Request, runs: Runs[R], records: Records, kind: PaidRunKind) -> Reply:
    """Requests that the runner ends a run. Raises NotNow if it is over."""
    run = await named_run(request, runs, kind)
    if not await runs.update_if(
        request.workspace_id, run.id, when=_CAN_STOP, state=EvaluationState.STOPPING
    ):
        raise NotNow(problem=request.words(f"{kind.text_key_prefix}.over", id=run.id))
    await _audit(request, run.id, "stop", records, kind)
    await queue_run_notice(
        records, run, kind.status_notice, at=request.now, locale=request.words.language
    )
    return Text(request.words(f"{kind.text_key_prefix}.stops", id=run.id), private=True)


async def _audit(
    request: Request, number: int, what: str, records: Records, kind: PaidRunKind
) -> None:
    action, subject = f"{kind.audit_prefix}.{what}", {kind.audit_prefix: number}
    await request.audit(records, action, **subject)


async def queue_run_notice(
    records: Records,
    run: Evaluation | Judging | SyntheticRun,
    kind: str,
    *,
    at: datetime,
    locale: str | None = None,
    trouble: AttuneError | None = None,
) -> None:
    """Queues a run's notice; each kind has one message. `trouble` is the model's last error."""
    key, status = f"{kind}.{run.id}", f"{kind.partition('.')[0]}.status.{run.id}"
    before = [job_status_notice_key(run.job)] if isinstance(run, Evaluation) and run.job else []
    locale = locale or await records.outbox.locale_of(run.workspace, [key, status, *before])
    details = locale_detail(locale) | ({_TROUBLE: serialize(trouble)} if trouble else {})
    await records.outbox.put(
        key,
        run.place,
        kind,
        subject=run.id,
        details={ASKER_DETAIL: run.asked_by, **details},
        at=at,
    )


def job_status_notice_key(job: JobId) -> str:
    """Returns the key of the notice that shows how far a job is, in the asker's language."""
    return f"job.{job}.status"


def last_error_text(notice: Notice, words: Words) -> str:
    """Returns the model's last error as a sentence; "" if there is none."""
    trouble = notice.details.get(_TROUBLE)
    error = deserialize(trouble) if isinstance(trouble, dict) else None
    return words.error_text_without_host_message(error) if error else ""


async def progress_card(
    run: P, runs: PaidRuns[P, C], total: int, title: str, words: Words, *, name: str, why: str
) -> Card:
    """Returns a card with the number of finished calls and a button to stop the run."""
    counts = await runs.count_by_state(run.workspace, run.id)
    done = sum(count for state, count in counts.items() if state not in UNFINISHED_CALL_STATES)
    lines = (words(f"{name}.progress", done=done, total=total),)
    return Card(
        title,
        lines + ((words("evaluation.waits", why=why),) if why else ()),
        progress=Progress(done, total),
        buttons=(Button(words("button.stop"), f"{name}.stop:{run.id}", is_danger=True),),
        tone=Tone.BUSY,
    )
