"""The *Undo* button: reverts an action of the same user within ten seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from bot.commands import Handlers
from bot.database_batches import batched
from bot.domain import (
    AssistantId,
    Binding,
    ChannelId,
    ExampleId,
    ExampleState,
    Grant,
    ModelName,
    Role,
    Undoable,
    UserId,
)
from bot.errors import NotNow, Outdated
from bot.examples.state_changes import change_state, redraw_cards
from bot.mentions_and_times import person_reference
from bot.number_formats import parse_number_argument
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Reply, Text
from bot.request import Request

handlers = Handlers()


UndoDetails = Mapping[str, Any]
_BATCH = 500


@handlers.button("undo", Role.MEMBER)
async def undo_action(request: Request, deps: Dependencies) -> Reply:
    """Reverts the action of the button, and says so where the action was said.

    Raises Outdated if it is too late or another decision was made since, NotNow for the action
    of another user.
    """
    async with deps.store.writing() as records:
        undoable = await _named_undoable(request, records)
        await _KINDS[undoable.kind](request, undoable.details, records)
        await records.undoables.delete(undoable.id)
        await request.audit(records, f"undone.{undoable.kind}")
    if request.event.ephemeral_message_id is not None or request.is_page:
        return Text(request.words("undo.done"), private=True)
    name = person_reference(request.user_id, request.user.name)
    return Text(request.words("undo.done_by", name=name), is_for_all=True)


async def _named_undoable(request: Request, records: Records) -> Undoable:
    number = parse_number_argument(request.argument, "button")
    undoable = await records.undoables.find(request.workspace_id, number)
    if undoable is None or undoable.attempts or undoable.due_at <= request.now:
        raise Outdated(problem=request.words("undo.over"))
    if undoable.user != request.user_id:
        raise NotNow(problem=request.words("undo.not_yours"))
    return undoable


async def _example(request: Request, details: UndoDetails, records: Records) -> None:
    example = await records.examples.get(request.workspace_id, ExampleId(details["example"]))
    if example.state != details["after"] or example.decided_by != request.user_id:
        raise Outdated(problem=request.words("undo.changed"))
    await change_state(request, records, example.id, ExampleState(details["before"]))


async def _examples(request: Request, details: UndoDetails, records: Records) -> None:
    """Restores the states of examples that were not changed since the bulk change."""
    for state, numbers in details["before"].items():
        for batch in batched([ExampleId(number) for number in numbers], _BATCH):
            current = await records.examples.current_states(request.workspace_id, batch)
            unchanged = [id_ for id_, (_, now) in current.items() if now == details["after"]]
            await records.examples.set_state(
                request.workspace_id,
                unchanged,
                ExampleState(state),
                at=request.now,
                by=request.user_id,
            )
            await redraw_cards(request, unchanged, records)


async def _merge(request: Request, details: UndoDetails, records: Records) -> None:
    """Restores the text and tags of the example that was kept, then the states of the others.

    Its private text is allowed again if it was before.
    """
    workspace, kept = request.workspace_id, ExampleId(details["kept"])
    example = await records.examples.get(workspace, kept)
    revisions = await records.examples.revisions(workspace, kept)
    if example.revision != details["merged"]:
        raise Outdated(problem=request.words("undo.changed"))
    earlier = next((r.row for r in revisions if r.number == details["earlier"]), None)
    if earlier is not None and earlier != example.row:
        restored = await records.examples.add_revision(
            workspace, kept, earlier, request.user_id, at=request.now
        )
        # The workspace may demand masks since.
        if details.get("keeps_private_text") and restored.row == earlier:
            await records.examples.allow_private_text(workspace, kept, at=request.now)
    await records.examples.set_tags(workspace, kept, details["tags"])
    await redraw_cards(request, [kept], records)
    await _examples(request, details, records)


async def _binding(request: Request, details: UndoDetails, records: Records) -> None:
    channel = ChannelId(details["channel"])
    if await records.assistants.binding(request.workspace_id, channel) is not None:
        raise Outdated(problem=request.words("undo.changed"))
    number, threads = AssistantId(details["assistant"]), details.get("threads")
    binding = Binding(channel, number, details["always"], threads)
    await records.assistants.bind(request.workspace_id, binding)


async def _role(request: Request, details: UndoDetails, records: Records) -> None:
    person = UserId(details["person"])
    if await records.roles.get(request.workspace_id, person) is not None:
        raise Outdated(problem=request.words("undo.changed"))
    at = datetime.fromisoformat(details["at"])
    grant = Grant(Role(details["role"]), at, details["is_external"])
    await records.roles.set_grant(request.workspace_id, person, grant)


async def _model(request: Request, details: UndoDetails, records: Records) -> None:
    await records.models.unmark_deleted(request.workspace_id, ModelName(details["model"]))


async def _file(request: Request, details: UndoDetails, records: Records) -> None:
    """Does nothing: the deletion of a file was not sent yet."""


_KINDS: Mapping[str, Callable[[Request, UndoDetails, Records], Awaitable[None]]] = {
    "example": _example,
    "examples": _examples,
    "merge": _merge,
    "binding": _binding,
    "role": _role,
    "model": _model,
    "file": _file,
}
