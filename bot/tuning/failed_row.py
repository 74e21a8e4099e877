"""Which example a host means when it names a row of the file."""

from __future__ import annotations

import re

from bot.domain import Example, ExampleId, Job, Phase, Split
from bot.errors import NotFound
from bot.ports.store import Records

# "Example 6174 message contains …", "Line 12 is not …", "row #3", "examples 4": counted from one.
_ROW = re.compile(
    r"\b(?:example|line|row|record)s?\s{0,3}(?:number\s{0,3}|no\.?\s{0,3})?[#:]?\s{0,3}(\d+)",
    re.IGNORECASE,
)


async def example_of(job: Job, records: Records) -> Example | None:
    """The example behind the row that a failed job complains of; None where it names none."""
    number = row_number(job.trouble or "")
    if job.phase is not Phase.FAILED or number is None:
        return None
    is_held_out = job.trouble_details.get("param") == "validation_file"
    split = Split.VALIDATION if is_held_out else Split.TRAIN
    left = number
    async for row in records.snapshots.rows(job.workspace, job.snapshot, split):
        left -= row.row is not None
        if left == 0:
            return await _kept(job, row.example, records)
    return None


def row_number(message: str) -> int | None:
    found = _ROW.search(message)
    return int(found[1]) if found and int(found[1]) > 0 else None


async def _kept(job: Job, example: ExampleId, records: Records) -> Example | None:
    try:
        return await records.examples.get(job.workspace, example)
    except NotFound:
        return None
