"""`/tune start`: plans and prices a training; nothing is sent to the host before confirmation."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, replace

from bot import access, monthly_budget
from bot.commands import METHOD_OPTION, Handlers, Option, OptionKind
from bot.domain import (
    MUST_ANSWER_TAG,
    Deployment,
    Estimate,
    ExampleFilter,
    ExampleState,
    HostName,
    Hyperparameters,
    Job,
    JobId,
    ModelKind,
    ModelName,
    Phase,
    Role,
    SnapshotId,
    Split,
)
from bot.errors import (
    BadInput,
    NotEnoughAllowed,
    NotFound,
    NothingToTrain,
    NotNow,
    Outdated,
    TrainingClosed,
)
from bot.evaluation.planning import evaluation_of_training, has_questions_for_gate, unpriced_host
from bot.ports.dependencies import Dependencies
from bot.ports.model_hosts import Host, Hosts
from bot.ports.store import Records, Store
from bot.private_text import ANY_PRIVATE_TEXT, PrivateText
from bot.replies import Button, Card, Reply
from bot.request import Request
from bot.rows import Method
from bot.tuning import notices, snapshot
from bot.tuning.estimate import (
    TrainingPlan,
    default_epochs,
    estimate_card,
    estimate_cost,
    estimate_evaluation_after,
    needed_memory_text,
)
from bot.tuning.held_out_rows import held_out_share, split_rows

handlers = Handlers()

_IF_BETTER = "if_better"
_USES = (_IF_BETTER, "yes", "no")
_OPTIONS = (
    Option("base", OptionKind.MODEL),
    Option("host", OptionKind.HOST),
    METHOD_OPTION,
    Option.integer("epochs", 1, 50, suggestions=("auto", "1", "2", "3", "5", "10")),
    Option.integer("batch_size", 1, 256, suggestions=("auto", "1", "2", "4", "8", "16")),
    Option.number("learning_rate", 0.0001, 100, suggestions=("auto", "0.5", "1", "2")),
    Option.number("beta", 0.0001, 2, suggestions=("auto", "0.1", "0.5")),
    Option.number_or_word("validation", suggestions=("auto", "10%", "20%")),
    Option.text("suffix"),
    Option.integer("seed", 0, 2**31 - 1),
    Option.choice("use", *_USES),
)
_OPTION_NAMES = {"n_epochs": "epochs", "learning_rate_multiplier": "learning_rate"}
"""Options of `/tune start` by name in the API, where the names differ."""


@dataclass(frozen=True, slots=True)
class PlannedTraining:
    """A training's plan and estimate, and the current deployment."""

    plan: TrainingPlan
    estimate: Estimate
    in_use: Deployment | None


@handlers.command("start", Role.TRAINER, *_OPTIONS)
@handlers.button("job.start", Role.TRAINER, is_for_pages=True)
async def estimate_training(request: Request, deps: Dependencies) -> Reply:
    """Freezes a snapshot and shows the estimate; nothing is sent to the host yet."""
    planned = await plan_training(request, deps)
    job = await _store_estimate(request, planned.plan, planned.estimate, store=deps.store)
    evaluation = await estimate_evaluation_after(request, job, planned.plan, planned.in_use, deps)
    memory = await needed_memory_text(request, planned.plan, deps.engine)
    return estimate_card(request, job, planned.plan, evaluation, memory)


async def plan_training(request: Request, deps: Dependencies) -> PlannedTraining:
    """Returns rows, settings and price of a training; stores nothing."""
    access.refuse_closed_workspace(request.workspace, request.words)
    name = HostName(request.text_option("host") or request.assistant.training_host)
    host = deps.hosts.get_paid(name, request.workspace)
    method = Method(request.text_option("method") or Method.SUPERVISED)
    settings = _hyperparameters(request)
    _refuse_method(request, host, method)
    _refuse_settings(request, host, settings)
    async with deps.store.reading() as records:
        base = await _base(request, host, records)
    await _refuse_closed_host(request, host, base)
    async with deps.store.reading() as records:
        rows = await snapshot.candidate_rows(request, method, host, records)
        approved = ExampleFilter(request.assistant.id, ExampleState.APPROVED, method)
        must_answer = replace(approved, tag=MUST_ANSWER_TAG)
        left_out = await records.examples.count(request.workspace_id, approved) - len(rows)
        left_out -= await records.examples.count(request.workspace_id, must_answer)
        private = await _count_private(request, approved, records)
        share = held_out_share(request, len(rows), host)
        # Hashing a hundred thousand groups takes half a second.
        training, validation = await asyncio.to_thread(split_rows, rows, share=share)
        if settings.n_epochs is None and not host.profile.supports_auto_epochs:
            most = host.profile.max_epochs
            settings = replace(settings, n_epochs=min(most, default_epochs(len(training))))
        left_out -= private
        synthetic = len(rows) - len(training) - len(validation)
        plan = TrainingPlan(
            host, base, method, settings, training, validation, left_out, private, synthetic
        )
        _refuse_size(request, plan)
        costs = await estimate_cost(plan, records)
        plan = replace(plan, is_gate=await _is_gate(request, plan, records))
        in_use = await records.deployments.current(request.workspace_id, request.assistant.id)
    return PlannedTraining(plan, costs, in_use)


@handlers.button("job.again", Role.TRAINER)
async def train_again(request: Request, deps: Dependencies) -> Reply:
    """Starts a training with the settings of an earlier one and the current examples."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
        assistant = await records.assistants.get(request.workspace_id, job.assistant)
    # Notices go to the channel of the earlier training.
    event = replace(request.event, place=job.place)
    repeated = replace(
        request, event=event, assistant=assistant, argument="", options=_options(job)
    )
    return await estimate_training(repeated, deps)


@handlers.button("job.confirm", Role.TRAINER)
async def confirm_training(request: Request, deps: Dependencies) -> Reply:
    return await _confirm(request, deps, is_sure=False)


@handlers.button("job.confirm_unpriced", Role.TRAINER)
async def confirm_unpriced_training(request: Request, deps: Dependencies) -> Reply:
    return await _confirm(request, deps, is_sure=True)


async def _confirm(request: Request, deps: Dependencies, *, is_sure: bool) -> Reply:
    """Stores the confirmation; the poller then starts the job.

    A second confirmation is needed if the price of the training is unknown, or under a budget that
    of the evaluation that follows.
    """
    access.refuse_closed_workspace(request.workspace, request.words)
    async with deps.store.writing() as records:
        job = await _named_estimate(request, records)
        if job.phase is Phase.ESTIMATED:
            host = await _require_budget(request, job, deps.hosts, records)
            if host is not None and not is_sure:
                return _unpriced_card(request, job, host)
        await _store_confirmation(request, job, records)
    deps.wake_runners()
    title = request.words("start.confirmed", name=request.user.name)
    return Card(title, lines=(notices.time_and_price_text(job, request.words),), replaces=True)


async def _require_budget(
    request: Request, job: Job, hosts: Hosts, records: Records
) -> HostName | None:
    """Checks the prices of a training and of the evaluation priced with it. Raises NotNow.

    Returns the host for whose unknown price a second confirmation is needed, or None. The unknown
    price of an evaluation needs one only if there is a budget.
    """
    evaluation = await evaluation_of_training(records, job)
    prices = job.estimate.price, evaluation.price if evaluation else 0.0
    known = sum(price for price in prices if price is not None)
    await monthly_budget.require_monthly_budget(request, known, job.host, records)
    if job.estimate.price is None:
        await monthly_budget.require_monthly_budget(request, None, job.host, records)
        return job.host
    if evaluation is None or evaluation.price is not None:
        return None
    host = unpriced_host(evaluation, hosts)
    await monthly_budget.require_monthly_budget(request, None, host, records)
    return host if await monthly_budget.monthly_cap(request, records) is not None else None


@handlers.button("job.decline", Role.TRAINER)
async def decline_training(request: Request, deps: Dependencies) -> Reply:
    """Deletes the estimate; its snapshot is deleted later as unused."""
    async with deps.store.writing() as records:
        job = await _named_estimate(request, records)
        if not await records.jobs.decline(request.workspace_id, job.id):
            raise Outdated(problem=request.words("start.already"))
    return Card(request.words("start.declined"), replaces=True)


def _hyperparameters(request: Request) -> Hyperparameters:
    return Hyperparameters(
        n_epochs=request.integer_option("epochs"),
        batch_size=request.integer_option("batch_size"),
        learning_rate_multiplier=request.number_option("learning_rate"),
        beta=request.number_option("beta"),
    )


def _options(job: Job) -> dict[str, str]:
    """Returns the options of `/tune start` that repeat a job."""
    settings = job.hyperparameters
    values = {
        "base": job.base,
        "host": job.host,
        "method": job.method.value,
        "epochs": settings.n_epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate_multiplier,
        "beta": settings.beta,
        "suffix": job.suffix,
        "seed": job.seed,
        "use": _IF_BETTER if job.use_if_better else "yes" if job.use_when_done else "no",
    }
    return {name: str(value) for name, value in values.items() if value is not None}


def _refuse_method(request: Request, host: Host, method: Method) -> None:
    if method not in host.profile.methods:
        name = request.words(f"method.{method}")
        raise BadInput(problem=request.words("start.method", host=host.name, method=name))


def _refuse_settings(request: Request, host: Host, settings: Hyperparameters) -> None:
    """Raises BadInput for a setting that the host does not support, or out of its range."""
    words, profile = request.words, host.profile
    for name in Hyperparameters.__dataclass_fields__:
        if getattr(settings, name) is not None and name not in profile.settings:
            option = _OPTION_NAMES.get(name, name)
            raise BadInput(problem=words("start.setting", host=host.name, option=option))
    if (settings.n_epochs or 0) > profile.max_epochs:
        raise BadInput(problem=words("start.epochs", host=host.name, most=profile.max_epochs))
    least, most = profile.batch_sizes
    if settings.batch_size is not None and not least <= settings.batch_size <= most:
        raise BadInput(problem=words("start.batch_size", host=host.name, least=least, most=most))


async def _refuse_closed_host(request: Request, host: Host, base: ModelName) -> None:
    """Raises TrainingClosed after the closing date, and errors of `Host.check_training_access`."""
    closes_on = host.profile.closes_on
    if closes_on is not None and request.now.date() >= closes_on:
        raise TrainingClosed(host=host.name)
    await host.check_training_access(base)


def _refuse_size(request: Request, plan: TrainingPlan) -> None:
    """Raises if there are too few rows to train on, or too many rows or bytes for the host."""
    words, host, rows = request.words, plan.host, len(plan.training)
    minimum, most_rows = host.profile.minimum_rows, host.profile.max_rows
    left_out = plan.left_out + plan.private
    if rows < minimum and left_out > 0:
        raise NotEnoughAllowed(rows=rows, minimum=minimum, left_out=left_out)
    if rows < minimum:
        raise NothingToTrain(rows=rows, minimum=minimum)
    if most_rows is not None and rows > most_rows:
        raise BadInput(problem=words("start.too_many", host=host.name, most=f"{most_rows:,}"))
    size, most_bytes = sum(row.bytes for row in plan.training), host.profile.max_bytes
    if most_bytes is not None and size > most_bytes:
        most = f"{most_bytes / 2**20:,.3g}"
        raise BadInput(problem=words("start.too_large", host=host.name, most=most))


async def _count_private(request: Request, approved: ExampleFilter, records: Records) -> int:
    """Returns how many approved examples have undecided private text that forbids training."""
    workspace = await records.workspaces.find(request.workspace_id) or request.workspace
    kinds = ANY_PRIVATE_TEXT if workspace.must_mask else PrivateText.SECRET
    return await records.examples.count(
        request.workspace_id, replace(approved, undecided_private_text=kinds)
    )


def _suffix(request: Request, host: Host) -> str | None:
    """Returns the requested suffix, else the assistant's name, shortened to the host's limit."""
    profile, requested = host.profile, request.text_option("suffix")
    if requested is None:
        name = request.assistant.name.lower().replace(" ", "-")
        plain = "".join(c for c in name if c.isascii() and (c.isalnum() or c == "-"))
        return plain[: profile.max_suffix] or None
    if len(requested) > profile.max_suffix:
        raise BadInput(problem=request.words("start.suffix", most=profile.max_suffix))
    if not re.fullmatch(profile.suffix_pattern, requested):
        raise BadInput(problem=request.words("start.suffix_letters", host=host.name))
    return requested


async def _base(request: Request, host: Host, records: Records) -> ModelName:
    """Returns the base model; `latest` and `current` stand for a tuned model."""
    requested, assistant = request.text_option("base"), request.assistant
    if requested == "current":
        return request.deployment.model if request.deployment else assistant.base
    if requested == "latest":
        for model in await records.models.all(request.workspace_id, assistant.id):
            if model.kind is ModelKind.TUNED and model.host == host.name:
                return model.name
        raise NotNow(problem=request.words("use.none_yet"))
    if requested is None and host.name != assistant.training_host and host.bases:
        return host.bases[0]
    return ModelName(requested or assistant.base)


async def _is_gate(request: Request, plan: TrainingPlan, records: Records) -> bool:
    """Whether an evaluation decides about the deployment.

    As requested with `use`; else if enough rows are held out or a must-answer example exists.
    """
    requested = request.text_option("use")
    if requested is not None:
        return requested.lower() == _IF_BETTER
    held_out = len(plan.validation)
    return await has_questions_for_gate(
        records, request.workspace_id, request.assistant.id, held_out=held_out
    )


async def _store_estimate(
    request: Request, plan: TrainingPlan, estimate: Estimate, *, store: Store
) -> Job:
    sides = ((plan.training, Split.TRAIN), (plan.validation, Split.VALIDATION))
    rows = [row for side in sides for row in await asyncio.to_thread(snapshot.snapshot_rows, *side)]
    frozen = await snapshot.freeze_snapshot(request, plan.method, rows, store=store)
    async with store.writing() as records:
        return await records.jobs.add(request.workspace_id, _job(request, plan, estimate, frozen))


def _job(request: Request, plan: TrainingPlan, estimate: Estimate, frozen: SnapshotId) -> Job:
    return Job(
        id=JobId(0),
        workspace=request.workspace_id,
        assistant=request.assistant.id,
        snapshot=frozen,
        idempotency_key=request.idempotency_key,
        place=request.place,
        asked_by=request.user_id,
        host=plan.host.name,
        base=plan.base,
        method=plan.method,
        hyperparameters=plan.hyperparameters,
        suffix=_suffix(request, plan.host),
        seed=request.integer_option("seed"),
        use_when_done=plan.is_gate or request.yes_no_option("use", default=True),
        use_if_better=plan.is_gate,
        estimate=estimate,
        phase=Phase.ESTIMATED,
        created_at=request.now,
    )


async def _named_estimate(request: Request, records: Records) -> Job:
    """Returns the named estimate, if it was made in this channel or for this person."""
    try:
        job = await notices.named_job(request, records)
    except NotFound as error:
        raise Outdated(problem=request.words("start.already")) from error
    access.require_may_confirm(request, job, noun="job")
    return job


async def _store_confirmation(request: Request, estimated: Job, records: Records) -> None:
    job = await records.jobs.confirm(request.workspace_id, estimated.id, at=request.now)
    if job is None:
        raise Outdated(problem=request.words("start.already"))
    facts = {"job": job.id, "rows": job.estimate.rows, "price": job.estimate.price}
    await request.audit(records, "job.confirmed", **facts)
    await notices.queue_status_notice(records, job, at=request.now, locale=request.words.language)


def _unpriced_card(request: Request, job: Job, host: HostName) -> Card:
    words, tokens = request.words, f"{job.estimate.tokens:,}"
    is_training = job.estimate.price is None
    key = "start.sure.note" if is_training else "start.sure.evaluation"
    return Card(
        title=words("start.sure", host=host),
        lines=(words(key, tokens=tokens),),
        buttons=(
            Button(words("button.confirm_unpriced"), f"job.confirm_unpriced:{job.id}"),
            Button(words("button.cancel"), f"job.decline:{job.id}"),
        ),
        replaces=True,
    )
