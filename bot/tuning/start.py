"""`/tune start`: rows checked, frozen, counted and priced, before anything leaves the house."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from bot import access
from bot.commands import METHOD, Handlers, Option, OptionKind
from bot.datasets import training_line
from bot.domain import (
    Estimate,
    Example,
    ExampleFilter,
    ExampleId,
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
    SnapshotRow,
    Split,
)
from bot.errors import BadInput, BadRow, NotEnoughAllowed, NothingToTrain, NotNow
from bot.ports.dependencies import Dependencies
from bot.ports.provider import Host
from bot.ports.store import Records, Store
from bot.replies import Button, Card, Reply
from bot.request import Request
from bot.rows import Method, check_row, count_tokens, fingerprint, prompt_fingerprint
from bot.tuning import freezing, limits, notices

handlers = Handlers()

_OPTIONS = (
    Option("base", OptionKind.MODEL),
    Option("host", OptionKind.HOST),
    METHOD,
    Option.integer("epochs", 1, 50),
    Option.integer("batch_size", 1, 256),
    Option.number("learning_rate", 0.0001, 100),
    Option.number("beta", 0.0001, 2),
    Option.amount("validation"),
    Option.text("suffix"),
    Option.integer("seed", 0, 2**31 - 1),
    Option.yes_no("use"),
)


_HOLD_OUT_FROM = 50
_AUTO_SHARE = 0.2
_MOST_SHARE = 0.5
_BETWEEN = 50


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may be trained on, and what must stay on one side with it."""

    example: ExampleId
    revision: int
    sha256: str
    group: str
    tokens: int
    was_held_out: bool = False
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a start would do, before it is written down."""

    host: Host
    base: ModelName
    method: Method
    hyperparameters: Hyperparameters
    training: Sequence[Candidate]
    validation: Sequence[Candidate]
    left_out: int
    """Examples that are approved, but not permitted."""

    @property
    def tokens(self) -> int:
        return sum(candidate.tokens for candidate in self.training)


@handlers.command("start", Role.TRAINER, *_OPTIONS)
@handlers.button("job.start", Role.TRAINER, is_for_pages=True)
async def start(ask: Request, deps: Dependencies) -> Reply:
    """Freeze a snapshot and show what it will cost; nothing leaves the house yet."""
    access.refuse_closed(ask.workspace, ask.words)
    name = HostName(ask.text("host") or ask.assistant.training_host)
    host = deps.hosts.paid(name, ask.workspace)
    method = Method(ask.text("method") or Method.SUPERVISED)
    settings = _hyperparameters(ask)
    limits.refuse_method(ask, host, method)
    limits.refuse_settings(ask, host, settings)
    async with deps.store.reading() as records:
        base = await _base(ask, host, records)
    await limits.refuse_closed(ask, host, base)
    async with deps.store.reading() as records:
        candidates = await _candidates(ask, method, host, records)
        approved = ExampleFilter(ask.assistant.id, ExampleState.APPROVED, method)
        left_out = await records.examples.count(ask.id, approved) - len(candidates)
        share = _share(ask, len(candidates), host)
        # Hashing a hundred thousand groups takes half a second.
        training, validation = await asyncio.to_thread(split, candidates, share=share)
        plan = Plan(host, base, method, settings, training, validation, left_out)
        _enough(ask, plan)
        estimate = await _estimate(plan, records)
    job = await _write_down(ask, plan, estimate, store=deps.store)
    return estimate_card(ask, job, plan)


def split(
    candidates: Sequence[Candidate], *, share: float
) -> tuple[Sequence[Candidate], Sequence[Candidate]]:
    """Training and validation, whole groups on one side, the same rows each time.

    Groups with a row that was held out before come first, then the others in
    the order of their hash: what was held out once stays so as the dataset grows.
    """
    sizes = Counter(candidate.group for candidate in candidates)
    before = {candidate.group for candidate in candidates if candidate.was_held_out}
    room = round(len(candidates) * share)
    held: set[str] = set()
    for group in sorted(sizes, key=lambda group: (group not in before, _order(group))):
        if sizes[group] <= room:
            held.add(group)
            room -= sizes[group]
    training = [one for one in candidates if one.group not in held]
    return training, [one for one in candidates if one.group in held]


def estimate_card(ask: Request, job: Job, plan: Plan) -> Card:
    """Everything one should know before saying yes."""
    words = ask.words
    lines = [words("start.cost", **notices.cost(job, words)), *limits.warnings(ask, plan.host)]
    if plan.left_out > 0:
        lines.append(words("start.left_out", count=plan.left_out))
    key = "start.will_use" if job.use_when_done else "start.will_not_use"
    lines.append(words(key, assistant=ask.assistant.name))
    return Card(
        title=words("start.title", assistant=ask.assistant.name),
        lines=tuple(lines),
        facts=(
            notices.fact("examples", _rows_said(ask, plan), words),
            notices.fact("base", plan.base, words),
            notices.fact("host", plan.host.name, words),
            *(notices.fact(name, value, words) for name, value in _settings(ask, job, plan.host)),
        ),
        buttons=(
            Button(words("button.confirm"), f"job.confirm:{job.id}", is_primary=True),
            Button(words("button.cancel"), f"job.decline:{job.id}"),
        ),
    )


def _rows_said(ask: Request, plan: Plan) -> str:
    if plan.validation:
        return ask.words("start.rows_split", train=len(plan.training), held=len(plan.validation))
    return ask.words("start.rows", count=len(plan.training))


def _settings(ask: Request, job: Job, host: Host) -> list[tuple[str, str]]:
    """Each setting; "auto" is shown with what it will probably become."""
    words, asked = ask.words, job.hyperparameters
    auto = words("auto")
    epochs = words("auto.epochs", count=job.estimate.epochs or 0) if job.estimate.price else auto
    tokens = "start.tokens" if host.tokenizer is None else "start.tokens_counted"
    return [
        ("method", words(f"method.{job.method}")),
        ("epochs", str(asked.n_epochs) if asked.n_epochs else epochs),
        ("batch_size", str(asked.batch_size or auto)),
        ("learning_rate", f"{asked.learning_rate_multiplier or auto}"),
        ("tokens", words(tokens, tokens=f"{job.estimate.tokens:,}")),
    ]


async def _write_down(ask: Request, plan: Plan, estimate: Estimate, *, store: Store) -> Job:
    rows = await asyncio.to_thread(_frozen_rows, plan)
    snapshot = await freezing.freeze(ask, plan.method, rows, store=store)
    async with store.writing() as records:
        return await records.jobs.add(ask.id, _job(ask, plan, estimate, snapshot))


def _job(ask: Request, plan: Plan, estimate: Estimate, snapshot: SnapshotId) -> Job:
    return Job(
        id=JobId(0),
        workspace=ask.id,
        assistant=ask.assistant.id,
        snapshot=snapshot,
        start=hashlib.sha256(f"{ask.id}/{ask.event.key}".encode()).hexdigest()[:16],
        place=ask.place,
        asked_by=ask.by,
        host=plan.host.name,
        base=plan.base,
        method=plan.method,
        hyperparameters=plan.hyperparameters,
        suffix=limits.suffix_of(ask, plan.host),
        seed=ask.integer("seed"),
        use_when_done=ask.yes("use", default=True),
        estimate=estimate,
        phase=Phase.ESTIMATED,
        created_at=ask.now,
    )


def _frozen_rows(plan: Plan) -> Sequence[SnapshotRow]:
    return [
        *(_frozen(candidate, Split.TRAIN) for candidate in plan.training),
        *(_frozen(candidate, Split.VALIDATION) for candidate in plan.validation),
    ]


def _frozen(candidate: Candidate, side: Split) -> SnapshotRow:
    return SnapshotRow(candidate.example, candidate.revision, side, candidate.sha256, None)


async def _base(ask: Request, host: Host, records: Records) -> ModelName:
    """The assistant's base; `base:latest` and `base:current` go on from a tuned model."""
    wanted = ask.text("base")
    if wanted == "current":
        deployment = ask.deployment
        return deployment.model if deployment else ask.assistant.base
    if wanted == "latest":
        tuned = [
            model
            for model in await records.models.all(ask.id, ask.assistant.id)
            if model.kind is ModelKind.TUNED and model.host == host.name
        ]
        if not tuned:
            raise NotNow(problem=ask.words("use.none_yet"))
        return tuned[0].name
    if wanted is None and host.name != ask.assistant.training_host and host.bases:
        return host.bases[0]
    return ModelName(wanted or ask.assistant.base)


async def _candidates(
    ask: Request, method: Method, host: Host, records: Records
) -> Sequence[Candidate]:
    """Every permitted row, checked; the first bad one is named and nothing starts."""
    found: dict[str, Candidate] = {}
    async for example in records.examples.trainable(ask.id, ask.assistant.id, method):
        if len(found) % _BETWEEN == 0:
            await asyncio.sleep(0)
        row = example.row or {}
        problem = check_row(
            row, method, max_tokens=host.profile.max_row_tokens, of_text=host.tokenizer
        )
        if problem is not None:
            raise BadRow(example=example.id, reason=ask.words.reason(problem))
        limits.refuse_row(ask, host, example)
        sha256 = fingerprint(row)
        found.setdefault(
            sha256,
            Candidate(
                example.id,
                example.revision,
                sha256,
                _group(example),
                count_tokens(row, host.tokenizer),
                example.held_out,
                len(training_line(row, ask.assistant.instructions)),
            ),
        )
    return list(found.values())


def _group(example: Example) -> str:
    """A thread stays together; so do rows with the same question."""
    source = example.source
    if source is not None and source.thread is not None:
        return f"{source.channel}/{source.thread}"
    return prompt_fingerprint(example.row or {})


def _order(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()


def _share(ask: Request, rows: int, host: Host) -> float:
    """The part to hold out: under fifty rows nothing unless asked, above a fifth."""
    asked = ask.number("validation", may_be_percent=True)
    if not host.profile.takes_validation:
        if asked:
            raise BadInput(problem=ask.words("start.no_validation", host=host.name))
        return 0.0
    if asked is None:
        return _AUTO_SHARE if rows >= _HOLD_OUT_FROM else 0.0
    is_percent = (ask.text("validation") or "").endswith(("%", "％"))
    share = asked / 100 if asked > 1 or is_percent else asked
    if not 0 <= share <= _MOST_SHARE:
        raise BadInput(problem=ask.words("start.share"))
    return share


def _enough(ask: Request, plan: Plan) -> None:
    rows, minimum = len(plan.training), plan.host.profile.minimum_rows
    if rows < minimum and plan.left_out > 0:
        raise NotEnoughAllowed(rows=rows, minimum=minimum, left_out=plan.left_out)
    if rows < minimum:
        raise NothingToTrain(rows=rows, minimum=minimum)
    size = sum(candidate.bytes for candidate in plan.training)
    limits.refuse_size(ask, plan.host, rows=len(plan.training), size=size)


def _hyperparameters(ask: Request) -> Hyperparameters:
    return Hyperparameters(
        n_epochs=ask.integer("epochs"),
        batch_size=ask.integer("batch_size"),
        learning_rate_multiplier=ask.number("learning_rate"),
        beta=ask.number("beta"),
    )


async def _estimate(plan: Plan, records: Records) -> Estimate:
    epochs = plan.hyperparameters.n_epochs or likely_epochs(len(plan.training))
    billed = plan.tokens * epochs
    price = plan.host.price(plan.base).training
    past = await records.jobs.durations(plan.host.name, plan.base)
    return Estimate(
        rows=len(plan.training),
        validation_rows=len(plan.validation),
        tokens=plan.tokens,
        epochs=epochs,
        price=None if price is None else price * billed / 1_000_000,
        seconds=_measured(past, billed),
    )


def _measured(past: Sequence[tuple[int, float]], tokens: int) -> float | None:
    """By the speed of past jobs there; nothing is promised before the first."""
    trained = sum(count for count, _ in past)
    seconds = sum(took for _, took in past)
    return seconds / trained * tokens if trained else None


def likely_epochs(rows: int) -> int:
    """What "auto" usually becomes: the rule of OpenAI's cookbook, Chat_finetuning_data_prep."""
    if rows * 3 < 100:
        return min(25, max(1, 100 // max(1, rows)))
    if rows * 3 > 25_000:
        return max(1, 25_000 // rows)
    return 3
