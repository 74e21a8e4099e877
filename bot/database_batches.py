"""Splits long writes and reads into batches, so that other writers need not wait for long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from typing import TypeVar

from bot.domain import Job, JobId, WorkspaceId
from bot.ports.store import Records, Store

T = TypeVar("T")

_SECONDS = 0.02
"""Target duration of a batch, for which other writers wait."""
_MIN_ROWS, _MAX_ROWS = 50, 1_000
_PAGE = 100

BatchStep = Callable[[Records, int], Awaitable[int]]
"""Changes at most the given number of rows and returns how many it changed."""


class BatchSize:
    """The number of rows of the next batch, adapted so that a batch takes about 20 milliseconds.

    The time of a transaction includes its commit, which may take as long as the changes if many
    pages of an index are written. The number is never lower than `fewest`: on a busy machine even
    small batches take long, and each one costs a transaction.
    """

    def __init__(self, *, fewest: int = _MIN_ROWS, most: int | None = None) -> None:
        self._fewest, self._most = fewest, most or _MAX_ROWS
        self.rows = min(fewest * 2, self._most)

    @contextmanager
    def measure_batch(self) -> Iterator[None]:
        """Measures a batch and adapts the size of the next one."""
        started = perf_counter()
        yield
        self._adapt(perf_counter() - started)

    @asynccontextmanager
    async def measure_transaction(self, store: Store) -> AsyncIterator[Records]:
        """Opens a transaction for a batch and measures it with its commit.

        The wait for other writers is not measured.
        """
        async with store.writing() as records:
            started = perf_counter()
            yield records
        self._adapt(perf_counter() - started)

    def _adapt(self, seconds: float) -> None:
        rows = self.rows * min(2.0, max(0.5, _SECONDS / max(seconds, 1e-6)))
        self.rows = min(self._most, max(self._fewest, int(rows)))


async def run_in_batches(step: BatchStep, store: Store, *, fewest: int = _MIN_ROWS) -> int:
    """Runs the step until it changes no more rows; returns how many rows were changed in total.

    Each run is a transaction of its own. After a crash the earlier batches stay committed, so the
    step must find the remaining rows by itself.
    """
    size, total = BatchSize(fewest=fewest), 0
    while True:
        async with size.measure_transaction(store) as records:
            changed = await step(records, size.rows)
        if not changed:
            return total
        total += changed
        await asyncio.sleep(0)


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yields the items in their order, `size` at a time."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


async def every_job(workspace: WorkspaceId, records: Records) -> AsyncIterator[Job]:
    """Yields all jobs of a workspace, newest first, reading a page at a time."""
    last: JobId | None = None
    while page := await records.jobs.page(workspace, before=last, limit=_PAGE):
        for job in page:
            yield job
        last = page[-1].id
