"""What was added, removed and changed between the rows of two trainings, or since one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bot.commands import JOB, Handlers, Option, OptionKind
from bot.datasets import last_question_and_answer
from bot.domain import ExampleId, Job, Role
from bot.errors import NotFound, NotNow
from bot.examples.states import is_hidden
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Listing, ListingRow, Reply, Tone, one_line
from bot.request import Request
from bot.tuning import notices

handlers = Handlers()

_SHOWN, _LONGEST = 50, 120
_TONES = {"added": Tone.GOOD, "removed": Tone.BAD, "changed": Tone.BUSY}

Revisions = Mapping[ExampleId, int]


@dataclass(frozen=True, slots=True)
class Changes:
    """Numbers of examples; of a changed one the revision differs."""

    added: tuple[ExampleId, ...]
    removed: tuple[ExampleId, ...]
    changed: tuple[ExampleId, ...]

    @classmethod
    def between(cls, before: Revisions, after: Revisions) -> Changes:
        return cls(
            tuple(sorted(after.keys() - before.keys())),
            tuple(sorted(before.keys() - after.keys())),
            tuple(sorted(n for n in before.keys() & after.keys() if before[n] != after[n])),
        )


@handlers.command(
    "assistant data",
    Role.CURATOR,
    JOB,
    Option("since", OptionKind.JOB),
)
async def show_data_changes(request: Request, deps: Dependencies) -> Reply:
    """From the last training until now; from `job` until now; or from `since` to `job`."""
    async with deps.store.reading() as records:
        named, since = request.text_option("job"), request.text_option("since")
        newer = await _job(request, named, records) if named and since else None
        older = await _job(request, since or named, records)
        return await _listing(request, older, newer, records)


@handlers.button("job.changes", Role.CURATOR)
async def since_training(request: Request, deps: Dependencies) -> Reply:
    """What this training learned from beside the one before it."""
    async with deps.store.reading() as records:
        job = await notices.named_job(request, records)
        before = await records.jobs.page(
            request.workspace_id, assistant=job.assistant, before=job.id
        )
        earlier = next((one for one in before if one.method is job.method), None)
        if earlier is None:
            raise NotNow(problem=request.words("data.first", id=job.id))
        return await _listing(request, earlier, job, records)


async def _job(request: Request, said: str | None, records: Records) -> Job:
    if said is not None:
        return await records.jobs.get(request.workspace_id, notices.job_id(said))
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
    found, words = Changes.between(before, after), request.words
    kinds = {"added": found.added, "removed": found.removed, "changed": found.changed}
    numbers = [(kind, number) for kind, them in kinds.items() for number in them][:_SHOWN]
    lines = [await _line(request, kind, number, records) for kind, number in numbers]
    counts = {kind: len(them) for kind, them in kinds.items()}
    until = words("data.now") if newer is None else words("data.training", id=newer.id)
    more = sum(counts.values()) - len(lines)
    return Listing(
        words("data.title", before=words("data.training", id=older.id), after=until),
        tuple(lines),
        empty=words("data.same"),
        note=" ".join(
            [words("data.counts", **counts), *([words("data.more", count=more)] if more else [])]
        ),
        private=True,
    )


async def _line(request: Request, kind: str, number: ExampleId, records: Records) -> ListingRow:
    """The text as it is today, where it may be read here."""
    words = request.words
    text = words("row.erased")
    try:
        example = await records.examples.get(request.workspace_id, number)
    except NotFound:
        example = None
    if example is not None and example.row is not None:
        if is_hidden(request, example):
            text = words("data.elsewhere")
        else:
            text = " → ".join(
                one_line(one, _LONGEST) for one in last_question_and_answer(example.row)
            )
    return ListingRow(str(number), text, words(f"data.{kind}"), tone=_TONES[kind])
