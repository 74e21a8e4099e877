"""Long changes and long reads in parts, so that others can write and memory stays small."""

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
"""What one part may take, so that nobody who writes waits for long."""
_FEWEST, _MOST = 50, 1_000
_PAGE = 100

BatchStep = Callable[[Records, int], Awaitable[int]]
"""Changes so many rows at most; says how many it changed."""


class BatchSize:
    """How many rows the next part may take: as many as take some twenty milliseconds.

    Of a part that is a transaction the commit counts too: where an index is written all over, it
    takes as long as the changes. Never fewer than `fewest`: on a machine that is busy with other
    things parts take long however small they are, and each costs a transaction.
    """

    def __init__(self, *, fewest: int = _FEWEST, most: int | None = None) -> None:
        self._fewest, self._most = fewest, most or _MOST
        self.rows = min(fewest * 2, self._most)

    @contextmanager
    def measure_batch(self) -> Iterator[None]:
        """The time of a part decides the size of the next."""
        started = perf_counter()
        yield
        self._adapt(perf_counter() - started)

    @asynccontextmanager
    async def measure_transaction(self, store: Store) -> AsyncIterator[Records]:
        """A transaction for one part. The wait for the writer is not counted; the commit is."""
        async with store.writing() as records:
            started = perf_counter()
            yield records
        self._adapt(perf_counter() - started)

    def _adapt(self, took: float) -> None:
        wanted = self.rows * min(2.0, max(0.5, _SECONDS / max(took, 1e-6)))
        self.rows = min(self._most, max(self._fewest, int(wanted)))


async def run_in_batches(part: BatchStep, store: Store, *, fewest: int = _FEWEST) -> int:
    """Repeat the part until it finds nothing; how many rows it changed in all.

    Each is a transaction of its own. A crash in between leaves what is done, so the part must
    find by itself what is left.
    """
    size, total = BatchSize(fewest=fewest), 0
    while True:
        async with size.measure_transaction(store) as records:
            changed = await part(records, size.rows)
        if not changed:
            return total
        total += changed
        await asyncio.sleep(0)


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """So many items at a time, in their order."""
    for first in range(0, len(items), size):
        yield items[first : first + size]


async def every_job(workspace: WorkspaceId, records: Records) -> AsyncIterator[Job]:
    """All jobs of a workspace, the newest first, read a page at a time."""
    last: JobId | None = None
    while page := await records.jobs.page(workspace, before=last, limit=_PAGE):
        for job in page:
            yield job
        last = page[-1].id
