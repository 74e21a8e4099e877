"""`/tune my-data` and `/tune forget-me`: exports and erases the data of one person."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace

from bot.commands import Handlers
from bot.database_batches import run_in_batches
from bot.domain import (
    LOCAL,
    Example,
    Role,
)
from bot.errors import BadInput
from bot.examples.deleted_source_messages import erase_examples
from bot.personal_texts import erase_messages_quoting_user, examples_of_user
from bot.ports.dependencies import Dependencies
from bot.ports.personal_data import FIRST_ROW_CURSOR, PersonalRowCursor
from bot.ports.store import Records, Store
from bot.ports.surface import CanDeleteSentFiles
from bot.replies import (
    Button,
    Card,
    Document,
    Refused,
    Reply,
)
from bot.request import Request

handlers = Handlers()

_PART, _MIN_EDITED = 100, 5
_FORGETTING = "person.forgetting"


@handlers.command("my-data", Role.STRANGER)
@handlers.button("privacy.my_data", Role.STRANGER)
async def export_my_data(request: Request, deps: Dependencies) -> Reply:
    """Sends all stored data of the user as JSON Lines, read while the file is sent."""
    async with deps.store.reading() as records:
        examples = await records.personal_data.example_count(request.workspace_id, request.user_id)
        turns = await records.turns.count_by_asker(request.workspace_id, request.user_id)
    text = request.words("my_data.text", examples=examples, turns=turns)
    return Document(f"my-data-{request.user_id}.jsonl", _all_lines(request, deps.store), text)


async def _all_lines(request: Request, store: Store) -> AsyncIterator[bytes]:
    cursor: PersonalRowCursor | None = FIRST_ROW_CURSOR
    while cursor is not None:
        async with store.reading() as records:
            page, cursor = await records.personal_data.table_rows(
                request.workspace_id, request.user_id, after=cursor, limit=_PART
            )
        for kind, fields in page:
            yield _line(kind, **fields)
    async for example, part in examples_of_user(request, store):
        yield _line("example", part=part, **_fields_of(example))


@handlers.command("forget-me", Role.STRANGER)
@handlers.button("privacy.ask_forget", Role.STRANGER)
async def ask_erasure(request: Request, deps: Dependencies) -> Card:
    """Asks the user to confirm the erasure of their data."""
    async with deps.store.reading() as records:
        newest = await records.personal_data.newest_item_token(
            request.workspace_id, request.user_id
        )
    words = request.words
    sure = Button(
        words("button.forget"), f"privacy.forget:{newest}:{request.user_id}", is_danger=True
    )
    return Card(
        words("forget.title"),
        lines=(words("forget.text"),),
        buttons=(sure, Button(words("button.keep"), "privacy.keep")),
        private=True,
    )


@handlers.button("privacy.keep", Role.STRANGER)
async def cancel_erasure(request: Request, deps: Dependencies) -> Reply:
    return Card(request.words("forget.kept"), replaces=True)


@handlers.button("privacy.forget", Role.STRANGER)
async def erase_my_data(request: Request, deps: Dependencies) -> Reply:
    """Erases all data of the user; models trained on it are marked as tainted, or deleted.

    Counts and decisions stay without a name. A refused consent stays, because it excludes the
    user's messages in future.
    """
    token, _, person = request.argument.partition(":")
    if person != request.user_id:
        raise BadInput(problem=request.words("forget.not_yours"))
    if not await _begin_forgetting(request, token, deps.store):
        fresh = replace(await ask_erasure(request, deps), title=request.words("forget.changed"))
        return Refused(fresh.title, fresh)
    deps.summaries.forget(request.workspace_id)
    await erase_messages_quoting_user(request, deps.store)
    examples, marked = await _forget_examples(request, deps.store)
    marked += await _forget_edits(request, deps.store)
    turns = await _forget_turns(request, deps.store)
    await _forget_the_rest(request, deps.store)
    await _forget_in_room(request, deps.store)
    room = deps.surfaces.surface_of(LOCAL)
    if isinstance(room, CanDeleteSentFiles):
        await room.delete_sent_files()
    async with deps.store.writing() as records:
        await records.direct_message_workspaces.forget_person(request.workspace_id, request.user_id)
        await records.audit.add(
            request.workspace_id,
            None,
            "person.forgotten",
            at=request.now,
            examples=examples,
            turns=turns,
        )
    deps.wake_runners()
    text = request.words("forget.done", examples=examples, turns=turns, models=marked)
    return Card(text, replaces=True)


async def _begin_forgetting(request: Request, token: str, store: Store) -> bool:
    """Records the start; False if there is newer data than when the card was shown.

    True also if this event had started before a crash.
    """
    async with store.writing() as records:
        started = await records.audit.of_kind(request.workspace_id, _FORGETTING, limit=_PART)
        if any(entry.details.get("event") == request.event.key for entry in started):
            return True
        is_as_shown = token == await records.personal_data.newest_item_token(
            request.workspace_id, request.user_id
        )
        if is_as_shown:
            await records.audit.add(
                request.workspace_id, None, _FORGETTING, at=request.now, event=request.event.key
            )
    return is_as_shown


async def _forget_edits(request: Request, store: Store) -> int:
    marked = 0

    async def part(records: Records, most: int) -> int:
        nonlocal marked
        edited = await records.personal_data.examples_edited_by(
            request.workspace_id, request.user_id, limit=most
        )
        snapshots = await records.snapshots.list_containing(request.workspace_id, edited)
        await records.jobs.request_file_deletion(request.workspace_id, snapshots, at=request.now)
        marked += await records.models.mark_tainted(request.workspace_id, snapshots)
        to_erase = await records.personal_data.revert_revisions_by(
            request.workspace_id, edited, request.user_id, at=request.now
        )
        await erase_examples(request.workspace_id, to_erase, records, at=request.now)
        return len(edited)

    await run_in_batches(part, store, fewest=_MIN_EDITED)
    return marked


async def _forget_the_rest(request: Request, store: Store) -> None:
    async def part(records: Records, most: int) -> int:
        return await records.personal_data.forget_person(
            request.workspace_id, request.user_id, limit=most
        )

    await run_in_batches(part, store)


async def _forget_in_room(request: Request, store: Store) -> None:
    async def part(records: Records, most: int) -> int:
        return await records.personal_data.forget_room_messages(
            request.workspace_id, request.user_id, limit=most
        )

    if request.workspace_id == LOCAL:
        await run_in_batches(part, store)


async def _forget_examples(request: Request, store: Store) -> tuple[int, int]:
    """Erases the user's examples; returns how many, and how many models are tainted."""
    marked = 0

    async def part(records: Records, most: int) -> int:
        nonlocal marked
        numbers = await records.examples.list_ids_by_author(
            request.workspace_id, request.user_id, limit=most
        )
        marked += await erase_examples(request.workspace_id, numbers, records, at=request.now)
        return len(numbers)

    return await run_in_batches(part, store), marked


async def _forget_turns(request: Request, store: Store) -> int:
    async def vote_part(records: Records, most: int) -> int:
        return await records.turns.erase_votes_of_user(
            request.workspace_id, request.user_id, limit=most
        )

    async def part(records: Records, most: int) -> int:
        return await records.turns.erase_by_asker(request.workspace_id, request.user_id, limit=most)

    await run_in_batches(vote_part, store)
    return await run_in_batches(part, store)


def _fields_of(example: Example) -> dict[str, object]:
    return {
        "id": example.id,
        "state": example.state,
        "row": example.row,
        "authors": example.authors,
        "at": example.created_at,
    }


def _line(kind: str, /, **values: object) -> bytes:
    fields = {"kind": kind, **values}
    return json.dumps(fields, ensure_ascii=False, default=str).encode() + b"\n"
