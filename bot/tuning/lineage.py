"""Where a model comes from, step by step, and where an example has gone."""

from __future__ import annotations

from dataclasses import dataclass

from bot import deployments
from bot.commands import Handlers, Option, OptionKind
from bot.domain import ExampleId, Job, Model, ModelName, Phase, Role, Snapshot, Split
from bot.errors import NotFound
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Listing, ListingRow, Reply
from bot.request import Request
from bot.words import Words

handlers = Handlers()


_NAMED = 12
_EVERY_JOB = 1_000_000


@dataclass(frozen=True, slots=True)
class Step:
    """A model with the training that made it, and what that learned from."""

    model: Model
    job: Job | None
    snapshot: Snapshot | None
    examples: tuple[ExampleId, ...]


@handlers.command(
    "models",
    Role.MEMBER,
    Option("lineage", OptionKind.MODEL, rest=True, role=Role.CURATOR),
    is_private=True,
    is_shareable=True,
)
async def models(ask: Request, deps: Dependencies) -> Reply:
    """All models, or where one of them comes from."""
    if ask.text("lineage"):
        return await of_model(ask, deps)
    return await deployments.listing(ask, deps)


@handlers.button("model.lineage", Role.CURATOR, is_private=True)
async def of_model(ask: Request, deps: Dependencies) -> Reply:
    """From the model down to the base: model, training, snapshot, examples; parent after parent."""
    name = ask.argument or ask.text("lineage") or ""
    async with deps.store.reading() as records:
        model = await _found(ask, name, records)
        lines: list[ListingRow] = []
        at: Model | None = model
        parent: ModelName | None = None
        seen: set[ModelName] = set()
        while at is not None and at.name not in seen:
            seen.add(at.name)
            lines += _lines(await _step(at, records), ask.words)
            parent = at.parent
            at = await records.models.find(ask.id, parent) if parent else None
    if parent is not None and parent not in seen:
        lines.append(ListingRow(parent, parent, ask.words("model.base")))
    return Listing(ask.words("lineage.title", model=model.name), tuple(lines))


@handlers.button("example.lineage", Role.CURATOR, is_private=True)
async def of_example(ask: Request, deps: Dependencies) -> Reply:
    """Which trainings learned from an example, and what models came of them."""
    example = _number(ask.argument)
    async with deps.store.reading() as records:
        await records.examples.get(ask.id, example)
        holding = set(await records.snapshots.holding(ask.id, [example]))
        jobs = await records.jobs.page(ask.id, limit=_EVERY_JOB)
    words = ask.words
    lines = tuple(_job_line(job, words) for job in jobs if job.snapshot in holding)
    title = words("lineage.example", id=example)
    return Listing(title, lines, empty=words("lineage.nowhere", id=example))


async def _found(ask: Request, name: str, records: Records) -> Model:
    for model in await records.models.all(ask.id, ask.assistant.id):
        if name in (model.name, str(model.job), "latest") or model.name.endswith(name):
            return model
    raise NotFound(noun="model", name=name)


async def _step(model: Model, records: Records) -> Step:
    if model.job is None:
        return Step(model, None, None, ())
    job = await records.jobs.get(model.workspace, model.job)
    snapshot = await records.snapshots.get(model.workspace, job.snapshot)
    rows = records.snapshots.rows(model.workspace, job.snapshot, Split.TRAIN)
    return Step(model, job, snapshot, tuple([row.example async for row in rows]))


def _lines(step: Step, words: Words) -> list[ListingRow]:
    model = step.model
    notes = [words(f"model.{model.kind}"), model.host, f"{model.created_at:%Y-%m-%d}"]
    if model.is_tainted:
        notes.append(words("model.tainted"))
    lines = [ListingRow(model.name[-80:], model.name, " · ".join(notes))]
    if step.job is not None:
        lines.append(_job_line(step.job, words))
    if step.snapshot is not None:
        lines.append(_snapshot_line(step, step.snapshot, words))
    return lines


def _job_line(job: Job, words: Words) -> ListingRow:
    began = job.confirmed_at or job.created_at
    notes = [words(f"method.{job.method}"), words(f"phase.{job.phase}")]
    if began:
        notes.append(f"{began:%Y-%m-%d %H:%M}")
    if job.phase is Phase.SUCCEEDED and job.model:
        notes.append(job.model)
    show = Button(words("button.show"), f"job.show:{job.id}")
    return ListingRow(str(job.id), words("lineage.job", job=job.id), " · ".join(notes), (show,))


def _snapshot_line(step: Step, snapshot: Snapshot, words: Words) -> ListingRow:
    named = ", ".join(f"#{number}" for number in step.examples[:_NAMED])
    more = len(step.examples) - _NAMED
    note = words("lineage.examples", examples=named, count=len(step.examples))
    if more > 0:
        note = words("lineage.more", examples=named, count=more)
    return ListingRow(str(snapshot.id), words("lineage.snapshot", snapshot=snapshot.id), note)


def _number(said: str) -> ExampleId:
    try:
        return ExampleId(whole_number(said.lstrip("#")))
    except ValueError:
        raise NotFound(noun="example", name=said) from None
