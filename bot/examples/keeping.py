"""What every way to an example ends in: kept once, its state changed, told in the audit."""

from __future__ import annotations

from bot.commands import Ask, whole_number
from bot.errors import NotFound, NotNow
from bot.model import (
    Example,
    ExampleId,
    ExampleState,
    NewExample,
)
from bot.ports.store import Records, Store


async def add(ask: Ask, example: NewExample, *, store: Store) -> tuple[Example, bool]:
    async with store.writing() as records:
        kept, is_new = await records.examples.add(ask.id, example, at=ask.now)
        if is_new:
            what = f"example.{example.state}"
            await records.audit.add(ask.id, ask.by, what, at=ask.now, example=kept.id)
    return kept, is_new


async def set_state(ask: Ask, example: ExampleId, state: ExampleState, *, store: Store) -> None:
    async with store.writing() as records:
        found = await records.examples.get(ask.id, example)
        if state is ExampleState.APPROVED and found.row is None:
            raise NotNow(problem=ask.words("example.pointer_only", id=example))
        await change_state(ask, records, example, state)


async def change_state(ask: Ask, records: Records, example: ExampleId, state: ExampleState) -> None:
    await records.examples.set_state(ask.id, [example], state, at=ask.now)
    await records.audit.add(ask.id, ask.by, f"example.{state}", at=ask.now, example=example)


def number(ask: Ask) -> ExampleId:
    try:
        return ExampleId(whole_number(ask.argument))
    except ValueError:
        raise NotFound(noun="example", name=ask.argument) from None
