"""A job's story at length: its events, its numbers as a file, and the same start again."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from bot.commands import Handlers
from bot.datasets import ends
from bot.domain import Job, Role, SnapshotRow, StepMetrics
from bot.errors import NotNow
from bot.ports.dependencies import Dependencies
from bot.replies import Button, Document, Listing, ListingRow, Reply, Tone
from bot.request import Request
from bot.tuning import notices, start
from bot.words import Words

handlers = Handlers()


_TONES = {"error": Tone.BAD, "warn": Tone.BUSY}
_SHOWN = 200
_ROWS = 50
_DIGITS = 9


@handlers.button("job.events", Role.CURATOR, is_for_pages=True)
async def events(ask: Request, deps: Dependencies) -> Reply:
    """What the host told, the newest first."""
    async with deps.store.reading() as records:
        job = await records.jobs.get(ask.id, notices.number(ask))
        told = await records.jobs.events(ask.id, job.id, last=_SHOWN)
    lines = tuple(
        ListingRow(
            f"{one.at:%H:%M:%S}",
            one.message,
            ", ".join(f"{name} {value:.4g}" for name, value in one.metrics.items()),
            tone=_TONES.get(one.level, Tone.PLAIN),
        )
        for one in reversed(told)
        if one.message
    )
    return Listing(ask.words("job.events"), lines, empty=ask.words("job.no_events"))


@handlers.button("job.rows", Role.CURATOR, is_for_pages=True)
async def rows(ask: Request, deps: Dependencies) -> Reply:
    """The frozen rows that a job learns from, a page at a time."""
    job, _, passed = ask.argument.partition(".")
    skipped = int(passed) if passed.isdecimal() and len(passed) < _DIGITS else 0
    async with deps.store.reading() as records:
        found = await records.jobs.get(ask.id, notices.number(replace(ask, argument=job)))
        frozen = records.snapshots.rows(ask.id, found.snapshot)
        page = [row async for at, row in _counted(frozen) if skipped <= at <= skipped + _ROWS]
    lines = tuple(_row_line(row, ask.words) for row in page[:_ROWS])
    action = f"job.rows:{job}.{skipped + _ROWS}"
    more = Button(ask.words("list.more"), action) if len(page) > _ROWS else None
    return Listing(ask.words("job.frozen", id=job), lines, more=more)


async def _counted(frozen: AsyncIterator[SnapshotRow]) -> AsyncIterator[tuple[int, SnapshotRow]]:
    at = 0
    async for row in frozen:
        yield at, row
        at += 1


def _row_line(row: SnapshotRow, words: Words) -> ListingRow:
    """An erased row keeps its place, without its text."""
    question, answer = ends(row.row) if row.row else (words("row.erased"), "")
    split = words(f"split.{row.split}")
    return ListingRow(str(row.example), question, " · ".join(one for one in (split, answer) if one))


@handlers.button("job.numbers", Role.MEMBER, is_for_pages=True)
async def numbers(ask: Request, deps: Dependencies) -> Reply:
    """Every step's measures as CSV, in the columns that hosts use for result files."""
    async with deps.store.reading() as records:
        job = await records.jobs.get(ask.id, notices.number(ask))
        measured = await records.jobs.measures(ask.id, job.id)
    if not measured:
        raise NotNow(problem=ask.words("job.no_numbers", id=job.id))
    return Document(f"job-{job.id}-metrics.csv", _csv(measured), ask.words("job.numbers"))


@handlers.button("job.results", Role.CURATOR)
async def results(ask: Request, deps: Dependencies) -> Reply:
    """The host's own table of measures, as the host made it."""
    async with deps.store.reading() as records:
        job = await records.jobs.get(ask.id, notices.number(ask))
    if not job.result_files:
        raise NotNow(problem=ask.words("job.no_results", id=job.id))
    host = deps.hosts.get(job.host)
    # Fetched before a word is said, so that a host's refusal is a sentence and not half a file.
    files = [await host.result_file(file) for file in job.result_files]
    content = b"".join(file.content for file in files)
    name = f"job-{job.id}-results.csv"
    return Document(name, _whole(content), ask.words("job.results", host=job.host))


@handlers.button("job.again", Role.TRAINER)
async def again(ask: Request, deps: Dependencies) -> Reply:
    """The same settings on today's examples, priced anew."""
    async with deps.store.reading() as records:
        job = await records.jobs.get(ask.id, notices.number(ask))
        assistant = await records.assistants.get(ask.id, job.assistant)
    # The room that heard of the first one hears of this one too.
    event = replace(ask.event, place=job.place)
    same = replace(ask, event=event, assistant=assistant, argument="", options=_options(job))
    return await start.start(same, deps)


def _options(job: Job) -> dict[str, str]:
    asked = job.hyperparameters
    values = {
        "base": job.base,
        "host": job.host,
        "method": job.method.value,
        "epochs": asked.n_epochs,
        "batch_size": asked.batch_size,
        "learning_rate": asked.learning_rate_multiplier,
        "beta": asked.beta,
        "suffix": job.suffix,
        "seed": job.seed,
        "use": "yes" if job.use_when_done else "no",
    }
    return {name: str(value) for name, value in values.items() if value is not None}


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
