"""Datasets as files: import with every refused row named, export as trained or as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

from bot.domain import (
    AssistantId,
    Example,
    ExampleId,
    ExampleState,
    NewExample,
    Origin,
    Role,
    Row,
)
from bot.errors import BadInput, NotNow
from bot.imports import Plan, plan_import, read_import
from bot.ports.store import Records, Store
from bot.ports.surface import CanReadFile, Surface
from bot.replies import Card, Document, Fact, Field, FieldKind, Form, Reply, Tone
from bot.request import Request
from bot.rows import Method, Problem, content_text
from bot.words import Words

_BATCH = 200
_BETWEEN = 50
_PAGE = 200
SHOWN_PROBLEMS = 5
_HEAD = 64 * 1024
_IN_MEMORY = 4 * 1024 * 1024


@dataclass(slots=True)
class Tally:
    """What an import came to."""

    new: int = 0
    known: int = 0
    refused: int = 0
    problems: list[Problem] = field(default_factory=list)

    def refuse(self, problem: Problem) -> None:
        self.refused += 1
        if len(self.problems) < 1000:
            self.problems.append(problem)


async def import_file(
    ask: Request, *, store: Store, surface: Surface, shown: int = SHOWN_PROBLEMS
) -> Reply:
    """A file that came with the command; so many of its refused rows are named.

    A curator's rows count as approved, as the operator's do.
    """
    if ask.attachment is None or not isinstance(surface, CanReadFile):
        raise BadInput(problem=ask.words("import.no_file"))
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as spool:
        async for block in surface.read_file(ask.place, ask.attachment):
            spool.write(block)
        spool.seek(0)
        plan = plan_import(spool.read(_HEAD), ask.attachment.name)
        if isinstance(plan, Problem):
            raise BadInput(problem=ask.words.problem(plan))
        tally = await import_rows(
            read_import(_told_blocks(spool, ask), plan),
            assistant=ask.assistant.id,
            method=plan.method,
            state=_state_for(ask.role),
            ask=ask,
            store=store,
        )
    return _report(ask, ask.attachment.name, plan, tally, shown=shown)


def import_form(words: Words) -> Form:
    """Where a file is handed over, on surfaces whose commands take none."""
    return Form(
        id="import.file",
        title=words("import.form"),
        fields=(Field("file", words("option.file"), FieldKind.FILE),),
        submit=words("import.submit"),
    )


async def import_starter(
    ask: Request, name: str, *, starters: Mapping[str, Sequence[Row]], store: Store
) -> Reply:
    rows = starters.get(name)
    if rows is None:
        known = ", ".join(starters)
        raise BadInput(problem=ask.words("import.no_starter", name=name, starters=known))
    tally = await import_rows(
        enumerate(rows, start=1),
        assistant=ask.assistant.id,
        method=Method.SUPERVISED,
        state=_state_for(ask.role),
        ask=ask,
        store=store,
    )
    return _report(ask, name, None, tally)


async def import_rows(
    rows: Iterable[tuple[int, Row | Problem]],
    *,
    assistant: AssistantId,
    method: Method,
    state: ExampleState,
    ask: Request,
    store: Store,
) -> Tally:
    """A batch of good rows in each transaction, so that others can write in between.

    What is known already is left alone, so an import that was cut off is made whole by
    doing it again; nothing of a batch that was written is lost.
    """
    tally = Tally()
    with tempfile.SpooledTemporaryFile(_IN_MEMORY) as good:
        count = await _put_aside(rows, good, tally)
        for batch in _batches(good):
            ask.tell_progress(count + tally.new + tally.known, 2 * count)
            examples = [NewExample(assistant, method, state, r, Origin.IMPORT) for r in batch]
            async with store.writing() as records:
                new = await records.examples.add_many(ask.id, examples, at=ask.now)
            tally.new += new
            tally.known += len(batch) - new
    async with store.writing() as records:
        await _note_import(records, tally, ask)
    return tally


async def _note_import(records: Records, tally: Tally, ask: Request) -> None:
    await records.audit.add(
        ask.id,
        ask.by,
        "examples.imported",
        at=ask.now,
        new=tally.new,
        known=tally.known,
        refused=tally.refused,
    )


async def export(ask: Request, *, store: Store) -> Reply:
    """The approved examples, as JSONL that can be trained on, or as CSV."""
    kind = ask.text("format") or "jsonl"
    method = Method(ask.text("method") or Method.SUPERVISED)
    async with store.reading() as records:
        count = await records.examples.count_trainable(ask.id, ask.assistant.id, method)
    if not count:
        raise NotNow(problem=ask.words("export.nothing"))
    async with store.writing() as records:
        await records.audit.add(
            ask.id, ask.by, "examples.exported", at=ask.now, rows=count, format=kind
        )
    found = _exported(ask, method, store)
    lines = csv_lines(found) if kind == "csv" else jsonl_lines(found, ask.assistant.instructions)
    name = f"{_safe(ask.assistant.name)}-{method}.{kind}"
    return Document(name, lines, ask.words("export.done", count=count))


async def _exported(ask: Request, method: Method, store: Store) -> AsyncIterator[Example]:
    """Page by page, so that a slow reader of the file holds no transaction open."""
    last = ExampleId(0)
    while True:
        async with store.reading() as records:
            trainable = records.examples.trainable(
                ask.id, ask.assistant.id, method, after=last, limit=_PAGE
            )
            page = [example async for example in trainable]
        if not page:
            return
        for example in page:
            yield example
        last = page[-1].id


async def jsonl_lines(examples: AsyncIterator[Example], instructions: str) -> AsyncIterator[bytes]:
    async for example in examples:
        if example.row is not None:
            yield training_line(example.row, instructions)


def training_line(row: Row, instructions: str) -> bytes:
    """One row as it is sent to a host: led by the assistant's instructions, where it has none."""
    return json.dumps(instructed(row, instructions), ensure_ascii=False).encode() + b"\n"


def instructed(row: Row, instructions: str) -> Row:
    """The row with the instructions as its system message, unless it has its own."""
    if not instructions.strip():
        return row
    if "input" in row:
        source = row["input"]
        inner = source if isinstance(source, Mapping) else {}
        return {**row, "input": instructed(inner, instructions)}
    messages = row.get("messages")
    listed = messages if isinstance(messages, list) else []
    if listed and listed[0].get("role") in ("system", "developer"):
        return row
    return {**row, "messages": [{"role": "system", "content": instructions}, *listed]}


async def csv_lines(examples: AsyncIterator[Example]) -> AsyncIterator[bytes]:
    """Question and answer; a leading = + - @ is quoted, so that no sheet runs it."""
    yield "\ufeff".encode()
    yield csv_line(["id", "question", "answer", "state", "origin", "tags"])
    async for example in examples:
        question, answer = ends(example.row or {})
        yield csv_line(
            [
                str(example.id),
                question,
                answer,
                example.state,
                example.origin,
                " ".join(example.tags),
            ]
        )


def csv_line(cells: Sequence[str]) -> bytes:
    """One line of a table that no sheet takes for a formula."""
    line = io.StringIO()
    csv.writer(line).writerow([_unformula(cell) for cell in cells])
    return line.getvalue().encode()


def _unformula(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def ends(row: Row) -> tuple[str, str]:
    """The last question of a row, and the answer that is taught."""
    if "input" in row:
        source = row["input"]
        messages = source.get("messages", []) if isinstance(source, Mapping) else []
        answers = row.get("preferred_output")
    else:
        messages = answers = row.get("messages", [])
    return _last(messages, "user"), _last(answers, "assistant")


def _last(messages: object, role: str) -> str:
    listed = messages if isinstance(messages, list) else []
    texts = [m.get("content") for m in listed if isinstance(m, Mapping) and m.get("role") == role]
    return content_text(texts[-1]) if texts else ""


def _told_blocks(file: IO[bytes], ask: Request) -> Iterator[bytes]:
    """The file block by block, and how much of it was checked already."""
    total, done = file.seek(0, io.SEEK_END), 0
    file.seek(0)
    while block := file.read(_HEAD):
        # Writing them down is the other half.
        ask.tell_progress(done, 2 * total)
        yield block
        done += len(block)


async def _put_aside(
    rows: Iterable[tuple[int, Row | Problem]], good: IO[bytes], tally: Tally
) -> int:
    """The good rows, one a line, and how many; others have a turn now and then."""
    kept = 0
    for count, (_, row) in enumerate(rows, start=1):
        if isinstance(row, Problem):
            tally.refuse(row)
        else:
            good.write(json.dumps(row).encode() + b"\n")
            kept += 1
        if count % _BETWEEN == 0:
            await asyncio.sleep(0)
    return kept


def _batches(good: IO[bytes]) -> Iterator[list[Row]]:
    good.seek(0)
    while lines := list(islice(good, _BATCH)):
        yield [json.loads(line) for line in lines]


def _report(
    ask: Request, name: str, plan: Plan | None, tally: Tally, *, shown: int = SHOWN_PROBLEMS
) -> Card:
    words = ask.words
    facts = [
        Fact(words("import.new"), str(tally.new)),
        Fact(words("import.known"), str(tally.known)),
        Fact(words("import.refused"), str(tally.refused)),
    ]
    return Card(
        title=words("import.title", name=name),
        lines=(
            *(column_lines(plan, words) if plan else ()),
            *refusal_lines(tally, words, shown=shown),
        ),
        facts=tuple(facts),
        tone=Tone.GOOD if tally.new or tally.known else Tone.BAD,
    )


def column_lines(plan: Plan, words: Words) -> tuple[str, ...]:
    """Which columns were taken for what, where there are columns."""
    if not plan.columns:
        return ()
    columns = ", ".join(f"{ours} ← {theirs}" for ours, theirs in plan.columns.items())
    return (f"{words('import.columns')}: {columns}",)


def refusal_lines(tally: Tally, words: Words, *, shown: int = SHOWN_PROBLEMS) -> tuple[str, ...]:
    """The first refused rows with their reasons, and how many more there are."""
    lines = [words.problem(problem) for problem in tally.problems[:shown]]
    if tally.refused > len(lines):
        lines.append(words("import.more", count=tally.refused - len(lines)))
    return tuple(lines)


def _state_for(role: Role) -> ExampleState:
    return ExampleState.APPROVED if role >= Role.CURATOR else ExampleState.PROPOSED


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name) or "assistant"
