"""Imports and exports from the command line: the bot's use-cases without a chat platform."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from attune.clock import SystemClock
from attune.data_folder import private_folder
from attune.embedded_tuner import TunerAddress
from attune.import_speed import pause_garbage_collection
from attune.settings import Settings
from bot import assistants, example_files, import_command
from bot.chat_export_import import ChatExportImport
from bot.domain import (
    ChannelId,
    Place,
    Role,
    User,
    UserId,
    WorkspaceId,
)
from bot.errors import BadInput, NotFound
from bot.events import CommandInvoked, Event
from bot.imports import ImportOptions, UnknownColumns
from bot.replies import Document
from bot.request import Request
from bot.words import Words
from storage.database import Database
from storage.migrations.migrate import migrate

Confirm = Callable[[Sequence[str], bool], bool]
OPERATOR_USER = User(UserId("operator"), "operator", is_platform_admin=True)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """Migrates and opens the database, also while a service uses it."""
    private_folder(settings.data_dir)
    await migrate(settings.database)
    database = await Database.open(settings.database)
    try:
        yield database
    finally:
        await database.close()


async def import_file(
    settings: Settings,
    file: Path,
    *,
    workspace: WorkspaceId,
    assistant: str | None,
    words: Words,
    options: ImportOptions,
    confirm: Confirm,
) -> tuple[Sequence[str], example_files.ImportTally]:
    """Imports a file as approved rows, or a chat export as proposals. Raises Refusal.

    Returns lines about the file, and the tally. `confirm` is called before the import with the
    preview, and with whether nothing was guessed, which a chat export never is.
    """
    with await asyncio.to_thread(_open, file) as opened:
        async with open_database(settings) as store:
            request = await _request(settings, store, workspace, assistant, words)
            chats = await import_command.read_chat_export_import(opened, request, store, None)
            if chats is not None:
                return await _import_chats(chats, confirm, words, store)
            await asyncio.to_thread(_confirm_preview, opened, file.name, words, options, confirm)
            return await import_command.import_row_files(
                opened, file.name, options, request, store, assistant=request.assistant.id
            )


def _confirm_preview(
    file: IO[bytes], name: str, words: Words, options: ImportOptions, confirm: Confirm
) -> None:
    """Shows the preview. Raises BadInput if the columns are unknown or nobody confirms."""
    preview = import_command.preview_file(file, name, words, options, for_scripts=True)
    if isinstance(preview, UnknownColumns):
        raise BadInput(problem=f"{words.problem_text(preview)}\n{words('import.name_columns')}")
    other = [words("import.name_columns")] if preview.plan.headings else []
    if not confirm([words("import.preview", name=name), *preview.lines, *other], preview.is_sure):
        raise BadInput(problem=words("import.declined" if preview.is_sure else "import.unsure"))


async def _import_chats(
    chats: ChatExportImport, confirm: Confirm, words: Words, store: Database
) -> tuple[Sequence[str], example_files.ImportTally]:
    await chats.build_overview()
    facts = [
        f"{fact.name}: {fact.value}" for fact in import_command.chat_export_facts(chats, words)
    ]
    lines = [*facts, *chats.preview_lines()]
    if not chats.overview.exchanges:
        raise BadInput(problem="\n".join(lines))
    if not confirm(lines, False):
        raise BadInput(problem=words("chats.unconfirmed"))
    return lines, await chats.store_proposals(store=store)


async def export_file(
    settings: Settings,
    *,
    workspace: WorkspaceId,
    assistant: str | None,
    options: Mapping[str, str],
    words: Words,
) -> AsyncIterator[bytes]:
    """Yields the export of the approved examples. Raises Refusal."""
    async with open_database(settings) as store:
        request = await _request(settings, store, workspace, assistant, words, options)
        document = await example_files.export_examples(request, store=store)
        if isinstance(document, Document):
            async for block in document.chunks:
                yield block


async def _request(
    settings: Settings,
    store: Database,
    workspace: WorkspaceId,
    assistant: str | None,
    words: Words,
    options: Mapping[str, str] | None = None,
) -> Request:
    """Returns a request of the operator; creates the workspace if it does not exist.

    Raises NotFound for an unknown assistant.
    """
    clock = SystemClock()
    async with store.reading() as records:
        exists = await records.assistants.default(workspace) is not None
    if not exists:
        await _create(workspace, settings, store)
    async with store.reading() as records:
        stored = await records.workspaces.find(workspace)
        chosen = await records.assistants.default(workspace)
        if assistant is not None:
            chosen = await records.assistants.find_by_name(workspace, assistant)
    if stored is None or chosen is None:
        raise NotFound(noun="assistant", name=assistant or workspace)
    event = Event(
        key=f"cli:{secrets.token_hex(8)}",
        place=Place(workspace, ChannelId("cli")),
        user=OPERATOR_USER,
        at=clock.now(),
        what=CommandInvoked("import"),
    )
    return Request(
        event=event,
        workspace=stored,
        role=Role.OPERATOR,
        words=words,
        now=clock.now(),
        assistant=chosen,
        options=options or {},
    )


async def _create(workspace: WorkspaceId, settings: Settings, store: Database) -> None:
    # Imported only if needed: the hosts import openai, which takes longer than a small file.
    with pause_garbage_collection():
        from attune.bootstrap import configured_hosts

    hosts = configured_hosts(settings, TunerAddress("http://127.0.0.1", "unused"))
    await assistants.ensure_workspace(workspace, store=store, hosts=hosts)
    await hosts.close()


def _open(file: Path) -> IO[bytes]:
    if not file.is_file():
        raise NotFound(noun="file", name=file)
    return file.open("rb")
