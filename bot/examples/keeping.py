"""What every way to an example ends in: kept once, its state changed, told in the audit."""

from __future__ import annotations

from collections.abc import Sequence

from bot import access
from bot.commands import Ask, whole_number
from bot.errors import NotFound, NotNow
from bot.model import (
    NO_EXCLUSION,
    Example,
    ExampleId,
    ExampleState,
    Exclusion,
    NewExample,
    Origin,
    Role,
    User,
)
from bot.ports.store import Records, Store
from bot.replies import Button
from bot.words import Words


async def add(ask: Ask, example: NewExample, *, store: Store) -> tuple[Example, bool]:
    async with store.writing() as records:
        kept, is_new = await records.examples.add(ask.id, example, at=ask.now)
        if kept.row is None and example.row is not None:
            # A pointer gives way to the text as soon as that may be kept.
            await records.examples.set_state(ask.id, [kept.id], ExampleState.WITHDRAWN, at=ask.now)
            kept, is_new = await records.examples.add(ask.id, example, at=ask.now)
        if is_new:
            await note_new(ask, records, kept)
    return kept, is_new


async def note_new(ask: Ask, records: Records, kept: Example) -> None:
    await records.audit.add(ask.id, ask.by, f"example.{kept.state}", at=ask.now, example=kept.id)


async def ask_authors(ask: Ask, people: Sequence[User], *, store: Store) -> None:
    """Each author who has not said yes or no is asked once, in the channel."""
    if ask.workspace.platform == "local":
        return
    async with store.writing() as records:
        for person in people:
            if await records.consents.get(ask.id, person.id) is not None:
                continue
            await records.outbox.put(
                f"{ask.id}.{person.id}.consent",
                ask.place,
                "consent.wanted",
                details={"name": person.name, "locale": ask.event.locale},
                at=ask.now,
            )


def consent_buttons(words: Words) -> tuple[Button, ...]:
    return (
        Button(words("button.consent_on"), "consent.on"),
        Button(words("button.consent_off"), "consent.off"),
    )


async def set_state(ask: Ask, example: ExampleId, state: ExampleState, *, store: Store) -> None:
    async with store.writing() as records:
        found = await records.examples.get(ask.id, example)
        if state is ExampleState.APPROVED and found.row is None:
            raise NotNow(problem=ask.words("example.pointer_only", id=example))
        if state is ExampleState.APPROVED and await _awaits_consent(ask, records, found):
            raise NotNow(problem=ask.words("example.awaits_consent", id=example))
        await change_state(ask, records, example, state)


async def change_state(ask: Ask, records: Records, example: ExampleId, state: ExampleState) -> None:
    await records.examples.set_state(ask.id, [example], state, at=ask.now)
    await records.audit.add(ask.id, ask.by, f"example.{state}", at=ask.now, example=example)


async def _awaits_consent(ask: Ask, records: Records, example: Example) -> bool:
    """What people said in a channel waits until each of them has agreed."""
    if ask.workspace.platform == "local" or example.origin is not Origin.MESSAGE:
        return False
    for author in example.authors:
        held = await records.consents.get(ask.id, author)
        if held is None or not held.given:
            return True
    return False


async def seen(ask: Ask, records: Records) -> Example:
    """The example that is named. Raises NotFound.

    A member sees their own, a curator all but what was said in a channel that stays to itself.
    """
    example = await records.examples.get(ask.id, number(ask))
    is_own = ask.by in example.authors
    source = example.source.channel if example.source else None
    is_hidden = bool(example.exclusions & hidden(ask)) and source != ask.place.channel
    if not is_own and (is_hidden or ask.role < Role.CURATOR):
        raise NotFound(noun="example", name=example.id)
    return example


def hidden(ask: Ask) -> Exclusion:
    """What is left out of lists and searches in other channels; the operator sees all."""
    return NO_EXCLUSION if ask.role is Role.OPERATOR else access.hidden_elsewhere(ask.workspace)


def number(ask: Ask) -> ExampleId:
    try:
        return ExampleId(whole_number(ask.argument))
    except ValueError:
        raise NotFound(noun="example", name=ask.argument) from None
