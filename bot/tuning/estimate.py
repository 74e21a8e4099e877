"""Estimates the cost and duration of a training, and renders the card for its confirmation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bot import number_formats
from bot.domain import (
    Deployment,
    Estimate,
    Hyperparameters,
    Job,
    ModelName,
)
from bot.evaluation import planning
from bot.ports.dependencies import Dependencies
from bot.ports.engine_installation import LanguageEngine
from bot.ports.model_hosts import Host, Serving
from bot.ports.store import Records
from bot.replies import Button, Card
from bot.request import Request
from bot.rows import Method
from bot.tuning import notices
from bot.tuning.held_out_rows import CandidateRow

_CLOSING_DAYS = 90


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """Host, settings and rows of a training that is not stored yet."""

    host: Host
    base: ModelName
    method: Method
    hyperparameters: Hyperparameters
    training: Sequence[CandidateRow]
    validation: Sequence[CandidateRow]
    left_out: int
    """Number of approved examples that may not be trained on."""
    private: int = 0
    """Number of approved examples with undecided private text."""
    synthetic_left_out: int = 0
    """Number of synthetic examples whose source is held out or must-answer."""
    is_gate: bool = False
    """Whether an evaluation decides if the model is deployed."""


def estimate_card(request: Request, job: Job, plan: TrainingPlan, *more: str) -> Card:
    """Renders the estimate with warnings and the buttons to confirm or cancel."""
    words = request.words
    lines = [notices.time_and_price_text(job, words), *_warnings(request, plan.host, plan.base)]
    if plan.left_out > 0:
        lines.append(words("start.left_out", count=plan.left_out))
    if plan.private > 0:
        lines.append(words("start.private", count=plan.private))
    synthetic = sum(row.is_synthetic for row in plan.training)
    if synthetic:
        lines.append(words("start.synthetic", count=synthetic))
    if plan.synthetic_left_out > 0:
        lines.append(words("start.apart", count=plan.synthetic_left_out))
    key = "start.will_use" if job.use_when_done else "start.will_not_use"
    key = "start.will_use_if_better" if job.use_if_better else key
    lines += [words(key, assistant=request.assistant.name), *(line for line in more if line)]
    facts = _facts(request, job, plan)
    return Card(
        title=words("start.title", assistant=request.assistant.name),
        lines=tuple(lines),
        facts=tuple(notices.job_fact(name, value, words) for name, value in facts.items()),
        buttons=(
            Button(words("button.confirm"), f"job.confirm:{job.id}", is_primary=True),
            Button(words("button.cancel"), f"job.decline:{job.id}"),
        ),
    )


def _facts(request: Request, job: Job, plan: TrainingPlan) -> dict[str, str]:
    """Returns the settings by name; "auto" with the probable value."""
    words, settings = request.words, job.hyperparameters
    auto = words("auto")
    epochs = words("auto.epochs", count=job.estimate.epochs or 0) if job.estimate.price else auto
    tokens = "start.tokens" if plan.host.tokenizer is None else "start.tokens_counted"
    training, validation = len(plan.training), len(plan.validation)
    rows = words("start.rows", count=training)
    return {
        "examples": words("start.rows_split", train=training, held=validation)
        if validation
        else rows,
        "base": plan.base,
        "host": plan.host.name,
        "method": words(f"method.{job.method}"),
        "epochs": str(settings.n_epochs) if settings.n_epochs else epochs,
        "batch_size": str(settings.batch_size or auto),
        "learning_rate": f"{settings.learning_rate_multiplier or auto}",
        "tokens": words(tokens, tokens=f"{job.estimate.tokens:,}"),
    }


def _warnings(request: Request, host: Host, base: ModelName) -> Iterator[str]:
    """Yields warnings about a host and base model."""
    words, profile = request.words, host.profile
    if profile.label:
        yield profile.label
    if not profile.was_tested_live:
        yield words("start.untried", profile=profile.name)
    if profile.closes_on and (profile.closes_on - request.now.date()).days < _CLOSING_DAYS:
        yield words("start.closes", host=host.name, date=profile.closes_on.isoformat())
    for prefix, date in profile.retired_bases:
        if base.startswith(prefix):
            yield words("start.retired", base=base, host=host.name, date=date)
    if profile.serving is Serving.DEPLOYED_BY_PERSON:
        yield words("start.by_hand", page=profile.serving_page or host.name)
    yield from _hosting_warnings(host, request)
    if profile.idle_days is not None:
        yield words("start.idle", days=profile.idle_days)


def _hosting_warnings(host: Host, request: Request) -> Iterator[str]:
    """Yields warnings about hourly costs of a deployment, which are not part of the estimate."""
    words, serving = request.words, host.profile.serving
    hourly = host.price(request.assistant.base).hosting
    if hourly:
        yield words("start.hosting", price=words.price_text(hourly))
    elif hourly is None and serving is not Serving.READY_WHEN_TRAINED:
        yield words("start.hosting_unknown")
    if serving is Serving.DEPLOYED_BY_API and hourly != 0:
        yield words("start.served")


async def estimate_evaluation_after(
    request: Request, job: Job, plan: TrainingPlan, in_use: Deployment | None, deps: Dependencies
) -> str:
    """Stores the estimate of the evaluation after the training; returns its line.

    Without an evaluation the line is empty, unless one should decide about the deployment.
    """
    async with deps.store.reading() as records:
        if not await planning.is_evaluated_after_training(
            records, job, held_out=len(plan.validation)
        ):
            return request.words("start.not_compared") if job.use_if_better else ""
    new, hosts = planning.evaluation_after_training(job, in_use), deps.hosts
    planned = await planning.plan_evaluation(
        deps.store, new, request.assistant, hosts, now=request.now, job=job
    )
    async with deps.store.writing() as records:
        stored = await planning.store_estimate(records, new, planned)
    words, price = request.words, request.words.price_text(stored.price)
    must_answer = sum(question.is_must_answer for question in planned.questions)
    tokens, gaps = f"{stored.tokens:,}", len(planned.gaps)
    sentences = [words("start.evaluation", count=stored.questions, tokens=tokens, price=price)]
    sentences += [words("evaluate.must", count=must_answer)] if must_answer else []
    sentences += [words("evaluate.gaps", count=gaps)] if gaps else []
    return " ".join(sentences)


async def needed_memory_text(
    request: Request, plan: TrainingPlan, engine: LanguageEngine | None
) -> str:
    """Returns the memory that a training on this machine needs; "" for another host."""
    memory = engine and await engine.training_memory(
        plan.host.name,
        plan.base,
        plan.hyperparameters,
        rows=len(plan.training),
        longest=max((row.tokens for row in plan.training), default=0),
        is_preference=plan.method is Method.DPO,
    )
    if not memory:
        return ""
    needed, free = (
        number_formats.format_bytes(memory.needed),
        number_formats.format_bytes(memory.free or 0),
    )
    if memory.free is None:
        return request.words("start.memory", needed=needed)
    key = "start.memory_fits" if memory.needed <= memory.free else "start.memory_short"
    return request.words(key, needed=needed, free=free)


async def estimate_cost(plan: TrainingPlan, records: Records) -> Estimate:
    """Returns tokens, price and duration of a plan."""
    tokens = sum(row.tokens for row in plan.training)
    epochs = plan.hyperparameters.n_epochs or default_epochs(len(plan.training))
    price = plan.host.price(plan.base).training
    past = await records.jobs.past_durations(plan.host.name, plan.base)
    return Estimate(
        rows=len(plan.training),
        validation_rows=len(plan.validation),
        tokens=tokens,
        epochs=epochs,
        price=None if price is None else price * tokens * epochs / 1_000_000,
        seconds=_seconds_by_past_jobs(past, tokens * epochs),
    )


def _seconds_by_past_jobs(past: Sequence[tuple[int, float]], tokens: int) -> float | None:
    """Returns seconds by the speed of past jobs; None without past jobs."""
    trained = sum(count for count, _ in past)
    seconds = sum(duration for _, duration in past)
    return seconds / trained * tokens if trained else None


def default_epochs(rows: int) -> int:
    """Returns the usual value of "auto", as in OpenAI's cookbook, Chat_finetuning_data_prep."""
    if rows * 3 < 100:
        return min(25, max(1, 100 // max(1, rows)))
    if rows * 3 > 25_000:
        return max(1, 25_000 // rows)
    return 3
