"""Lists a job's events, rows and metrics, and the lineage of models and examples."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

from bot import deployments
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
    SnapshotRow,
    Split,
    StepMetrics,
)
from bot.errors import NotFound, NotNow
from bot.example_files import last_question_and_answer
from bot.mentions_and_times import time_reference
from bot.number_formats import number_of
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Document, Listing, ListingRow, Reply, Tone
from bot.request import Request
from bot.tuning import notices
from bot.words import Words

handlers = Handlers()

_TONES = {"error": Tone.BAD, "warn": Tone.BUSY}
_SHOWN = 200
_ROWS = 50
_EXAMPLES_NAMED = 12
_DIGITS = 9


@handlers.button("job.events", Role.CURATOR, is_for_pages=True)
async def list_events(request: Request, deps: Dependencies) -> Reply:
    """Lists the events that the host reported, newest first."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
        reported = await records.jobs.events(request.workspace_id, job.id, last=_SHOWN)
    lines = tuple(
        ListingRow(
            f"{event.at:%H:%M:%S}",
            event.message,
            ", ".join(f"{name} {value:.4g}" for name, value in event.metrics.items()),
            tone=_TONES.get(event.level, Tone.PLAIN),
        )
        for event in reversed(reported)
        if event.message
    )
    return Listing(request.words("job.events"), lines, empty=request.words("job.no_events"))


@handlers.button("job.rows", Role.CURATOR, is_for_pages=True)
async def list_snapshot_rows(request: Request, deps: Dependencies) -> Reply:
    """Lists a page of the rows of a job's snapshot."""
    job, _, offset = request.argument.partition(".")
    skipped = int(offset) if offset.isdecimal() and len(offset) < _DIGITS else 0
    async with deps.store.reading() as records:
        snapshot_job = await records.jobs.get(request.workspace_id, notices.job_id(job))
        page: list[SnapshotRow] = []
        remaining = skipped
        async for row in records.snapshots.rows(request.workspace_id, snapshot_job.snapshot):
            if remaining > 0:
                remaining -= 1
            elif len(page) <= _ROWS:
                page.append(row)
    lines = tuple(_row_line(row, request.words) for row in page[:_ROWS])
    action = f"job.rows:{job}.{skipped + _ROWS}"
    more = Button(request.words("list.more"), action) if len(page) > _ROWS else None
    return Listing(request.words("job.frozen", id=job), lines, more=more)


def _row_line(row: SnapshotRow, words: Words) -> ListingRow:
    """Renders a row; an erased row without its text."""
    question, answer = last_question_and_answer(row.row) if row.row else (words("row.erased"), "")
    split = words(f"split.{row.split}")
    return ListingRow(
        str(row.example), question, " · ".join(part for part in (split, answer) if part)
    )


@handlers.button("job.numbers", Role.MEMBER, is_for_pages=True)
async def download_metrics(request: Request, deps: Dependencies) -> Reply:
    """Sends the metrics of every step as CSV, with the columns of hosts' result files."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
        metrics = await records.jobs.measures(request.workspace_id, job.id)
    if not metrics:
        raise NotNow(problem=request.words("job.no_numbers", id=job.id))
    return Document(f"job-{job.id}-metrics.csv", _csv(metrics), request.words("job.numbers"))


@handlers.button("job.results", Role.CURATOR)
async def results(request: Request, deps: Dependencies) -> Reply:
    """Sends the host's result files as one file, unchanged."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
    if not job.result_files:
        raise NotNow(problem=request.words("job.no_results", id=job.id))
    host = deps.hosts.get(job.host)
    # Fetched before the reply, so that a host's error is a message and not an incomplete file.
    files = [await host.result_file(file) for file in job.result_files]
    content = b"".join(file.content for file in files)
    name = f"job-{job.id}-results.csv"
    return Document(name, _one_block(content), request.words("job.results", host=job.host))


async def _one_block(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _csv(metrics: Sequence[StepMetrics]) -> AsyncIterator[bytes]:
    names = list(dict.fromkeys(name for step_metrics in metrics for name in step_metrics.values))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["step", *names])
    for step_metrics in metrics:
        writer.writerow([step_metrics.step, *(step_metrics.values.get(name, "") for name in names)])
    yield text.getvalue().encode()


@handlers.command(
    "models",
    Role.MEMBER,
    Option("lineage", OptionKind.MODEL, rest=True, role=Role.CURATOR),
)
async def models(request: Request, deps: Dependencies) -> Reply:
    """Lists all models, or the lineage of one."""
    if request.text_option("lineage"):
        return await show_model_lineage(request, deps)
    return await deployments.list_models(request, deps)


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
    example = ExampleId(number_of(request.argument, "example"))
    async with deps.store.reading() as records:
        await records.examples.get(request.workspace_id, example)
        holding = set(await records.snapshots.list_holding(request.workspace_id, [example]))
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
