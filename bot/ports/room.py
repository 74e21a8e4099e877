"""The port to stored messages of the local workspace, which has no chat platform."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import Attachment, ChannelId, RoomMessage, User, UserId


class Room(Protocol):
    """Messages of the local workspace, for which this application is the platform."""

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
        """Stores a message, or edits the one with the same key. Numbers count up from 1."""
        ...

    async def edit(
        self, number: int, *, text: str, body: str | None, at: datetime
    ) -> RoomMessage | None: ...
    async def get(self, number: int) -> RoomMessage | None: ...
    async def page(
        self,
        channel: ChannelId,
        *,
        before: int | None = None,
        thread: int | None = None,
        limit: int = 50,
    ) -> Sequence[RoomMessage]:
        """Returns the newest messages, oldest first; `thread` limits to its root and replies."""
        ...

    async def set_reaction(
        self, number: int, emoji: str, user: UserId, *, on: bool = True
    ) -> None: ...
    async def list_channels(self) -> Sequence[ChannelId]:
        """Returns the channels that have messages, by name."""
        ...

    async def list_authors(self) -> Sequence[UserId]:
        """Returns the authors of messages, with the assistant, by id."""
        ...

    async def file_references(self) -> Sequence[str]:
        """Returns the references of all files attached to messages."""
        ...
