"""Chooses, checks and freezes the rows of a job, marks those held out, and writes JSONL.

Snapshots are written in parts, so that other writers can write in between.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from bot.database_batches import batched
from bot.domain import (
    ALWAYS_TRAIN_TAG,
    MUST_ANSWER_TAG,
    Example,
    ExampleFilter,
    ExampleId,
    Job,
    Phase,
    Row,
    SnapshotId,
    SnapshotRow,
    Split,
)
from bot.errors import BadRow, NotFound
from bot.example_files import training_line
from bot.ports.model_hosts import Host, HostProfile
from bot.ports.store import Records, Store
from bot.request import Request
from bot.rows import Method, check_row, count_tokens, fingerprint
from bot.tuning.held_out_rows import CandidateRow, split_group

_BATCH = 500
_ROWS_BETWEEN_PAUSES = 50
# Hosts write "Example 6174 message contains …", "Line 12 is not …", "row #3"; they count from 1.
_ROW_NUMBER = re.compile(
    r"\b(?:example|line|row|record)s?\s{0,3}(?:number\s{0,3}|no\.?\s{0,3})?[#:]?\s{0,3}(\d+)",
    re.IGNORECASE,
)


async def candidate_rows(
    request: Request, method: Method, host: Host, records: Records
) -> Sequence[CandidateRow]:
    """Returns every trainable row, without duplicates and must-answer examples.

    Raises BadRow for the first row that the format or the host forbids.
    """
    by_text: dict[str, CandidateRow] = {}
    groups: dict[ExampleId, str] = {}
    must_answer: set[ExampleId] = set()
    async for example in records.examples.iterate_trainable(
        request.workspace_id, request.assistant.id, method
    ):
        if len(by_text) % _ROWS_BETWEEN_PAUSES == 0:
            await asyncio.sleep(0)
        groups[example.id] = await _group_of(request, example, groups, records)
        if MUST_ANSWER_TAG in example.tags:
            must_answer.add(example.id)
            continue
        row = example.row or {}
        longest, counter = host.profile.max_row_tokens, host.tokenizer
        problem = check_row(row, method, max_tokens=longest, token_counter=counter)
        if problem is not None:
            raise BadRow(example=example.id, reason=request.words.problem_reason(problem))
        _refuse_row(request, host, example)
        candidate = CandidateRow(
            example.id,
            example.revision,
            fingerprint(row),
            groups[example.id],
            count_tokens(row, counter),
            example.held_out,
            ALWAYS_TRAIN_TAG in example.tags,
            len(training_line(row, request.assistant.instructions)),
            is_synthetic=example.synthetic is not None,
            is_left_out=example.synthetic is not None and example.synthetic.source in must_answer,
        )
        by_text.setdefault(candidate.sha256, candidate)
    return list(by_text.values())


async def _group_of(
    request: Request, example: Example, groups: Mapping[ExampleId, str], records: Records
) -> str:
    """Returns an example's group; of a synthetic example its source's, which has a lower id."""
    if example.synthetic is None:
        return split_group(example)
    source = example.synthetic.source
    return groups.get(source) or split_group(
        await records.examples.get(request.workspace_id, source)
    )


def _refuse_row(request: Request, host: Host, example: Example) -> None:
    """Raises BadRow for a row with a field that the host does not support."""
    row, profile = example.row or {}, host.profile
    if _is_weighted(row) and not profile.takes_weight:
        reason = request.words("start.no_weight", host=host.name)
        raise BadRow(example=example.id, reason=reason)
    if _has_tools(row) and not profile.takes_tools:
        raise BadRow(example=example.id, reason=request.words("start.no_tools", host=host.name))
    if _has_reasoning(row) and not profile.takes_reasoning:
        reason = request.words("start.no_reasoning", host=host.name)
        raise BadRow(example=example.id, reason=reason)


def _is_weighted(row: Row) -> bool:
    """Whether a message has weight 0, which excludes it from the loss."""
    return any(message.get("weight") == 0 for message in _messages_of(row))


def _has_tools(row: Row) -> bool:
    has_list = bool(_conversation_of(row).get("tools"))
    return has_list or any(message.get("tool_calls") for message in _messages_of(row))


def _has_reasoning(row: Row) -> bool:
    return any(message.get("reasoning_content") for message in _messages_of(row))


def _messages_of(row: Row) -> Sequence[Mapping[str, object]]:
    messages = _conversation_of(row).get("messages")
    return (
        [message for message in messages if isinstance(message, Mapping)]
        if isinstance(messages, list)
        else ()
    )


def _conversation_of(row: Row) -> Mapping[str, object]:
    """Returns a supervised row itself, or the `input` of a preference row."""
    source = row if "messages" in row else row.get("input")
    return source if isinstance(source, Mapping) else {}


def snapshot_rows(rows: Sequence[CandidateRow], side: Split) -> Sequence[SnapshotRow]:
    return [SnapshotRow(row.example, row.revision, side, row.sha256, None) for row in rows]


async def freeze_snapshot(
    request: Request, method: Method, rows: Sequence[SnapshotRow], *, store: Store
) -> SnapshotId:
    """Stores a snapshot with all its rows; after a crash in between no job refers to it."""
    training = sum(row.split is Split.TRAIN for row in rows)
    async with store.writing() as records:
        snapshot = await records.snapshots.create(
            request.workspace_id,
            request.assistant.id,
            method,
            training_rows=training,
            validation_rows=len(rows) - training,
            at=request.now,
        )
    first = 0
    for part in batched(rows, _BATCH):
        async with store.writing() as records:
            await records.snapshots.append_rows(
                request.workspace_id, snapshot.id, part, first_position=first
            )
        first += len(part)
    return snapshot.id


async def mark_held_out(job: Job, *, store: Store, at: datetime) -> None:
    """Marks exactly the job's validation rows as held out, for its assistant and method."""
    async with store.reading() as records:
        rows = records.snapshots.rows(job.workspace, job.snapshot, Split.VALIDATION)
        examples = {row.example async for row in rows}
    before = await _held_out_examples(job, store, at)
    changes = {False: before - examples, True: examples - before}
    for held_out, changed in changes.items():
        for part in batched(sorted(changed), _BATCH):
            async with store.writing() as records:
                await records.examples.set_held_out(job.workspace, part, held_out=held_out)


async def _held_out_examples(job: Job, store: Store, at: datetime) -> set[ExampleId]:
    filters = ExampleFilter(assistant=job.assistant, method=job.method, held_out=True)
    examples: set[ExampleId] = set()
    last: ExampleId | None = None
    while True:
        async with store.reading() as records:
            page = await records.examples.list_ids(
                job.workspace, filters, until=at, after=last, limit=_BATCH
            )
        if not page:
            return examples
        examples.update(page)
        last = page[-1]


async def training_lines(
    job: Job, side: Split, profile: HostProfile, *, store: Store
) -> Iterator[bytes]:
    """Returns the JSONL lines of one split, without erased rows."""
    async with store.reading() as records:
        assistant = await records.assistants.get(job.workspace, job.assistant)
        rows = [row async for row in records.snapshots.rows(job.workspace, job.snapshot, side)]
    texts = (row.row for row in rows if row.row is not None)
    plain = (text if profile.takes_weight else _without_weights(text) for text in texts)
    return (training_line(text, assistant.instructions) for text in plain)


def _without_weights(row: Row) -> Row:
    """Removes `weight` for a host without it; rows with weight 0 were refused before."""
    messages = row.get("messages")
    if not isinstance(messages, list):
        return row
    return {**row, "messages": [_without_weight(message) for message in messages]}


def _without_weight(message: object) -> object:
    if not isinstance(message, Mapping):
        return message
    return {name: value for name, value in message.items() if name != "weight"}


async def example_of_failed_row(job: Job, records: Records) -> Example | None:
    """Returns the example of the row named in a failed job's error; None if it names none."""
    number = row_number_in_error(job.error_message or "")
    if job.phase is not Phase.FAILED or number is None:
        return None
    is_held_out = job.error_details.get("param") == "validation_file"
    side = Split.VALIDATION if is_held_out else Split.TRAIN
    remaining = number
    async for row in records.snapshots.rows(job.workspace, job.snapshot, side):
        remaining -= row.row is not None
        if remaining == 0:
            try:
                return await records.examples.get(job.workspace, row.example)
            except NotFound:
                return None
    return None


def row_number_in_error(message: str) -> int | None:
    """Returns the row number, from 1, in a host's error message."""
    match = _ROW_NUMBER.search(message)
    return int(match[1]) if match and int(match[1]) > 0 else None
