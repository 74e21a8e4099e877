"""Writes a snapshot and what is held out in parts, so that others can write in between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypeVar

from bot.domain import ExampleFilter, ExampleId, Job, SnapshotId, SnapshotRow, Split
from bot.ports.store import Store
from bot.request import Request
from bot.rows import Method

T = TypeVar("T")

_BATCH = 500


async def freeze(
    ask: Request, method: Method, rows: Sequence[SnapshotRow], *, store: Store
) -> SnapshotId:
    """The snapshot with all its rows; one that was cut off is never named by a job."""
    training = sum(row.split is Split.TRAIN for row in rows)
    async with store.writing() as records:
        made = await records.snapshots.begin(
            ask.id,
            ask.assistant.id,
            method,
            training=training,
            validation=len(rows) - training,
            at=ask.now,
        )
    for first, part in _parts(rows):
        async with store.writing() as records:
            await records.snapshots.append(ask.id, made.id, part, first=first)
    return made.id


async def hold_out(job: Job, *, store: Store, at: datetime) -> None:
    """Exactly the rows that this job holds back are marked so, for its assistant and method."""
    async with store.reading() as records:
        rows = records.snapshots.rows(job.workspace, job.snapshot, Split.VALIDATION)
        examples = {row.example async for row in rows}
    before = await _held_out(job, store, at)
    changes = {False: before - examples, True: examples - before}
    for held_out, wanted in changes.items():
        for _, part in _parts(sorted(wanted)):
            async with store.writing() as records:
                await records.examples.hold_out(job.workspace, part, held_out=held_out)


async def _held_out(job: Job, store: Store, at: datetime) -> set[ExampleId]:
    filters = ExampleFilter(assistant=job.assistant, method=job.method, held_out=True)
    found: set[ExampleId] = set()
    last: ExampleId | None = None
    while True:
        async with store.reading() as records:
            page = await records.examples.ids(
                job.workspace, filters, until=at, after=last, limit=_BATCH
            )
        if not page:
            return found
        found.update(page)
        last = page[-1]


def _parts(items: Sequence[T]) -> Iterator[tuple[int, Sequence[T]]]:
    for start in range(0, len(items), _BATCH):
        yield start, items[start : start + _BATCH]
