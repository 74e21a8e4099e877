"""Datasets as files: imports rows, exports approved examples as JSONL, CSV or a zip."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import zipfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from tempfile import TemporaryFile
from time import perf_counter, sleep

from bot.database_batches import BatchSize
from bot.dataset_card import DatasetFacts, render_dataset_card
from bot.domain import (
    AssistantId,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleState,
    NewExample,
    Origin,
    Row,
    to_row_text,
)
from bot.errors import NotNow
from bot.ports.cancellation import shielded
from bot.ports.store import Store
from bot.private_text import ANY_PRIVATE_TEXT, mask_row
from bot.replies import Document, Reply
from bot.request import Request
from bot.rows import Method, Problem, content_text

_MIN_BATCH, _MAX_BATCH = 200, 4000
_SECONDS_BETWEEN_PAUSES, _PAUSE_SECONDS = 0.002, 0.0001
_MAX_PROBLEMS = 1000
_PAGE = 200
_BLOCK = 1 << 16


@dataclass(slots=True)
class ImportTally:
    """Counts and problems of an import."""

    new: int = 0
    known: int = 0
    refused: int = 0
    private: int = 0
    """Number of the assistant's examples with private text that nobody has decided upon."""
    problems: list[Problem] = field(default_factory=list)

    def add_tally_of_file(self, other: ImportTally, file: str) -> None:
        """Adds the tally of one of several files."""
        self.new += other.new
        self.known += other.known
        named = [problem.in_file_part(file) for problem in other.problems]
        self.problems += named[: _MAX_PROBLEMS - len(self.problems)]
        self.refused += other.refused
        self.private = max(self.private, other.private)

    def count_refused_row(self, problem: Problem) -> None:
        """Counts a refused row; keeps the first 1000 problems."""
        self.refused += 1
        if len(self.problems) < _MAX_PROBLEMS:
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
    """Stores the good rows in batches and counts the refused ones.

    `rows` is read in worker threads, so that the event loop is not blocked. Each batch is a
    transaction of its own, and only one batch is in memory. Rows that are stored already are
    skipped, so an interrupted import can be repeated.
    """
    tally, remaining = ImportTally(), iter(rows)
    size = BatchSize(fewest=_MIN_BATCH, most=_MAX_BATCH)
    template = NewExample(assistant, method, state, None, Origin.IMPORT)
    is_masked = request.workspace.must_mask
    while True:
        read = partial(_read_batch, remaining, size.rows, template, is_masked=is_masked)
        # Finished if cancelled: the caller closes the file that the thread reads.
        examples, problems = await shielded(asyncio.to_thread(read))
        if not examples and not problems:
            break
        for problem in problems:
            tally.count_refused_row(problem)
        async with size.measure_transaction(store) as records:
            new = await records.examples.add_many(request.workspace_id, examples, at=request.now)
        tally.new += new
        tally.known += len(examples) - new
    await end_import(tally, assistant, request, store)
    return tally


async def end_import(
    tally: ImportTally, assistant: AssistantId, request: Request, store: Store
) -> None:
    """Counts the undecided private text and writes the tally to the audit log."""
    private = ExampleFilter(assistant, undecided_private_text=ANY_PRIVATE_TEXT, only_active=True)
    async with store.reading() as records:
        tally.private = await records.examples.count(request.workspace_id, private)
    async with store.writing() as records:
        await request.audit(
            records, "examples.imported", new=tally.new, known=tally.known, refused=tally.refused
        )


def _read_batch(
    rows: Iterator[tuple[int, Row | Problem]], count: int, template: NewExample, *, is_masked: bool
) -> tuple[list[NewExample], list[Problem]]:
    """Returns the examples and the problems of the next rows; both are empty at the end.

    The thread pauses often, because the event loop waits 5 ms for a thread that computes, and a
    write needs the event loop several times.
    """
    examples: list[NewExample] = []
    problems: list[Problem] = []
    paused_at = perf_counter()
    for _, row in islice(rows, count):
        if isinstance(row, Problem):
            problems.append(row)
        else:
            examples.append(_new_example(row, template, is_masked=is_masked))
        if perf_counter() - paused_at > _SECONDS_BETWEEN_PAUSES:
            sleep(_PAUSE_SECONDS)
            paused_at = perf_counter()
    return examples, problems


def _new_example(row: Row, template: NewExample, *, is_masked: bool) -> NewExample:
    """Returns an example; rows with two answers are preferences, whatever the import."""
    text = to_row_text(row)
    if is_masked and text.private:
        row = mask_row(row)
        text = to_row_text(row)
    method = Method.DPO if "preferred_output" in row else template.method
    return replace(template, row=row, text=text, method=method)


async def export_examples(request: Request, *, store: Store) -> Reply:
    """Returns the approved examples as JSONL for training, as CSV or as a zip with a card."""
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
        name = f"{_safe_file_name(request.assistant.name)}-{method}-dataset.zip"
        blocks = _zip_blocks(request, method, store)
        return Document(name, blocks, request.words("export.done", count=count))
    examples = _exported(request, method, store)
    lines = (
        csv_lines(examples)
        if kind == "csv"
        else jsonl_lines(examples, request.assistant.instructions)
    )
    name = f"{_safe_file_name(request.assistant.name)}-{method}.{kind}"
    return Document(name, lines, request.words("export.done", count=count))


async def _zip_blocks(request: Request, method: Method, store: Store) -> AsyncIterator[bytes]:
    """Yields a zip with a dataset card and a file for each side of the last split."""
    facts = DatasetFacts()
    async for example in _exported(request, method, store):
        facts.count_example(example, last_question_and_answer(example.row or {})[1])
    async with store.reading() as records:
        workspace = await records.workspaces.find(request.workspace_id) or request.workspace
        attested = await records.audit.of_kind(request.workspace_id, "sources.set", limit=1)
    readme = render_dataset_card(
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
    """Yields the trainable examples; reads a page a transaction, as the download may be slow."""
    last, filters = ExampleId(0), ExampleFilter(held_out=held_out)
    while True:
        async with store.reading() as records:
            trainable = records.examples.iterate_trainable(
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
    """Returns the JSONL line of a row as a host gets it, with the assistant's instructions."""
    return json.dumps(with_system_message(row, instructions), ensure_ascii=False).encode() + b"\n"


def with_system_message(row: Row, instructions: str) -> Row:
    """Returns the row with the instructions as its system message, unless it has one."""
    if not instructions.strip():
        return row
    if "input" in row:
        source = row["input"]
        inner = source if isinstance(source, Mapping) else {}
        return {**row, "input": with_system_message(inner, instructions)}
    messages = row.get("messages")
    message_list = messages if isinstance(messages, list) else []
    if message_list and message_list[0].get("role") in ("system", "developer"):
        return row
    return {**row, "messages": [{"role": "system", "content": instructions}, *message_list]}


async def csv_lines(examples: AsyncIterator[Example]) -> AsyncIterator[bytes]:
    """Yields the lines of a CSV file with questions and answers, after a byte order mark."""
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
    """Returns a CSV line; cells that a spreadsheet would run as a formula begin with a quote."""
    line = io.StringIO()
    csv.writer(line).writerow([_quote_formula(cell) for cell in cells])
    return line.getvalue().encode()


def _quote_formula(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def last_question_and_answer(row: Row) -> tuple[str, str]:
    """Returns the last question of a row and its answer, which is the preferred one of two."""
    if "input" in row:
        source = row["input"]
        messages = source.get("messages", []) if isinstance(source, Mapping) else []
        answers = row.get("preferred_output")
    else:
        messages = answers = row.get("messages", [])
    return _last_text(messages, "user"), _last_text(answers, "assistant")


def _last_text(messages: object, role: str) -> str:
    message_list = messages if isinstance(messages, list) else []
    texts = [
        m.get("content") for m in message_list if isinstance(m, Mapping) and m.get("role") == role
    ]
    return content_text(texts[-1]) if texts else ""


def _safe_file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in name) or "assistant"
