"""Lists models, and the lineage of models and examples: trainings, snapshots and examples."""

from __future__ import annotations

from collections.abc import Sequence

from bot import models_in_use
from bot.commands import Handlers, Option, OptionKind
from bot.database_batches import every_job
from bot.domain import (
    ExampleId,
    Job,
    Model,
    ModelName,
    Phase,
    Role,
    SnapshotId,
    Split,
)
from bot.errors import NotFound
from bot.mentions_and_times import time_reference
from bot.number_formats import parse_number_argument
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Listing, ListingRow, Reply
from bot.request import Request
from bot.words import Words

handlers = Handlers()

_EXAMPLES_NAMED = 12


@handlers.command(
    "models",
    Role.MEMBER,
    Option("lineage", OptionKind.MODEL, takes_rest=True, required_role=Role.CURATOR),
)
async def list_models_or_lineage(request: Request, deps: Dependencies) -> Reply:
    """Lists all models, or the lineage of one."""
    if request.text_option("lineage"):
        return await show_model_lineage(request, deps)
    return await models_in_use.list_models(request, deps)


@handlers.button("model.lineage", Role.CURATOR)
async def show_model_lineage(request: Request, deps: Dependencies) -> Reply:
    """Lists a model's training, snapshot and examples, then its parent's, down to the base."""
    name = request.argument or request.text_option("lineage") or ""
    async with deps.store.reading() as records:
        model = await _model_named(request, name, records)
        lines: list[ListingRow] = []
        current: Model | None = model
        parent: ModelName | None = None
        seen: set[ModelName] = set()
        while current is not None and current.name not in seen:
            seen.add(current.name)
            lines += await _lineage_rows(current, records, request.words)
            parent = current.parent
            current = await records.models.find(request.workspace_id, parent) if parent else None
    if parent is not None and parent not in seen:
        lines.append(ListingRow(parent, parent, request.words("model.base")))
    return Listing(request.words("lineage.title", model=model.name), tuple(lines), private=True)


@handlers.button("example.lineage", Role.CURATOR)
async def show_example_lineage(request: Request, deps: Dependencies) -> Reply:
    """Lists the trainings whose snapshots contain an example, and their models."""
    example = ExampleId(parse_number_argument(request.argument, "example"))
    async with deps.store.reading() as records:
        await records.examples.get(request.workspace_id, example)
        holding = set(await records.snapshots.list_containing(request.workspace_id, [example]))
        jobs = [
            job async for job in every_job(request.workspace_id, records) if job.snapshot in holding
        ]
    words = request.words
    lines = tuple(_job_line(job, words) for job in jobs)
    title = words("lineage.example", id=example)
    return Listing(title, lines, empty=words("lineage.nowhere", id=example), private=True)


async def _model_named(request: Request, name: str, records: Records) -> Model:
    for model in await records.models.all(request.workspace_id, request.assistant.id):
        if name in (model.name, str(model.job), "latest") or model.name.endswith(name):
            return model
    raise NotFound(noun="model", name=name)


async def _lineage_rows(model: Model, records: Records, words: Words) -> list[ListingRow]:
    """Renders a model, the training that produced it, and the training's examples."""
    notes = [words(f"model.{model.kind}"), model.host, f"{model.created_at:%Y-%m-%d}"]
    if model.is_tainted:
        notes.append(words("model.tainted"))
    line = ListingRow(model.name[-80:], model.name, " · ".join(notes))
    if model.job is None:
        return [line]
    job = await records.jobs.get(model.workspace, model.job)
    rows = records.snapshots.rows(model.workspace, job.snapshot, Split.TRAIN)
    examples = [row.example async for row in rows]
    return [line, _job_line(job, words), _snapshot_line(job.snapshot, examples, words)]


def _job_line(job: Job, words: Words) -> ListingRow:
    started_at = job.confirmed_at or job.created_at
    notes = [words(f"method.{job.method}"), words(f"phase.{job.phase}")]
    if started_at:
        notes.append(time_reference(started_at))
    if job.phase is Phase.SUCCEEDED and job.model:
        notes.append(job.model)
    show = Button(words("button.show"), f"job.show:{job.id}")
    return ListingRow(str(job.id), words("lineage.job", job=job.id), " · ".join(notes), (show,))


def _snapshot_line(snapshot: SnapshotId, examples: Sequence[ExampleId], words: Words) -> ListingRow:
    named = ", ".join(f"#{number}" for number in examples[:_EXAMPLES_NAMED])
    more = len(examples) - _EXAMPLES_NAMED
    note = words("lineage.examples", examples=named, count=len(examples))
    if more > 0:
        note = words("lineage.more", examples=named, count=more)
    return ListingRow(str(snapshot), words("lineage.snapshot", snapshot=snapshot), note)
