"""Datasets as files: import with every refused row named, export as trained or as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from tempfile import TemporaryFile

from bot.batches import BatchSize
from bot.dataset_card import DatasetFacts, card
from bot.domain import (
    AssistantId,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    NewExample,
    Origin,
    Row,
    row_text,
)
from bot.errors import NotNow
from bot.ports.store import Store
from bot.private_text import ANY_PRIVATE_TEXT
from bot.replies import Document, Reply
from bot.request import Request
from bot.rows import Method, Problem, content_text

_FEWEST, _MOST = 200, 4000
_BETWEEN = 200
_MOST_PROBLEMS = 1000
_PAGE = 200
_BLOCK = 1 << 16


@dataclass(slots=True)
class ImportTally:
    """What an import came to."""

    new: int = 0
    known: int = 0
    refused: int = 0
    private: int = 0
    """Examples of the assistant whose private text nobody has decided upon."""
    problems: list[Problem] = field(default_factory=list)

    def add(self, other: ImportTally, file: str) -> None:
        """What one of several files came to."""
        self.new += other.new
        self.known += other.known
        named = [replace(one, details={**one.details, "file": file}) for one in other.problems]
        self.problems += named[: _MOST_PROBLEMS - len(self.problems)]
        self.refused += other.refused
        self.private = max(self.private, other.private)

    def refuse(self, problem: Problem) -> None:
        self.refused += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


async def import_rows(
    rows: Iterable[tuple[int, Row | Problem]],
    *,
    assistant: AssistantId,
    method: Method,
    state: ExampleState,
    request: Request,
    store: Store,
) -> ImportTally:
    """A part of the good rows in each transaction, so that others can write in between.

    What is known already is left alone, so an import that was cut off is made whole by
    doing it again; nothing of a part that was written is lost. No more is held than a part.
    """
    tally, size = ImportTally(), BatchSize(fewest=_FEWEST, most=_MOST)
    async for batch in _batches(rows, tally, size):
        examples = [
            NewExample(assistant, _method(r, method), state, r, Origin.IMPORT, text=row_text(r))
            for r in batch
        ]
        async with size.measure_transaction(store) as records:
            new = await records.examples.add_many(request.workspace_id, examples, at=request.now)
        tally.new += new
        tally.known += len(batch) - new
    await end_import(tally, assistant, request, store)
    return tally


async def end_import(
    tally: ImportTally, assistant: AssistantId, request: Request, store: Store
) -> None:
    """Counts the private text to decide upon, and tells the audit what the import came to."""
    private = ExampleFilter(assistant, undecided_private_text=ANY_PRIVATE_TEXT, only_active=True)
    async with store.reading() as records:
        tally.private = await records.examples.count(request.workspace_id, private)
    async with store.writing() as records:
        await request.audit(
            records, "examples.imported", new=tally.new, known=tally.known, refused=tally.refused
        )


def _method(row: Row, method: Method) -> Method:
    """Preferences may come among chats: where answers are labelled bad."""
    return Method.DPO if "preferred_output" in row else method


async def export_examples(request: Request, *, store: Store) -> Reply:
    """The approved examples, as JSONL that can be trained on, or as CSV."""
    kind = request.text_option("format") or "jsonl"
    method = Method(request.text_option("method") or Method.SUPERVISED)
    async with store.reading() as records:
        count = await records.examples.count_trainable(
            request.workspace_id, request.assistant.id, method
        )
    if not count:
        raise NotNow(problem=request.words("export.nothing"))
    async with store.writing() as records:
        await request.audit(records, "examples.exported", rows=count, format=kind)
    if kind == "dataset":
        name = f"{_safe(request.assistant.name)}-{method}-dataset.zip"
        packed = _packed(request, method, store)
        return Document(name, packed, request.words("export.done", count=count))
    found = _exported(request, method, store)
    lines = (
        csv_lines(found) if kind == "csv" else jsonl_lines(found, request.assistant.instructions)
    )
    name = f"{_safe(request.assistant.name)}-{method}.{kind}"
    return Document(name, lines, request.words("export.done", count=count))


async def _packed(request: Request, method: Method, store: Store) -> AsyncIterator[bytes]:
    """A zip with a dataset card, and a file for each side of the last split."""
    facts = DatasetFacts()
    async for example in _exported(request, method, store):
        facts.add(example, last_question_and_answer(example.row or {})[1])
    async with store.reading() as records:
        workspace = await records.workspaces.find(request.workspace_id) or request.workspace
        attested = await records.audit.of_kind(request.workspace_id, "sources.set", limit=1)
    readme = card(
        facts,
        name=request.assistant.name,
        method=method,
        workspace=workspace,
        attested=attested[0].at if attested else None,
        words=request.words,
    )
    with TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.md", readme)
            for split, is_held_out in (("train", False), ("validation", True)):
                if is_held_out and not facts.held_out:
                    continue
                rows = _exported(request, method, store, held_out=is_held_out)
                with archive.open(f"data/{split}.jsonl", "w", force_zip64=True) as member:
                    async for line in jsonl_lines(rows, request.assistant.instructions):
                        member.write(line)
        file.seek(0)
        while block := file.read(_BLOCK):
            yield block


async def _exported(
    request: Request, method: Method, store: Store, *, held_out: bool | None = None
) -> AsyncIterator[Example]:
    """Page by page, so that a slow reader of the file holds no transaction open."""
    last, filters = ExampleId(0), ExampleFilter(held_out=held_out)
    while True:
        async with store.reading() as records:
            trainable = records.examples.trainable(
                request.workspace_id,
                request.assistant.id,
                method,
                after=last,
                limit=_PAGE,
                filters=filters,
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
    return json.dumps(with_system_message(row, instructions), ensure_ascii=False).encode() + b"\n"


def with_system_message(row: Row, instructions: str) -> Row:
    """The row with the instructions as its system message, unless it has its own."""
    if not instructions.strip():
        return row
    if "input" in row:
        source = row["input"]
        inner = source if isinstance(source, Mapping) else {}
        return {**row, "input": with_system_message(inner, instructions)}
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
        question, answer = last_question_and_answer(example.row or {})
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


def last_question_and_answer(row: Row) -> tuple[str, str]:
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


async def _batches(
    rows: Iterable[tuple[int, Row | Problem]], tally: ImportTally, size: BatchSize
) -> AsyncIterator[list[Row]]:
    """The good rows in parts of the size that is right by then; others have a turn meanwhile."""
    batch: list[Row] = []
    for count, (_, row) in enumerate(rows, start=1):
        if isinstance(row, Problem):
            tally.refuse(row)
        else:
            batch.append(row)
        if len(batch) >= size.rows:
            yield batch
            batch = []
        elif count % _BETWEEN == 0:
            await asyncio.sleep(0)
    if batch:
        yield batch


def _safe(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name) or "assistant"
