"""A fake chat platform that stores messages, with ephemerals, streams and forms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bot.domain import ChannelId, Message, MessageId, Place, User, UserId, WorkspaceId
from bot.errors import EmptyAnswer, MessageGone, SurfaceError
from bot.events import Event
from bot.replies import Document, Drawn, Form, Stream, Text

CHANNEL = ChannelId("C1")


@dataclass(slots=True)
class FakePlatform:
    """Implements `bot.ports.surface.Surface` and its optional protocols in memory."""

    channel: ChannelId = CHANNEL
    said: list[Message] = field(default_factory=list)
    posts: dict[str, Drawn] = field(default_factory=dict)
    whispers: list[Drawn] = field(default_factory=list)
    forms: list[Form] = field(default_factory=list)
    files: list[bytes] = field(default_factory=list)
    reactions: list[tuple[MessageId, str]] = field(default_factory=list)
    people: dict[UserId, User] = field(default_factory=dict)
    deleted: set[MessageId] = field(default_factory=set)
    fault: SurfaceError | None = None
    """Error that every post raises while it is set."""

    @property
    def own_ids(self) -> list[MessageId]:
        return [MessageId(f"own{number}") for number in range(len(self.posts))]

    async def fetch_user(self, place: Place, user: UserId) -> User:
        return self.people.get(user, User(user, user))

    def hears(self, text: str, *, by: str, reply_to: int | None = None) -> Message:
        """Adds a user's message that is not addressed to the bot."""
        number = MessageId(str(len(self.said) + 1))
        place = Place(WorkspaceId("slack:T1"), self.channel)
        reply_to_id = None if reply_to is None else MessageId(str(reply_to))
        at = datetime(2026, 11, 3, 9, tzinfo=UTC)
        self.said.append(Message(place, number, User(UserId(by), by), text, at, reply_to_id))
        return self.said[-1]

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        if self.fault is not None:
            raise self.fault
        self.posts[key] = reply
        return MessageId(f"own{list(self.posts).index(key)}")

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None:
        if message not in self.own_ids or message in self.deleted:
            raise MessageGone
        self.posts[list(self.posts)[self.own_ids.index(message)]] = reply

    async def react(self, place: Place, message: MessageId, emoji: str) -> None:
        self.reactions.append((message, emoji))

    async def fetch_message(self, place: Place, message: MessageId) -> Message | None:
        return next((stored for stored in self.said if stored.id == message), None)

    async def thread_before(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        earlier = await self.fetch_message(place, before)
        chain: list[Message] = []
        while earlier is not None and earlier.reply_to is not None:
            earlier = await self.fetch_message(place, earlier.reply_to)
            if earlier is not None:
                chain.insert(0, earlier)
        return chain

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        earlier = [stored for stored in self.said if int(stored.id) < int(before)]
        return earlier[-limit:]

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        text, message = "", None
        async for piece in stream.pieces:
            text += piece
            if message is None:
                message = await self.post(place, Text(text), key=key)
                await stream.on_posted(message)
            self.posts[key] = Text(text)
        if message is None:
            raise EmptyAnswer
        return message

    async def send_ephemeral(self, event: Event, reply: Drawn) -> None:
        self.whispers.append(reply)

    async def open_form(self, event: Event, form: Form) -> None:
        self.forms.append(form)

    async def send_file(self, event: Event, document: Document) -> None:
        self.files.append(b"".join([chunk async for chunk in document.chunks]))
