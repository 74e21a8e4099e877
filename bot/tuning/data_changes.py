"""Lists examples added, removed and changed between two trainings, or since one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.commands import JOB_OPTION, Handlers, Option, OptionKind
from bot.domain import ExampleId, Job, Role
from bot.errors import NotFound, NotNow
from bot.example_files import last_question_and_answer
from bot.examples.state_changes import is_hidden_example
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Listing, ListingRow, Reply, Tone, one_line
from bot.request import Request
from bot.tuning import notices

handlers = Handlers()

_MAX_SHOWN, _MAX_TEXT_LENGTH = 50, 120
_TONES = {"added": Tone.GOOD, "removed": Tone.BAD, "changed": Tone.BUSY}

RevisionsByExample = Mapping[ExampleId, int]


@dataclass(frozen=True, slots=True)
class DataChanges:
    """Ids of examples by kind of change; changed examples have another revision."""

    added: tuple[ExampleId, ...]
    removed: tuple[ExampleId, ...]
    changed: tuple[ExampleId, ...]

    @classmethod
    def between(cls, before: RevisionsByExample, after: RevisionsByExample) -> DataChanges:
        return cls(
            tuple(sorted(after.keys() - before.keys())),
            tuple(sorted(before.keys() - after.keys())),
            tuple(sorted(n for n in before.keys() & after.keys() if before[n] != after[n])),
        )


@handlers.command(
    "assistant data",
    Role.CURATOR,
    JOB_OPTION,
    Option("since", OptionKind.JOB),
)
async def show_data_changes(request: Request, deps: Dependencies) -> Reply:
    """Lists changes from the last training, or `job`, until now; with `since`, until `job`."""
    async with deps.store.reading() as records:
        job, since = request.text_option("job"), request.text_option("since")
        newer = await _job(request, job, records) if job and since else None
        older = await _job(request, since or job, records)
        return await _listing(request, older, newer, records)


@handlers.button("job.changes", Role.CURATOR)
async def show_data_changes_of_training(request: Request, deps: Dependencies) -> Reply:
    """Lists changes from the training before this one, of the same method, to this one."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
        before = await records.jobs.page(
            request.workspace_id, assistant=job.assistant, before=job.id
        )
        earlier = next((candidate for candidate in before if candidate.method is job.method), None)
        if earlier is None:
            raise NotNow(problem=request.words("data.first", id=job.id))
        return await _listing(request, earlier, job, records)


async def _job(request: Request, number: str | None, records: Records) -> Job:
    if number is not None:
        return await records.jobs.get(request.workspace_id, notices.parse_job_id(number))
    page = await records.jobs.page(request.workspace_id, assistant=request.assistant.id, limit=1)
    if not page:
        raise NotNow(problem=request.words("data.no_training"))
    return page[0]


async def _listing(request: Request, older: Job, newer: Job | None, records: Records) -> Listing:
    before = await records.snapshots.revisions(request.workspace_id, older.snapshot)
    if newer is None:
        after = await records.examples.trainable_revisions(
            request.workspace_id, older.assistant, older.method
        )
    else:
        after = await records.snapshots.revisions(request.workspace_id, newer.snapshot)
    changes, words = DataChanges.between(before, after), request.words
    kinds = {"added": changes.added, "removed": changes.removed, "changed": changes.changed}
    numbers = [(kind, number) for kind, ids in kinds.items() for number in ids][:_MAX_SHOWN]
    lines = [await _line(request, kind, number, records) for kind, number in numbers]
    counts = {kind: len(ids) for kind, ids in kinds.items()}
    until = words("data.now") if newer is None else words("data.training", id=newer.id)
    more_count = sum(counts.values()) - len(lines)
    return Listing(
        words("data.title", before=words("data.training", id=older.id), after=until),
        tuple(lines),
        empty=words("data.same"),
        note=" ".join(
            [
                words("data.counts", **counts),
                *([words("data.more", count=more_count)] if more_count else []),
            ]
        ),
        private=True,
    )


async def _line(request: Request, kind: str, number: ExampleId, records: Records) -> ListingRow:
    """Renders one example with its current text, if the text may be shown in this channel."""
    words = request.words
    text = words("row.erased")
    try:
        example = await records.examples.get(request.workspace_id, number)
    except NotFound:
        example = None
    if example is not None and example.row is not None:
        if is_hidden_example(request, example):
            text = words("data.elsewhere")
        else:
            text = " → ".join(
                one_line(text_part, _MAX_TEXT_LENGTH)
                for text_part in last_question_and_answer(example.row)
            )
    return ListingRow(str(number), text, words(f"data.{kind}"), tone=_TONES[kind])
