"""Imports of files: stores a file, shows a preview, and imports it once a person confirms."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import IO, Final

from bot.chat_export_import import ChatExportImport
from bot.chat_exports import open_chat_export
from bot.commands import Handlers, Option, OptionKind
from bot.domain import AssistantId, ExampleState, Role, Row, WorkspaceId
from bot.errors import BadInput, NotNow
from bot.example_files import ImportTally, import_rows, last_question_and_answer
from bot.import_plan_lines import import_plan_lines
from bot.imports import (
    ImportOptions,
    ImportPlan,
    Layout,
    UnknownColumns,
    plan_import,
    read_import,
    row_files,
    unpack,
)
from bot.ports.dependencies import Dependencies, Surfaces
from bot.ports.import_files import PendingImport
from bot.ports.store import Store
from bot.ports.surface import CanReadFile
from bot.replies import Button, Card, Fact, Field, FieldKind, Form, Reply, Tone, one_line
from bot.request import Request
from bot.rows import Method, Problem
from bot.words import Words

handlers = Handlers()

MAX_SHOWN_PROBLEMS, SHOWN_ON_PAGE = 5, 500
_PREVIEW_ROWS, _MAX_ROWS_READ = 3, 200
_MAX_TEXT_LENGTH = 240
_ROWS_BETWEEN_REPORTS = 200
_MAX_CHOICES, _MAX_CHOICE_LENGTH = 24, 75
_PURPOSES: Final = (
    *("question", "answer", "system", "context", "history", "preferred", "rejected", "label"),
    *("messages", "ticket", "role", "text", "time", "private", "kind", "author", "state"),
)
_NONE = "-"


@handlers.command(
    "import",
    Role.CURATOR,
    Option("starter", excludes_others=True),
    Option("file", OptionKind.FILE, takes_rest=True),
    Option.text("columns"),
    Option.text("encoding"),
    Option.yes_no("yes"),
    opens_form=True,
)
@handlers.form("import.file", Role.CURATOR)
async def import_file(request: Request, deps: Dependencies) -> Reply:
    """Previews or imports the attached file, imports a starter set, or asks for a file.

    The file is imported without a preview if its columns are given or with `yes:yes`. Rows are
    stored as approved for a curator.
    """
    starter, is_local = request.text_option("starter"), request.workspace.platform == "local"
    if starter and request.attachment is not None:
        raise BadInput(problem=request.words("option.not_both", one="starter", other="file"))
    if starter:
        return await import_starter(replace(request, argument=starter), deps)
    if request.attachment is None and not is_local:
        return _file_form(request.words)
    pending = await _store_attachment(request, deps)
    is_confirmed = request.text_option("columns") or request.text_option("file") == "yes"
    if is_confirmed or request.yes_no_option("yes", default=False):
        return await _import(request, deps, pending)
    return await _preview(request, deps, pending)


@handlers.form("import", Role.CURATOR, is_for_pages=True)
async def preview_studio_import(request: Request, deps: Dependencies) -> Reply:
    """Previews the file of the studio's import dialog."""
    return await _preview(request, deps, await _store_attachment(request, deps))


@handlers.button("starter", Role.CURATOR, is_for_pages=True)
async def import_starter(request: Request, deps: Dependencies) -> Reply:
    """Imports a starter set of rows. Raises BadInput for an unknown name."""
    name = request.argument
    rows = deps.starters.get(name)
    if rows is None:
        names = ", ".join(deps.starters)
        raise BadInput(problem=request.words("import.no_starter", name=name, starters=names))
    tally = await import_rows(
        enumerate(rows, start=1),
        assistant=request.assistant.id,
        method=Method.SUPERVISED,
        state=_state_for(request.role),
        request=request,
        store=deps.store,
    )
    return _report(request, name, (), tally)


@handlers.button("import.go", Role.CURATOR)
async def import_previewed(request: Request, deps: Dependencies) -> Reply:
    """Imports the file of a preview with the settings that the preview has shown."""
    report = await _import(request, deps, await _pending(request, deps))
    return replace(report, replaces=True)


@handlers.button("import.drop", Role.CURATOR)
async def cancel_import(request: Request, deps: Dependencies) -> Reply:
    pending = await _pending(request, deps)
    await deps.imports.delete_file(pending.key)
    return Card(request.words("import.cancelled", name=pending.name), replaces=True)


@handlers.button("import.change", Role.CURATOR, opens_form=True)
async def choose_columns(request: Request, deps: Dependencies) -> Reply:
    """Opens a form to choose a column of the file for each purpose, and the encoding."""
    pending = await _pending(request, deps)
    return _columns_form(await _plan_of(pending, deps, request.words), pending, request.words)


@handlers.form("import.columns", Role.CURATOR)
async def save_chosen_columns(request: Request, deps: Dependencies) -> Reply:
    """Previews the file anew; purposes that the form had no room for keep their columns."""
    pending = await _pending(request, deps)
    plan = await _plan_of(pending, deps, request.words)
    shown = {field.name for field in _columns_form(plan, pending, request.words).fields}
    before = {} if isinstance(plan, UnknownColumns) else plan.columns
    kept = {purpose: name for purpose, name in before.items() if purpose not in shown}
    values = {name: request.text_option(name) for name in _PURPOSES}
    columns = {name: text for name, text in values.items() if text and text != _NONE}
    encoding = request.text_option("encoding") or pending.encoding
    chosen = columns | kept if columns else dict(pending.columns)
    changed = replace(pending, columns=chosen, encoding=encoding)
    await deps.imports.update_choices(changed)
    return await _preview(request, deps, changed)


async def _plan_of(
    pending: PendingImport, deps: Dependencies, words: Words
) -> ImportPlan | UnknownColumns:
    """Returns the plan of a stored file, or of the first file in a zip. Raises BadInput."""
    with await deps.imports.open_file(pending.key) as file:
        options = ImportOptions(pending.columns, pending.encoding)
        first = next(iter(await asyncio.to_thread(row_files, file)), "")
        plan_first = partial(_open_and_plan, file, pending.name, words, options, first)
        rows, plan = await asyncio.to_thread(plan_first)
        rows.close()
    return plan


async def _store_attachment(request: Request, deps: Dependencies) -> PendingImport:
    """Stores the attachment under a key that is the same if the event is handled again."""
    file = request.attachment
    # The operator can import a file of the studio into any workspace.
    surface = deps.surfaces.surface_of(
        WorkspaceId(file.platform) if file and file.platform else request.workspace_id
    )
    if file is None or not isinstance(surface, CanReadFile):
        raise BadInput(problem=request.words("import.no_file"))
    pending = PendingImport(
        key=hashlib.sha256(request.event.key.encode()).hexdigest()[:32],
        workspace=request.workspace_id,
        assistant=request.assistant.id,
        by=request.user_id,
        name=file.name,
        columns=parse_columns_option(request.text_option("columns") or "", request.words),
        encoding=request.text_option("encoding") or "",
    )
    await deps.imports.store_file(pending, surface.read_file(request.place, file))
    return pending


def parse_columns_option(text: str, words: Words) -> dict[str, str]:
    """Returns the headings by purpose of `question=Subject,answer=Reply`. Raises BadInput."""
    columns: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        purpose, _, heading = (part.strip() for part in pair.partition("="))
        if purpose not in _PURPOSES or not heading:
            purposes = ", ".join(_PURPOSES)
            raise BadInput(problem=words("import.columns_said", pair=pair, known=purposes))
        columns[purpose] = heading
    return columns


async def _pending(request: Request, deps: Dependencies) -> PendingImport:
    """Returns the import that a button or form names. Raises NotNow if it was deleted."""
    key = request.argument
    pending = await deps.imports.find_pending(request.workspace_id, key) if key.isalnum() else None
    if pending is None:
        raise NotNow(problem=request.words("import.gone"))
    return pending


def open_and_plan_import(
    file: IO[bytes],
    name: str,
    words: Words,
    options: ImportOptions | None = None,
    member: str = "",
) -> tuple[IO[bytes], ImportPlan]:
    """Returns the unpacked file, which the caller closes, and the plan to read it.

    `member` is a file of a zip. Raises BadInput.
    """
    rows, plan = _open_and_plan(file, name, words, options, member)
    if isinstance(plan, UnknownColumns):
        rows.close()
        raise BadInput(problem=words.problem_text(plan.in_file_part(member)))
    return rows, plan


def row_files_in_zip(
    file: IO[bytes], name: str, words: Words, options: ImportOptions | None
) -> tuple[str, ...]:
    """Returns the names of the row files in a zip with several, or one "" for any other file.

    Raises BadInput for the first row file that cannot be read, before anything is imported.
    """
    members = row_files(file)
    for member in members:
        open_and_plan_import(file, name, words, options, member)[0].close()
    return members or ("",)


def _open_and_plan(
    file: IO[bytes], name: str, words: Words, options: ImportOptions | None, member: str = ""
) -> tuple[IO[bytes], ImportPlan | UnknownColumns]:
    """Returns the unpacked file and its plan, or its columns if their purposes are unknown.

    Raises BadInput for any other problem.
    """
    unpacked = unpack(file, name, member)
    if isinstance(unpacked, Problem):
        raise BadInput(problem=words.problem_text(unpacked.in_file_part(member)))
    plan = plan_import(*unpacked, options)
    if isinstance(plan, Problem) and not isinstance(plan, UnknownColumns):
        unpacked[0].close()
        raise BadInput(problem=words.problem_text(plan.in_file_part(member)))
    return unpacked[0], plan


async def _import(request: Request, deps: Dependencies, pending: PendingImport) -> Card:
    """Imports the stored file, and deletes it once all its rows are stored."""
    options = ImportOptions(pending.columns, pending.encoding)
    with await deps.imports.open_file(pending.key) as file:
        chats = await read_chat_export_import(file, request, deps.store, deps.surfaces)
        if chats is not None:
            tally = await chats.store_proposals(store=deps.store)
            await deps.imports.delete_file(pending.key)
            return chat_export_report(request, pending.name, chats, tally)
        lines, tally = await import_row_files(
            file, pending.name, options, request, deps.store, assistant=pending.assistant
        )
    await deps.imports.delete_file(pending.key)
    shown = SHOWN_ON_PAGE if request.is_page else MAX_SHOWN_PROBLEMS
    return _report(request, pending.name, lines, tally, shown=shown)


async def import_row_files(
    file: IO[bytes],
    name: str,
    options: ImportOptions,
    request: Request,
    store: Store,
    *,
    assistant: AssistantId,
) -> tuple[tuple[str, ...], ImportTally]:
    """Imports a file, or each row file of a zip; returns lines about the reading, and the tally.

    Raises BadInput.
    """
    words, total, report = request.words, ImportTally(), request.progress_of_thread()
    members = await asyncio.to_thread(row_files_in_zip, file, name, words, options)
    lines: list[str] = []
    for number, member in enumerate(members):
        rows, plan = await asyncio.to_thread(
            open_and_plan_import, file, name, words, options, member
        )
        with rows:
            tally = await import_rows(
                _rows_with_progress(rows, plan, report, share=(number, len(members))),
                assistant=assistant,
                method=plan.method,
                state=_state_for(request.role),
                request=request,
                store=store,
            )
        total.add_tally_of_file(tally, member)
        lines += _with_member_name(import_plan_lines(plan, words), member)
    return tuple(lines), total


def _with_member_name(lines: Iterable[str], member: str) -> Iterator[str]:
    return (f"{member}: {line}" if member else line for line in lines)


async def _preview(request: Request, deps: Dependencies, pending: PendingImport) -> Card:
    try:
        with await deps.imports.open_file(pending.key) as file:
            chats = await read_chat_export_import(file, request, deps.store, deps.surfaces)
            if chats is not None:
                await chats.build_overview()
                return _chats_preview(pending, chats, request.words)
            return await asyncio.to_thread(_preview_card, file, pending, request.words)
    except (BadInput, NotNow):
        if not pending.columns:
            await deps.imports.delete_file(pending.key)
        raise


async def read_chat_export_import(
    file: IO[bytes], request: Request, store: Store, surfaces: Surfaces | None
) -> ChatExportImport | None:
    """Returns the import of a chat export, or None if the file is none.

    Raises BadInput for a faulty export, and NotNow if the workspace may not learn from messages.
    """
    export = await asyncio.to_thread(open_chat_export, file)
    if isinstance(export, Problem):
        raise BadInput(problem=request.words.problem_text(export))
    if export is None:
        return None
    chats = ChatExportImport(export, request)
    await chats.read_consents_and_channel_kinds(store=store, surfaces=surfaces)
    return chats


def _chats_preview(pending: PendingImport, chats: ChatExportImport, words: Words) -> Card:
    go = Button(words("import.submit"), f"import.go:{pending.key}", is_primary=True)
    cancel = Button(words("button.cancel"), f"import.drop:{pending.key}")
    has_any = chats.overview.exchanges > 0
    return Card(
        title=words("chats.preview", name=pending.name),
        lines=tuple(chats.preview_lines()),
        facts=chat_export_facts(chats, words),
        buttons=(go, cancel) if has_any else (cancel,),
        tone=Tone.PLAIN if has_any else Tone.BAD,
    )


def chat_export_facts(chats: ChatExportImport, words: Words) -> tuple[Fact, ...]:
    """Returns the numbers of exchanges, authors and channels of an export."""
    overview = chats.overview
    return (
        Fact(words("chats.exchanges"), str(overview.exchanges)),
        Fact(words("chats.people"), str(len(overview.authors))),
        Fact(words("chats.channels"), str(len(overview.channels))),
    )


def chat_export_report(
    request: Request, name: str, chats: ChatExportImport, tally: ImportTally
) -> Card:
    """Returns the report of an imported chat export: its proposals and whose consent they need."""
    words = request.words
    return Card(
        title=words("import.title", name=name),
        lines=(*chats.preview_lines(), *_private_lines(tally, words)),
        facts=(
            Fact(words("chats.proposed"), str(tally.new)),
            Fact(words("import.known"), str(tally.known)),
            *chat_export_facts(chats, words)[1:],
        ),
        tone=Tone.GOOD if tally.new or tally.known else Tone.BAD,
    )


def _preview_card(file: IO[bytes], pending: PendingImport, words: Words) -> Card:
    key = pending.key
    change = Button(words("import.change"), f"import.change:{key}")
    cancel = Button(words("button.cancel"), f"import.drop:{key}")
    title = words("import.preview", name=pending.name)
    options = ImportOptions(pending.columns, pending.encoding)
    preview = preview_file(file, pending.name, words, options)
    if isinstance(preview, UnknownColumns):
        return Card(title, (words.problem_text(preview),), buttons=(change, cancel), tone=Tone.BAD)
    go = Button(words("import.submit"), f"import.go:{key}", is_primary=True)
    plan = preview.plan
    buttons = (go, change, cancel) if plan.headings or plan.encodings else (go, cancel)
    return Card(
        title=title,
        lines=preview.lines,
        buttons=buttons if preview.has_rows else (change, cancel) if plan.headings else (cancel,),
        tone=Tone.PLAIN if preview.has_rows else Tone.BAD,
    )


@dataclass(frozen=True, slots=True)
class Preview:
    """What an import would learn: the first rows, and how the file is read; `plan` is the first."""

    lines: tuple[str, ...]
    plan: ImportPlan
    has_rows: bool
    is_sure: bool


def preview_file(
    file: IO[bytes],
    name: str,
    words: Words,
    options: ImportOptions,
    *,
    for_scripts: bool = False,
) -> Preview | UnknownColumns:
    """Returns the preview of a row file, or of a zip of them. Raises BadInput."""
    first, *others = row_files(file) or ("",)
    rows, plan = _open_and_plan(file, name, words, options, first)
    if isinstance(plan, UnknownColumns):
        rows.close()
        return replace(plan, details=plan.in_file_part(first).details)
    good, refused = _first_rows(rows, plan)
    _close(rows, file)
    lines = [f"{n}. {_row_line(row)}" for n, row in enumerate(good, 1)]
    if refused:
        lines.append(
            f"{words('import.refused')}: {words.problem_text(refused[0].in_file_part(first))}"
        )
    lines += _with_member_name(import_plan_lines(plan, words, for_scripts=for_scripts), first)
    is_sure = plan.is_sure
    for member in others:
        other, other_plan = open_and_plan_import(file, name, words, options, member)
        _close(other, file)
        read = import_plan_lines(other_plan, words, for_scripts=for_scripts)
        lines += _with_member_name(read or (words("import.as_it_is"),), member)
        is_sure = is_sure and other_plan.is_sure
    return Preview(tuple(lines), plan, bool(good), is_sure)


def _close(rows: IO[bytes], file: IO[bytes]) -> None:
    if rows is not file:
        rows.close()


def _first_rows(file: IO[bytes], plan: ImportPlan) -> tuple[list[Row], list[Problem]]:
    """Returns the first good rows, and the refused rows before the last of them."""
    good: list[Row] = []
    refused: list[Problem] = []
    for _, row in islice(read_import(file, plan), _MAX_ROWS_READ):
        if isinstance(row, Problem):
            refused.append(row)
        else:
            good.append(row)
        if len(good) == _PREVIEW_ROWS:
            break
    return good, refused


def _row_line(row: Row) -> str:
    """Returns a row on one line: the number of earlier messages, the last question, the answer."""
    question, answer = (one_line(text, _MAX_TEXT_LENGTH) for text in last_question_and_answer(row))
    messages = row.get("messages")
    earlier = len(messages) - 2 if isinstance(messages, list) else 0
    return f"{f'(+{earlier}) ' if earlier > 0 else ''}{question} → {answer}"


def _columns_form(plan: ImportPlan | UnknownColumns, pending: PendingImport, words: Words) -> Form:
    columns: Mapping[str, str] = {} if isinstance(plan, UnknownColumns) else plan.columns
    purposes = list(columns) or ["question", "answer"]
    if isinstance(plan, UnknownColumns) or plan.layout is Layout.COLUMNS:
        purposes += [p for p in ("system", "context") if p not in purposes]
    fields = [_column_field(p, columns.get(p, ""), plan.headings, words) for p in purposes]
    encodings = () if isinstance(plan, UnknownColumns) else plan.encodings
    if encodings:
        choices = tuple((e.name, f"{e.name}: {e.sample}"[:70]) for e in encodings)
        chosen = encodings[0].name
        encoding = Field("encoding", words("import.encoding"), FieldKind.CHOICE, chosen)
        fields = [*fields[:4], replace(encoding, choices=choices)]
    return Form(
        id=f"import.columns:{pending.key}",
        title=words("import.change"),
        fields=tuple(fields[:5]),
        submit_label=words("import.show"),
        reopen_action=f"import.change:{pending.key}",
    )


def _column_field(purpose: str, value: str, headings: tuple[str, ...], words: Words) -> Field:
    is_needed = purpose in ("question", "answer", "preferred", "rejected", "messages", "ticket")
    label = words(f"import.purpose.{purpose}")
    short = [heading for heading in headings if 0 < len(heading) <= _MAX_CHOICE_LENGTH]
    if len(short) < len(headings) or len(headings) > _MAX_CHOICES:
        return Field(purpose, label, value=value, required=is_needed, max_length=200)
    none = () if is_needed else ((_NONE, words("import.no_column")),)
    choices = (*none, *((heading, heading) for heading in short))
    chosen = value or ("" if is_needed else _NONE)
    return Field(purpose, label, FieldKind.CHOICE, chosen, choices=choices, required=is_needed)


def _rows_with_progress(
    file: IO[bytes],
    plan: ImportPlan,
    report: Callable[[int, int], None],
    *,
    share: tuple[int, int],
) -> Iterator[tuple[int, Row | Problem]]:
    """Yields the rows and reports the progress; `share` is the file's index and their number."""
    total = max(file.seek(0, io.SEEK_END), 1)
    done, count = share
    for number, row in enumerate(read_import(file, plan)):
        if number % _ROWS_BETWEEN_REPORTS == 0:
            report(done * total + file.tell(), count * total)
        yield row


def _file_form(words: Words) -> Form:
    return Form(
        id="import.file",
        title=words("import.form"),
        fields=(Field("file", words("option.file"), FieldKind.FILE),),
        submit_label=words("import.look"),
    )


def _report(
    request: Request,
    name: str,
    lines: Iterable[str],
    tally: ImportTally,
    *,
    shown: int = MAX_SHOWN_PROBLEMS,
) -> Card:
    words = request.words
    needed = request.assistant.reviewers
    waiting = [words("import.reviewers", count=needed)] if tally.new and needed > 1 else []
    facts = [
        Fact(words("import.new"), str(tally.new)),
        Fact(words("import.known"), str(tally.known)),
        Fact(words("import.refused"), str(tally.refused)),
    ]
    return Card(
        title=words("import.title", name=name),
        lines=(
            *lines,
            *waiting,
            *refused_row_lines(tally, words, shown=shown),
        ),
        facts=tuple(facts),
        tone=Tone.GOOD if tally.new or tally.known else Tone.BAD,
    )


def refused_row_lines(
    tally: ImportTally, words: Words, *, shown: int = MAX_SHOWN_PROBLEMS
) -> tuple[str, ...]:
    """Returns the problems of the first refused rows, and the number of further ones."""
    lines = [words.problem_text(problem) for problem in tally.problems[:shown]]
    if tally.refused > len(lines):
        lines.append(words("import.more", count=tally.refused - len(lines)))
    return (*_private_lines(tally, words), *lines)


def _private_lines(tally: ImportTally, words: Words) -> tuple[str, ...]:
    return (words("import.private", count=tally.private),) if tally.private else ()


def _state_for(role: Role) -> ExampleState:
    return ExampleState.APPROVED if role >= Role.CURATOR else ExampleState.PROPOSED
