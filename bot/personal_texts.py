"""Reads one person's texts and answers in parts, and erases messages that quote them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

from bot.domain import LOCAL, Example, ExampleId, RoomMessage, Turn, TurnId
from bot.ports.store import Store
from bot.request import Request

_PART = 100
_MAX_QUOTES = 10_000
"""Number of quotes searched for at once; each search reads all messages."""
_SHOWN_CHARACTERS, _OWN_CHARACTERS = 60, 8


async def examples_of_user(request: Request, store: Store) -> AsyncIterator[tuple[Example, str]]:
    """Yields each example of the user once, with the relation `author`, `editor` or `marked`."""
    last = ExampleId(0)
    while True:
        async with store.reading() as records:
            numbers = await records.personal_data.examples(
                request.workspace_id, request.user_id, after=last, limit=_PART
            )
            examples = [
                (await records.examples.get(request.workspace_id, number), part)
                for number, part in numbers
            ]
        for example, part in examples:
            yield example, part
        if len(numbers) < _PART:
            return
        last = numbers[-1][0]


async def erase_messages_quoting_user(request: Request, store: Store) -> None:
    """Erases the bot's messages that quote the user's texts, before the texts are erased.

    Only in the local workspace, whose messages are in this database.
    """
    if request.workspace_id != LOCAL:
        return
    quotes: set[str] = set()
    async for text in _own_texts(request, store):
        quotes |= _beginnings([text])
        if len(quotes) >= _MAX_QUOTES:
            await _forget_quoting(request, quotes, store)
            quotes.clear()
    await _forget_quoting(request, quotes, store)


async def _own_texts(request: Request, store: Store) -> AsyncIterator[str]:
    """Yields all texts by the user and all answers to the user."""
    async for text in _example_texts(request, store):
        yield text
    before: TurnId | None = None
    while turns := await _turns_before(request, before, store):
        for turn in turns:
            yield turn.question
            yield turn.reply
        before = turns[-1].id
    last = 0
    while messages := await _messages_after(request, last, store):
        for message in messages:
            yield message.text
        last = messages[-1].number


async def _example_texts(request: Request, store: Store) -> AsyncIterator[str]:
    async for example, part in examples_of_user(request, store):
        if part != "marked":
            async with store.reading() as records:
                revisions = await records.examples.revisions(request.workspace_id, example.id)
            for revision in revisions:
                for text in _texts_in(revision.row):
                    yield text


async def _turns_before(request: Request, before: TurnId | None, store: Store) -> Sequence[Turn]:
    async with store.reading() as records:
        return await records.turns.by_asker(
            request.workspace_id, request.user_id, before=before, limit=_PART
        )


async def _messages_after(request: Request, number: int, store: Store) -> Sequence[RoomMessage]:
    async with store.reading() as records:
        return await records.personal_data.room_messages(
            request.workspace_id, request.user_id, after=number, limit=_PART
        )


async def _forget_quoting(request: Request, quotes: set[str], store: Store) -> None:
    last: int | None = 0
    while quotes and last is not None:
        async with store.writing() as records:
            last = await records.personal_data.forget_messages_quoting(
                request.workspace_id, quotes, after=last
            )


def _texts_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts_in(item)


def _beginnings(texts: Iterable[str]) -> set[str]:
    """Returns the beginnings of texts, as long as lists show them, without very short ones."""
    flat = (" ".join(text.split())[:_SHOWN_CHARACTERS].rstrip() for text in texts)
    return {text for text in flat if len(text) >= _OWN_CHARACTERS}
