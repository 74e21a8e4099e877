"""Commands of the operator's shell: the bot's use-cases without a chat platform."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from attune.clock import SystemClock
from attune.embedded import Address
from attune.folder import private_folder
from attune.import_speed import pause_garbage_collection
from attune.settings import Settings
from bot import assistants, datasets, importing
from bot.chat_imports import ChatImport
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
from bot.imports import ImportOptions
from bot.replies import Document
from bot.request import Request
from bot.words import Words
from storage.database import Database
from storage.migrations import migrate

OPERATOR = User(UserId("operator"), "operator", is_platform_admin=True)


@asynccontextmanager
async def open_database(settings: Settings) -> AsyncIterator[Database]:
    """The store alone; a running service does not mind."""
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
    confirm: Callable[[Sequence[str]], bool],
) -> tuple[Sequence[str], datasets.ImportTally]:
    """Rows that the operator imports count as approved. Raises Refusal.

    Returned is what is to be known of the file; where how to read it was guessed, and for an
    export of a chat, `confirm` is asked first with that. Of an export all is only proposed.
    """
    with await asyncio.to_thread(_opened, file) as opened:
        async with open_database(settings) as store:
            ask = await _ask(settings, store, workspace, assistant, words)
            chats = await importing.open_chats(opened, ask, store, None)
            if chats is not None:
                return await _import_chats(chats, confirm, words, store)
            told = opened, file.name, words, options
            lines, is_sure = await asyncio.to_thread(importing.describe_plans, *told)
            if not is_sure and not confirm(lines):
                raise BadInput(problem=words("import.unsure"))
            return await importing.import_members(
                opened, file.name, options, ask, store, assistant=ask.assistant.id
            )


async def _import_chats(
    chats: ChatImport, confirm: Callable[[Sequence[str]], bool], words: Words, store: Database
) -> tuple[Sequence[str], datasets.ImportTally]:
    await chats.build_overview()
    facts = [f"{each.name}: {each.value}" for each in importing.chats_facts(chats, words)]
    lines = [*facts, *chats.lines()]
    if not chats.overview.exchanges:
        raise BadInput(problem="\n".join(lines))
    if not confirm(lines):
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
    """The lines of the export. Raises Refusal."""
    async with open_database(settings) as store:
        ask = await _ask(settings, store, workspace, assistant, words, options)
        document = await datasets.export_examples(ask, store=store)
        if isinstance(document, Document):
            async for block in document.chunks:
                yield block


async def _ask(
    settings: Settings,
    store: Database,
    workspace: WorkspaceId,
    assistant: str | None,
    words: Words,
    options: Mapping[str, str] | None = None,
) -> Request:
    clock = SystemClock()
    async with store.reading() as records:
        is_known = await records.assistants.default(workspace) is not None
    if not is_known:
        await _create(workspace, settings, store)
    async with store.reading() as records:
        found = await records.workspaces.find(workspace)
        chosen = await records.assistants.default(workspace)
        if assistant is not None:
            chosen = await records.assistants.find_by_name(workspace, assistant)
    if found is None or chosen is None:
        raise NotFound(noun="assistant", name=assistant or workspace)
    event = Event(
        key=f"cli:{secrets.token_hex(8)}",
        place=Place(workspace, ChannelId("cli")),
        user=OPERATOR,
        at=clock.now(),
        what=CommandInvoked("import"),
    )
    return Request(
        event=event,
        workspace=found,
        role=Role.OPERATOR,
        words=words,
        now=clock.now(),
        assistant=chosen,
        options=options or {},
    )


async def _create(workspace: WorkspaceId, settings: Settings, store: Database) -> None:
    # The hosts load openai, which takes longer than a small import.
    with pause_garbage_collection():
        from attune.bootstrap import configured_hosts

    hosts = configured_hosts(settings, Address("http://127.0.0.1", "unused"))
    await assistants.ensure_workspace(workspace, store=store, hosts=hosts)
    await hosts.close()


def _opened(file: Path) -> IO[bytes]:
    if not file.is_file():
        raise NotFound(noun="file", name=file)
    return file.open("rb")
