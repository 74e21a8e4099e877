"""The room's repository in memory, with the behaviour of `bot.ports.store.Room`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import cast

from bot.domain import Attachment, ChannelId, RoomMessage, User, UserId
from bot.ports.store import Store


class MemoryRoom:
    """The room's messages in memory."""

    def __init__(self) -> None:
        self.messages: dict[int, RoomMessage] = {}
        self.writes = 0

    async def post(
        self,
        channel: ChannelId,
        *,
        author: User,
        text: str,
        body: str | None,
        is_own: bool,
        at: datetime,
        thread: int | None = None,
        reply_to: int | None = None,
        key: str | None = None,
        files: Sequence[Attachment] = (),
    ) -> RoomMessage:
        existing = next((m for m in self.messages.values() if key and m.key == key), None)
        if existing:
            edited = await self.edit(existing.number, text=text, body=body, at=at)
            assert edited
            return edited
        self.writes += 1
        number = len(self.messages) + 1
        self.messages[number] = RoomMessage(
            number,
            channel,
            thread,
            author,
            text,
            body,
            is_own,
            at,
            None,
            reply_to,
            key,
            files=tuple(files),
        )
        return self.messages[number]

    async def edit(
        self, number: int, *, text: str, body: str | None, at: datetime
    ) -> RoomMessage | None:
        if number not in self.messages:
            return None
        self.writes += 1
        self.messages[number] = replace(self.messages[number], text=text, body=body, edited_at=at)
        if not text and body is None:
            self.messages[number] = replace(self.messages[number], files=())
        return self.messages[number]

    async def get(self, number: int) -> RoomMessage | None:
        return self.messages.get(number)

    async def page(
        self,
        channel: ChannelId,
        *,
        before: int | None = None,
        thread: int | None = None,
        limit: int = 50,
    ) -> Sequence[RoomMessage]:
        messages = [m for m in self.messages.values() if m.channel == channel]
        if before is not None:
            messages = [m for m in messages if m.number < before]
        if thread is not None:
            messages = [m for m in messages if thread in (m.number, m.thread)]
        return messages[-limit:]

    async def file_references(self) -> Sequence[str]:
        return [file.reference for message in self.messages.values() for file in message.files]

    async def list_channels(self) -> Sequence[ChannelId]:
        return sorted({message.channel for message in self.messages.values()})

    async def set_reaction(self, number: int, emoji: str, user: UserId, *, on: bool = True) -> None:
        message = self.messages[number]
        others = tuple(r for r in message.reactions if r != (emoji, user))
        added = ((emoji, user),) if on else ()
        self.messages[number] = replace(message, reactions=others + added)


class MemoryStore:
    """A store with the room's repository only."""

    def __init__(self) -> None:
        self.room = MemoryRoom()

    @asynccontextmanager
    async def writing(self, *, is_urgent: bool = False) -> AsyncIterator[MemoryStore]:
        yield self

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[MemoryStore]:
        yield self


def as_store(store: MemoryStore) -> Store:
    """Casts to Store: a room uses no other repository."""
    return cast(Store, store)
