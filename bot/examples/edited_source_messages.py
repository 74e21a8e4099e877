"""Updates examples after an edit of their source message; they are reviewed again."""

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
from bot.events import MessageEdited
from bot.examples.deleted_source_messages import erase_at_source_in_batches
from bot.examples.message_exchange import Exchange, exchange_of, messages_before
from bot.examples.state_changes import change_state, redraw_cards
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records, Store
from bot.ports.surface import Surface
from bot.request import Request

_NO_TEXT: Row = {}


async def apply_source_edit(request: Request, what: MessageEdited, deps: Dependencies) -> None:
    """Updates examples with an edited message; erases those that have no text any more."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    examples = await _revise_examples_of(
        request, what.message, what.text, store=deps.store, surface=surface
    )
    await erase_at_source_in_batches(request, examples, deps.store)
    deps.wake_runners()


async def _revise_examples_of(
    request: Request, message: MessageId, text: str, *, store: Store, surface: Surface
) -> Sequence[ExampleId]:
    """Updates every example with an edited message; approved and rejected ones are proposed again.

    A withdrawn example gets the text and stays withdrawn. Returns the examples that are to be
    erased, because no valid text is left or another example has the same.
    """
    channel = request.place.channel
    async with store.writing() as records:
        turn = await records.turns.by_question_message(request.workspace_id, channel, message)
        if turn is not None:
            await records.turns.update_fields(
                request.workspace_id, turn.id, question=text, prompt=()
            )
        numbers = await records.example_messages.example_ids_of_messages(
            request.workspace_id, channel, [message]
        )
        examples = [await records.examples.get(request.workspace_id, number) for number in numbers]
    to_erase = []
    for example in examples:
        if example.row is None:
            continue
        row = await _current_row(request, example, turn, text, store=store, surface=surface)
        if not await _revise(request, example, row, store=store):
            to_erase.append(example.id)
    return to_erase


async def _revise(request: Request, example: Example, row: Row | None, *, store: Store) -> bool:
    """Revises an example; False if it has no text any more or equals another example."""
    if row is _NO_TEXT:
        return False
    if row == example.row:
        return True
    async with store.writing() as records:
        try:
            if row is not None:
                await records.examples.add_revision(
                    request.workspace_id, example.id, row, request.user_id, at=request.now
                )
        except BadInput:
            return False
        await _return_to_review(request, records, example)
    return True


async def _return_to_review(request: Request, records: Records, example: Example) -> None:
    if example.state in (ExampleState.APPROVED, ExampleState.REJECTED):
        await change_state(request, records, example.id, ExampleState.PROPOSED)
    else:
        await redraw_cards(request, [example.id], records)


async def _current_row(
    request: Request,
    example: Example,
    turn: Turn | None,
    text: str,
    *,
    store: Store,
    surface: Surface,
) -> Row | None:
    """Returns the row from the current messages.

    None if they cannot be read, `_NO_TEXT` if they have no valid exchange any more.
    """
    if example.source is None:
        return _with_question(example.row or {}, turn.question, text) if turn else None
    try:
        return await _fetch_row(request, example, example.source, store=store, surface=surface)
    except SurfaceError:
        return None
    except Refusal:
        return _NO_TEXT


async def _fetch_row(
    request: Request, example: Example, source: ExampleSource, *, store: Store, surface: Surface
) -> Row:
    """Returns the row from the current messages, and stores which messages these are."""
    place = Place(request.workspace_id, source.channel, source.thread, request.place.kind)
    marked = await surface.fetch_message(place, source.message)
    if marked is None:
        return _NO_TEXT
    async with store.reading() as records:
        sources = await records.example_messages.messages_of(request.workspace_id, example.id)
    exchange = await _current_exchange(request, marked, sources, store=store, surface=surface)
    async with store.writing() as records:
        for number in await records.example_messages.example_ids_of_messages(
            request.workspace_id, source.channel, [source.message]
        ):
            await records.example_messages.add_messages(
                request.workspace_id, number, exchange.messages
            )
    return exchange.row or _NO_TEXT


async def _current_exchange(
    request: Request,
    marked: Message,
    sources: Sequence[ExampleSource],
    *,
    store: Store,
    surface: Surface,
) -> Exchange:
    """Returns the exchange of the example's own messages.

    These may differ from the messages just before the marked one, because a user can choose them.
    """
    ids = {source.message for source in sources}
    try:
        exchange = await exchange_of(request, marked, store=store, surface=surface)
        if not ids or {source.message for source in exchange.messages} == ids:
            return exchange
    except Refusal:
        if not ids:
            raise
    offered = await messages_before(marked, surface)
    found = {message.id: message for message in offered if message.id in ids}
    for source in sources:
        if source.message not in (marked.id, *found):
            place = replace(marked.place, thread=source.thread)
            if (message := await surface.fetch_message(place, source.message)) is not None:
                found[message.id] = message
    before = sorted(found.values(), key=lambda message: message.at)
    return await exchange_of(request, marked, store=store, surface=surface, before=before)


def _with_question(row: Row, old: str, new: str) -> Row:
    """Replaces the question in the row of a better answer, which has no marked message."""
    if not new.strip():
        return _NO_TEXT
    return {key: _with_replaced(value, old, new) for key, value in row.items()}


def _with_replaced(value: object, old: str, new: str) -> object:
    if isinstance(value, list):
        return [_with_replaced(item, old, new) for item in value]
    if not isinstance(value, Mapping):
        return value
    is_question = value.get("role") == "user" and value.get("content") == old
    changed = {key: _with_replaced(item, old, new) for key, item in value.items()}
    return {**changed, "content": new} if is_question else changed
