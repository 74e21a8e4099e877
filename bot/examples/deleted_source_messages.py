"""Erases examples when their source messages, or the channel of these, are deleted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from bot.commands import Handlers
from bot.database_batches import batched, run_in_batches
from bot.domain import (
    ExampleId,
    Role,
    WorkspaceId,
)
from bot.events import MessagesDeleted
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records, Store
from bot.replies import (
    NoReply,
    Reply,
)
from bot.request import Request

handlers = Handlers()

T = TypeVar("T")
_PART = 100


@handlers.event("deleted", Role.STRANGER)
async def on_messages_deleted(request: Request, deps: Dependencies) -> Reply:
    """Erases the turns and examples with text of messages that were deleted on the platform."""
    what, channel = request.event.what, request.place.channel
    if not isinstance(what, MessagesDeleted):
        return NoReply()
    deps.summaries.forget(request.workspace_id, channel)
    for batch in batched(what.messages, _PART):
        async with deps.store.writing() as records:
            examples = await records.example_messages.example_ids_of_messages(
                request.workspace_id, channel, batch
            )
            await records.turns.forget_texts_of_messages(request.workspace_id, channel, batch)
        await erase_at_source_in_batches(request, examples, deps.store)
    return NoReply()


@handlers.event("place_deleted", Role.STRANGER)
async def on_channel_deleted(request: Request, deps: Dependencies) -> Reply:
    """Erases the turns and examples with text of a channel or thread that was deleted."""
    where = request.workspace_id, request.place.channel, request.place.thread
    deps.summaries.forget(request.workspace_id, request.place.channel)

    async def turn_part(records: Records, most: int) -> int:
        return await records.turns.forget_texts_in_channel(*where, limit=most)

    async def example_part(records: Records, most: int) -> int:
        examples = await records.example_messages.example_ids_in_channel(*where, limit=most)
        await _erase_at_source(request, examples, records)
        return len(examples)

    await run_in_batches(turn_part, deps.store)
    await run_in_batches(example_part, deps.store)
    deps.wake_runners()
    return NoReply()


async def erase_at_source_in_batches(
    request: Request, examples: Sequence[ExampleId], store: Store
) -> None:
    """Erases a batch in each transaction; after a crash the repeated event erases the rest."""
    for batch in batched(examples, _PART):
        async with store.writing() as records:
            await _erase_at_source(request, batch, records)


async def _erase_at_source(
    request: Request, examples: Sequence[ExampleId], records: Records
) -> None:
    if examples:
        await erase_examples(request.workspace_id, examples, records, at=request.now)
        await records.audit.add(
            request.workspace_id,
            None,
            "examples.deleted_at_source",
            at=request.now,
            examples=list(examples),
        )


async def erase_examples(
    workspace: WorkspaceId, examples: Sequence[ExampleId], records: Records, *, at: datetime
) -> int:
    """Erases examples and those derived from them, and requests deletion of their training files.

    Models trained on them are marked as tainted; returns how many.
    """
    if not examples:
        return 0
    examples = [*examples, *await records.examples.list_derived(workspace, examples)]
    snapshots = await records.snapshots.list_containing(workspace, examples)
    await records.examples.erase(workspace, examples)
    await records.private_replies.delete_all(workspace)
    await records.jobs.request_file_deletion(workspace, snapshots, at=at)
    return await records.models.mark_tainted(workspace, snapshots)
