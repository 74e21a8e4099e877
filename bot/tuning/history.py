"""A job at length: its events, rows and measures; and the lineage of models and examples."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

from bot import deployments
from bot.batches import every_job
from bot.commands import Handlers, Option, OptionKind
from bot.datasets import last_question_and_answer
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
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.references import time_reference
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
    """The events that the host reported, the newest first."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
        reported = await records.jobs.events(request.workspace_id, job.id, last=_SHOWN)
    lines = tuple(
        ListingRow(
            f"{one.at:%H:%M:%S}",
            one.message,
            ", ".join(f"{name} {value:.4g}" for name, value in one.metrics.items()),
            tone=_TONES.get(one.level, Tone.PLAIN),
        )
        for one in reversed(reported)
        if one.message
    )
    return Listing(request.words("job.events"), lines, empty=request.words("job.no_events"))


@handlers.button("job.rows", Role.CURATOR, is_for_pages=True)
async def list_snapshot_rows(request: Request, deps: Dependencies) -> Reply:
    """The frozen rows that a job learns from, a page at a time."""
    job, _, passed = request.argument.partition(".")
    skipped = int(passed) if passed.isdecimal() and len(passed) < _DIGITS else 0
    async with deps.store.reading() as records:
        found = await records.jobs.get(request.workspace_id, notices.job_id(job))
        page: list[SnapshotRow] = []
        before = skipped
        async for row in records.snapshots.rows(request.workspace_id, found.snapshot):
            if before > 0:
                before -= 1
            elif len(page) <= _ROWS:
                page.append(row)
    lines = tuple(_row_line(row, request.words) for row in page[:_ROWS])
    action = f"job.rows:{job}.{skipped + _ROWS}"
    more = Button(request.words("list.more"), action) if len(page) > _ROWS else None
    return Listing(request.words("job.frozen", id=job), lines, more=more)


def _row_line(row: SnapshotRow, words: Words) -> ListingRow:
    """An erased row keeps its place, without its text."""
    question, answer = last_question_and_answer(row.row) if row.row else (words("row.erased"), "")
    split = words(f"split.{row.split}")
    return ListingRow(str(row.example), question, " · ".join(one for one in (split, answer) if one))


@handlers.button("job.numbers", Role.MEMBER, is_for_pages=True)
async def download_metrics(request: Request, deps: Dependencies) -> Reply:
    """Every step's measures as CSV, in the columns that hosts use for result files."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
        measured = await records.jobs.measures(request.workspace_id, job.id)
    if not measured:
        raise NotNow(problem=request.words("job.no_numbers", id=job.id))
    return Document(f"job-{job.id}-metrics.csv", _csv(measured), request.words("job.numbers"))


@handlers.button("job.results", Role.CURATOR)
async def results(request: Request, deps: Dependencies) -> Reply:
    """The host's own table of measures, as the host made it."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
    if not job.result_files:
        raise NotNow(problem=request.words("job.no_results", id=job.id))
    host = deps.hosts.get(job.host)
    # Fetched before a word is said, so that a host's refusal is a sentence and not half a file.
    files = [await host.result_file(file) for file in job.result_files]
    content = b"".join(file.content for file in files)
    name = f"job-{job.id}-results.csv"
    return Document(name, _whole(content), request.words("job.results", host=job.host))


async def _whole(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def _csv(measured: Sequence[StepMetrics]) -> AsyncIterator[bytes]:
    names = list(dict.fromkeys(name for one in measured for name in one.values))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["step", *names])
    for one in measured:
        writer.writerow([one.step, *(one.values.get(name, "") for name in names)])
    yield text.getvalue().encode()


@handlers.command(
    "models",
    Role.MEMBER,
    Option("lineage", OptionKind.MODEL, rest=True, role=Role.CURATOR),
)
async def models(request: Request, deps: Dependencies) -> Reply:
    """All models, or where one of them comes from."""
    if request.text_option("lineage"):
        return await show_model_lineage(request, deps)
    return await deployments.list_models(request, deps)


@handlers.button("model.lineage", Role.CURATOR)
async def show_model_lineage(request: Request, deps: Dependencies) -> Reply:
    """From the model down to the base: model, training, snapshot, examples; parent after parent."""
    name = request.argument or request.text_option("lineage") or ""
    async with deps.store.reading() as records:
        model = await _model(request, name, records)
        lines: list[ListingRow] = []
        at: Model | None = model
        parent: ModelName | None = None
        seen: set[ModelName] = set()
        while at is not None and at.name not in seen:
            seen.add(at.name)
            lines += await _lineage_of(at, records, request.words)
            parent = at.parent
            at = await records.models.find(request.workspace_id, parent) if parent else None
    if parent is not None and parent not in seen:
        lines.append(ListingRow(parent, parent, request.words("model.base")))
    return Listing(request.words("lineage.title", model=model.name), tuple(lines), private=True)


@handlers.button("example.lineage", Role.CURATOR)
async def show_example_lineage(request: Request, deps: Dependencies) -> Reply:
    """Which trainings learned from an example, and what models came of them."""
    example = ExampleId(notices.number(request.argument, "example"))
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


async def _model(request: Request, name: str, records: Records) -> Model:
    for model in await records.models.all(request.workspace_id, request.assistant.id):
        if name in (model.name, str(model.job), "latest") or model.name.endswith(name):
            return model
    raise NotFound(noun="model", name=name)


async def _lineage_of(model: Model, records: Records, words: Words) -> list[ListingRow]:
    """The model, the training that made it, and what that learned from."""
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
    began = job.confirmed_at or job.created_at
    notes = [words(f"method.{job.method}"), words(f"phase.{job.phase}")]
    if began:
        notes.append(time_reference(began))
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
