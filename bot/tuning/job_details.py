"""Lists the events and snapshot rows of a job, and sends its metrics and result files."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence

from bot.commands import Handlers
from bot.domain import (
    Role,
    SnapshotRow,
    StepMetrics,
)
from bot.errors import NotNow
from bot.example_files import last_question_and_answer
from bot.ports.dependencies import Dependencies
from bot.replies import Button, Document, Listing, ListingRow, Reply, Tone
from bot.request import Request
from bot.tuning import notices
from bot.words import Words

handlers = Handlers()

_TONES = {"error": Tone.BAD, "warn": Tone.BUSY}
_SHOWN = 200
_ROWS = 50
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
        snapshot_job = await records.jobs.get(request.workspace_id, notices.parse_job_id(job))
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
        metrics = await records.jobs.metrics(request.workspace_id, job.id)
    if not metrics:
        raise NotNow(problem=request.words("job.no_numbers", id=job.id))
    return Document(f"job-{job.id}-metrics.csv", _csv(metrics), request.words("job.numbers"))


@handlers.button("job.results", Role.CURATOR)
async def download_result_files(request: Request, deps: Dependencies) -> Reply:
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
