"""An edited source message: its examples get the new text and are reviewed again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from bot.domain import (
    Example,
    ExampleId,
    ExampleSource,
    ExampleState,
    Message,
    MessageId,
    Place,
    Row,
    Turn,
)
from bot.errors import BadInput, Refusal, SurfaceError
from bot.examples.exchange import Exchange, exchange_of
from bot.examples.states import change_state, redraw_cards
from bot.ports.store import Records, Store
from bot.ports.surface import Surface
from bot.request import Request

_GONE: Row = {}


async def follow_edit(
    request: Request, message: MessageId, text: str, *, store: Store, surface: Surface
) -> Sequence[ExampleId]:
    """Every example with that message gets its new text and waits for a curator again.

    What was withdrawn gets the text and stays withdrawn. Returned are those
    of which nothing is left that could be taught.
    """
    channel = request.place.channel
    async with store.writing() as records:
        turn = await records.turns.by_question(request.workspace_id, channel, message)
        if turn is not None:
            await records.turns.change(request.workspace_id, turn.id, question=text, prompt=())
        numbers = await records.example_messages.examples(request.workspace_id, channel, [message])
        examples = [await records.examples.get(request.workspace_id, number) for number in numbers]
    gone = []
    for example in examples:
        if example.row is None:
            continue
        row = await _row_now(request, example, turn, text, store=store, surface=surface)
        if not await _revise(request, example, row, store=store):
            gone.append(example.id)
    return gone


async def _revise(request: Request, example: Example, row: Row | None, *, store: Store) -> bool:
    """False where the example cannot stay: nothing is left, or another one says the same."""
    if row is _GONE:
        return False
    if row == example.row:
        return True
    async with store.writing() as records:
        try:
            if row is not None:
                await records.examples.revise(
                    request.workspace_id, example.id, row, request.user_id, at=request.now
                )
        except BadInput:
            return False
        await _back_to_review(request, records, example)
    return True


async def _back_to_review(request: Request, records: Records, example: Example) -> None:
    if example.state in (ExampleState.APPROVED, ExampleState.REJECTED):
        await change_state(request, records, example.id, ExampleState.PROPOSED)
    else:
        await redraw_cards(request, [example.id], records)


async def _row_now(
    request: Request,
    example: Example,
    turn: Turn | None,
    text: str,
    *,
    store: Store,
    surface: Surface,
) -> Row | None:
    """As the messages say it today; None where they cannot be read, `_GONE` where nothing is."""
    if example.source is None:
        return _replaced(example.row or {}, turn.question, text) if turn else None
    try:
        return await _said_now(request, example, example.source, store=store, surface=surface)
    except SurfaceError:
        return None
    except Refusal:
        return _GONE


async def _said_now(
    request: Request, example: Example, source: ExampleSource, *, store: Store, surface: Surface
) -> Row:
    place = Place(request.workspace_id, source.channel, source.thread, request.place.kind)
    marked = await surface.fetch(place, source.message)
    if marked is None:
        return _GONE
    async with store.reading() as records:
        kept = await records.example_messages.messages_of(request.workspace_id, example.id)
    exchange = await _exchange_now(request, marked, kept, store=store, surface=surface)
    async with store.writing() as records:
        for number in await records.example_messages.examples(
            request.workspace_id, source.channel, [source.message]
        ):
            await records.example_messages.add(request.workspace_id, number, exchange.messages)
    return exchange.row or _GONE


async def _exchange_now(
    request: Request,
    marked: Message,
    kept: Sequence[ExampleSource],
    *,
    store: Store,
    surface: Surface,
) -> Exchange:
    """With the messages that went into it: somebody may have chosen others than the nearest."""
    known = {one.message for one in kept}
    try:
        exchange = await exchange_of(request, marked, store=store, surface=surface)
        if not known or {one.message for one in exchange.messages} == known:
            return exchange
    except Refusal:
        if not known:
            raise
    places = {one.message: replace(marked.place, thread=one.thread) for one in kept}
    found = [await surface.fetch(at, one) for one, at in places.items() if one != marked.id]
    before = sorted((one for one in found if one is not None), key=lambda one: one.at)
    return await exchange_of(request, marked, store=store, surface=surface, before=before)


def _replaced(row: Row, old: str, new: str) -> Row:
    """An example of a better answer has no marked message; its question is the turn's."""
    if not new.strip():
        return _GONE
    return {key: _with(value, old, new) for key, value in row.items()}


def _with(value: object, old: str, new: str) -> object:
    if isinstance(value, list):
        return [_with(one, old, new) for one in value]
    if not isinstance(value, Mapping):
        return value
    is_question = value.get("role") == "user" and value.get("content") == old
    changed = {key: _with(one, old, new) for key, one in value.items()}
    return {**changed, "content": new} if is_question else changed
