"""Which rows are held out of a training to compare models on, and how many."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.batches import batched
from bot.domain import (
    Example,
    ExampleFilter,
    ExampleId,
    Job,
    Split,
)
from bot.errors import BadInput
from bot.ports.provider import Host
from bot.ports.store import Store
from bot.request import Request
from bot.rows import prompt_fingerprint

_BATCH = 500
_HOLD_OUT_FROM = 50
_AUTO_SHARE = 0.2
_MOST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that may be trained on; rows of one `group` stay on one side of the split.

    One that a model wrote is of its source's group, and trained on or left out.
    """

    example: ExampleId
    revision: int
    sha256: str
    group: str
    tokens: int
    was_held_out: bool = False
    is_always_trained: bool = False
    bytes: int = 0
    is_synthetic: bool = False
    is_left_out: bool = False
    """Whether every model is asked its source, so that none may learn it in other words."""


def group_of(example: Example) -> str:
    """A thread stays together; so do rows with the same question."""
    source = example.source
    if source is not None and source.thread is not None:
        return f"{source.channel}/{source.thread}"
    return prompt_fingerprint(example.row or {})


def split(
    rows: Sequence[Candidate], *, share: float
) -> tuple[Sequence[Candidate], Sequence[Candidate]]:
    """Training and validation, whole groups on one side, the same rows each time.

    `share` is the part to hold out, 0 to 1. Groups with a row that was held out before come first,
    then the others in the order of their hash: what was held out stays so as the dataset grows.
    A group with a row that is always trained is never held out. What a model wrote from a row that
    is held out is on neither side.
    """
    rows = [row for row in rows if not row.is_left_out]
    sizes = Counter(row.group for row in rows if not row.is_synthetic)
    trained = {row.group for row in rows if row.is_always_trained}
    before = {row.group for row in rows if row.was_held_out}
    room = round(sizes.total() * share)
    held: set[str] = set()
    for group in sorted(
        sizes.keys() - trained, key=lambda group: (group not in before, _order(group))
    ):
        if sizes[group] <= room:
            held.add(group)
            room -= sizes[group]
    training = [row for row in rows if row.group not in held]
    return training, [row for row in rows if row.group in held and not row.is_synthetic]


def _order(group: str) -> str:
    return hashlib.sha256(group.encode()).hexdigest()


async def hold_out(job: Job, *, store: Store, at: datetime) -> None:
    """Mark exactly the job's validation rows as held out, for its assistant and method."""
    async with store.reading() as records:
        rows = records.snapshots.rows(job.workspace, job.snapshot, Split.VALIDATION)
        examples = {row.example async for row in rows}
    before = await _held_out(job, store, at)
    changes = {False: before - examples, True: examples - before}
    for held_out, wanted in changes.items():
        for part in batched(sorted(wanted), _BATCH):
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


def held_out_share(request: Request, rows: int, host: Host) -> float:
    """The part to hold out: under fifty rows nothing unless asked, above a fifth."""
    asked = request.number_option("validation", may_be_percent=True)
    if not host.profile.takes_validation:
        if asked:
            raise BadInput(problem=request.words("start.no_validation", host=host.name))
        return 0.0
    if asked is None:
        return _AUTO_SHARE if rows >= _HOLD_OUT_FROM else 0.0
    is_percent = (request.text_option("validation") or "").endswith(("%", "％"))
    share = asked / 100 if asked > 1 or is_percent else asked
    if not 0 <= share <= _MOST_SHARE:
        raise BadInput(problem=request.words("start.share"))
    return share
