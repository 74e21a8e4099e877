"""Deletions taken back: by the same person, within ten seconds, if nobody decided since."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from bot.domain import (
    AssistantId,
    Binding,
    ChannelId,
    ExampleId,
    ExampleState,
    ModelName,
    Role,
    Undoable,
    UserId,
)
from bot.errors import NotFound, NotNow
from bot.examples.keeping import change_state, redraw_cards
from bot.numerals import whole_number
from bot.ports.store import Records, Store
from bot.replies import Reply, Text
from bot.request import Request

Details = Mapping[str, Any]
_BATCH = 500


async def undo(ask: Request, *, store: Store) -> Reply:
    """Raises NotNow where it is too late, or was somebody else's."""
    async with store.writing() as records:
        found = await _found(ask, records)
        await _KINDS[found.kind](ask, found.details, records)
        await records.undoables.drop(found.id)
        await records.audit.add(ask.id, ask.by, f"undone.{found.kind}", at=ask.now)
    return Text(ask.words("undo.done"), private=True)


async def _found(ask: Request, records: Records) -> Undoable:
    try:
        found = await records.undoables.find(ask.id, whole_number(ask.argument))
    except ValueError:
        raise NotFound(noun="button", name=ask.argument) from None
    if found is None or found.attempts or found.due_at <= ask.now:
        raise NotNow(problem=ask.words("undo.over"))
    if found.user != ask.by:
        raise NotNow(problem=ask.words("undo.not_yours"))
    return found


async def _example(ask: Request, details: Details, records: Records) -> None:
    example = await records.examples.get(ask.id, ExampleId(details["example"]))
    if example.state != details["after"] or example.decided_by != ask.by:
        raise NotNow(problem=ask.words("undo.changed"))
    await change_state(ask, records, example.id, ExampleState(details["before"]))


async def _examples(ask: Request, details: Details, records: Records) -> None:
    """Those that are still as the bulk change left them."""
    for state, numbers in details["before"].items():
        for first in range(0, len(numbers), _BATCH):
            batch = [ExampleId(number) for number in numbers[first : first + _BATCH]]
            standing = await records.examples.standing(ask.id, batch)
            own = [one for one, (_, now) in standing.items() if now == details["after"]]
            await records.examples.set_state(
                ask.id, own, ExampleState(state), at=ask.now, by=ask.by
            )
            await redraw_cards(ask, own, records)


async def _binding(ask: Request, details: Details, records: Records) -> None:
    channel = ChannelId(details["channel"])
    if await records.assistants.binding(ask.id, channel) is not None:
        raise NotNow(problem=ask.words("undo.changed"))
    binding = Binding(channel, AssistantId(details["assistant"]), always=details["always"])
    await records.assistants.bind(ask.id, binding)


async def _role(ask: Request, details: Details, records: Records) -> None:
    person = UserId(details["person"])
    if await records.roles.get(ask.id, person) is not None:
        raise NotNow(problem=ask.words("undo.changed"))
    role = Role(details["role"])
    await records.roles.put(ask.id, person, role, is_external=details["is_external"])


async def _model(ask: Request, details: Details, records: Records) -> None:
    await records.models.restore(ask.id, ModelName(details["model"]))


async def _file(ask: Request, details: Details, records: Records) -> None:
    """Nothing was done yet."""


_KINDS: Mapping[str, Callable[[Request, Details, Records], Awaitable[None]]] = {
    "example": _example,
    "examples": _examples,
    "binding": _binding,
    "role": _role,
    "model": _model,
    "file": _file,
}
