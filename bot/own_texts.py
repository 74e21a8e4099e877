"""What one person wrote and was answered, read in parts, and what repeats it in the room."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

from bot.domain import LOCAL, Example, ExampleId, RoomMessage, Turn, TurnId
from bot.ports.store import Store
from bot.request import Request

_PART = 100
_MOST_QUOTES = 10_000
"""Beginnings of texts that are looked for at once; each time the room is read from end to end."""
_SHOWN_CHARACTERS, _OWN_CHARACTERS = 60, 8


async def own_examples(request: Request, store: Store) -> AsyncIterator[tuple[Example, str]]:
    """Each example that they wrote, edited or marked, once, and which of these it was."""
    last = ExampleId(0)
    while True:
        async with store.reading() as records:
            numbers = await records.personal_data.examples(
                request.workspace_id, request.user_id, after=last, limit=_PART
            )
            found = [
                (await records.examples.get(request.workspace_id, one), part)
                for one, part in numbers
            ]
        for example, part in found:
            yield example, part
        if len(numbers) < _PART:
            return
        last = numbers[-1][0]


async def forget_quotes(request: Request, store: Store) -> None:
    """The bot's own messages in the room that repeat what is to be erased, while it is still known.

    In the local workspace we are the platform ourselves, and its messages are ours to erase.
    """
    if request.workspace_id != LOCAL:
        return
    quotes: set[str] = set()
    async for text in _own_texts(request, store):
        quotes |= _beginnings([text])
        if len(quotes) >= _MOST_QUOTES:
            await _forget_quoting(request, quotes, store)
            quotes.clear()
    await _forget_quoting(request, quotes, store)


async def _own_texts(request: Request, store: Store) -> AsyncIterator[str]:
    """All that they wrote and were answered."""
    async for text in _taught(request, store):
        yield text
    before: TurnId | None = None
    while turns := await _turns_before(request, before, store):
        for turn in turns:
            yield turn.question
            yield turn.reply
        before = turns[-1].id
    last = 0
    while said := await _said_after(request, last, store):
        for message in said:
            yield message.text
        last = said[-1].number


async def _taught(request: Request, store: Store) -> AsyncIterator[str]:
    async for example, part in own_examples(request, store):
        if part != "marked":
            async with store.reading() as records:
                revisions = await records.examples.revisions(request.workspace_id, example.id)
            for one in revisions:
                for text in _texts_in(one.row):
                    yield text


async def _turns_before(request: Request, before: TurnId | None, store: Store) -> Sequence[Turn]:
    async with store.reading() as records:
        return await records.turns.by_asker(
            request.workspace_id, request.user_id, before=before, limit=_PART
        )


async def _said_after(request: Request, number: int, store: Store) -> Sequence[RoomMessage]:
    async with store.reading() as records:
        return await records.personal_data.messages(
            request.workspace_id, request.user_id, after=number, limit=_PART
        )


async def _forget_quoting(request: Request, quotes: set[str], store: Store) -> None:
    last: int | None = 0
    while quotes and last is not None:
        async with store.writing() as records:
            last = await records.personal_data.forget_quotes(
                request.workspace_id, quotes, after=last
            )


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from _texts_in(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts_in(one)


def _beginnings(texts: Iterable[str]) -> set[str]:
    """A line of a list shows no more of a text; what is shorter is nobody's own words."""
    flat = (" ".join(text.split())[:_SHOWN_CHARACTERS].rstrip() for text in texts)
    return {text for text in flat if len(text) >= _OWN_CHARACTERS}
