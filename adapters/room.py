"""The local workspace's platform: its messages last in the store, its views watch them change."""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
import shutil
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, assert_never

from pydantic import TypeAdapter, ValidationError

from adapters.changes import (
    Change,
    FileSent,
    FormOffered,
    FormRejected,
    PartialAnswer,
    Posted,
    ReactionsUpdated,
    Subscription,
    Updated,
)
from adapters.text_layout import draw_words
from bot.domain import (
    LOCAL,
    Attachment,
    ChannelId,
    Message,
    MessageId,
    Place,
    RoomMessage,
    User,
    UserId,
)
from bot.errors import EmptyAnswer, MessageGone, SurfaceError
from bot.events import Event
from bot.ports.store import Clock, Records, Store
from bot.replies import VOTE, Button, Card, Document, Drawn, Form, Listing, Stream, Text

log = logging.getLogger(__name__)

FIRST_CHANNEL = ChannelId("general")
ASSISTANT = User(UserId("attune"), "attune", is_bot=True)

WINDOW = "studio-"
"""The keys of events of a studio window begin so; it fetches files for its person itself."""

_BLOCK = 64 * 1024
_MENTION = re.compile(r"(?<!\w)@attune(?!\w)", re.IGNORECASE)
_CALL = re.compile(r"\s*@attune(?!\w)[,:]?\s*", re.IGNORECASE)
_SPOKEN = re.compile(r"\broom:(\d+)\b")


@dataclass(frozen=True, slots=True)
class _Body:
    """A reply as it is kept: exactly one of these."""

    text: Text | None = None
    card: Card | None = None
    listing: Listing | None = None
    others: dict[str, object] = field(default_factory=dict)
    """By language, the same reply in other words."""


_BODY: TypeAdapter[_Body] = TypeAdapter(_Body)
_CODES = frozenset(
    {"action", "link", "id", "tone", "marks", ("facts", "name"), ("columns", "text")}
)
"""Fields of replies, alone or within another, that are the same in every language."""


class LocalRoom:
    """A chat platform of our own, for any number of views.

    `run` sets the keys of this process's events apart from those of others;
    files for people are written into `exports` and never overwrite one another.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        publish: Callable[[Change], None],
        *,
        exports: Path,
        run: str,
    ) -> None:
        self._store = store
        self._clock = clock
        self._publish = publish
        self._exports = exports
        self._files = exports.parent / "room-files"
        self._run = run
        self._count = itertools.count(1)
        self._watches: weakref.WeakSet[Subscription] = weakref.WeakSet()

    def watch(self) -> Subscription:
        """Every change from now on."""
        watch = Subscription()
        self._watches.add(watch)
        return watch

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        return id_of(await self._post(place, reply, key=key))

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None:
        self._tell(Updated(await self._rewrite(_number(message), reply)))

    async def react(self, place: Place, message: MessageId, emoji: str) -> None:
        await self.set_reaction(_number(message), emoji, ASSISTANT.id)

    async def fetch(self, place: Place, message: MessageId) -> Message | None:
        found = await self.message(_number(message))
        is_here = found is not None and found.channel == place.channel and not is_gone(found)
        return to_domain_message(found) if found and is_here else None

    async def history(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        if place.thread:
            return await self.messages_before(place, before, limit)
        async with self._store.reading() as records:
            found = await _chain(records, _number(before), limit)
        return [to_domain_message(message) for message in found if _is_conversation(message)]

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        thread = _number(place.thread) if place.thread else None
        async with self._store.reading() as records:
            found = await records.room.page(
                place.channel, before=_number(before), thread=thread, limit=limit
            )
        return [to_domain_message(message) for message in found if _is_conversation(message)]

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        """Kept at the first text and at the end; what comes between is only shown live."""
        written, message = "", None
        buttons: tuple[Button, ...] = ()
        try:
            async for piece in stream.pieces:
                written += piece
                if message:
                    self._tell(PartialAnswer(message.number, _storable(written)))
                elif written.strip():
                    message = await self._begin(place, written, stream.unfinished_message, key)
                    await stream.on_posted(id_of(message))
            buttons = tuple(one for one in stream.buttons() if not one.action.startswith(VOTE))
        finally:
            if message:
                words = stream.other_words()
                answer = Text(_storable(written), buttons=buttons, other_words=words)
                await self._close(message.number, answer)
        if message is None:
            raise EmptyAnswer
        return id_of(message)

    async def _begin(
        self, place: Place, written: str, standing: MessageId | None, key: str
    ) -> RoomMessage:
        """In the place of what stands there from an earlier answer, if that is not gone."""
        text = Text(_storable(written))
        if standing is not None:
            with suppress(MessageGone):
                message = await self._rewrite(_number(standing), text)
                self._tell(Updated(message, is_partial=True))
                return message
        return await self._post(place, text, key=key, is_partial=True)

    async def open_form(self, event: Event, form: Form) -> None:
        self._tell(FormOffered(form, event))

    async def return_form(self, event: Event, problem: str) -> None:
        await self._post(event.place, Text(problem, private=True), key=f"{event.key}.error")
        self._tell(FormRejected(event))

    async def send_file(self, event: Event, document: Document) -> None:
        path = await self.write_file(document)
        shown = path.name if event.key.startswith(WINDOW) else path
        text = f"{document.text}\n{shown}".strip()
        await self._post(event.place, Text(text), key=f"file:{event.key}")
        self._tell(FileSent(event, path.name, path))

    async def forget_files(self) -> None:
        """Those written for people, and those whose message is gone."""
        await asyncio.to_thread(shutil.rmtree, self._exports, ignore_errors=True)
        async with self._store.reading() as records:
            kept = await records.room.file_references()
        await asyncio.to_thread(_unlink_others, self._files, frozenset(kept))

    async def new_file(self, name: str) -> Attachment:
        """A place for a file that will come with a message; whoever asked writes it there."""
        path = self._files / secrets.token_hex(16)
        await asyncio.to_thread(self._files.mkdir, mode=0o700, parents=True, exist_ok=True)
        return Attachment(name, str(path), platform=LOCAL)

    async def read_file(self, place: Place, attachment: Attachment) -> AsyncIterator[bytes]:
        with _as_surface_error():
            file = await asyncio.to_thread(Path(attachment.reference).open, "rb")
        try:
            with _as_surface_error():
                while block := await asyncio.to_thread(file.read, _BLOCK):
                    yield block
        finally:
            file.close()

    async def post_as_person(
        self,
        channel: ChannelId,
        author: User,
        text: str,
        *,
        reply_to: int | None = None,
        thread: int | None = None,
        files: Sequence[Attachment] = (),
    ) -> RoomMessage:
        """A person writes."""
        async with self._store.writing() as records:
            message = await records.room.post(
                channel,
                author=author,
                text=_storable(text),
                body=None,
                is_own=False,
                at=self._clock.now(),
                thread=thread,
                reply_to=reply_to,
                files=files,
            )
        self._tell(Posted(message))
        return message

    async def edit_as_person(self, number: int, text: str) -> None:
        """A person rewrites a message; nothing is left of the old text. Raises MessageGone."""
        async with self._store.writing() as records:
            message = await records.room.edit(
                number, text=_storable(text), body=None, at=self._clock.now()
            )
        self._tell(Updated(_found(message)))

    async def delete_message(self, number: int) -> None:
        """A person takes a message back: its number stays, its text goes. Raises MessageGone."""
        message = await self.message(number)
        await self.edit_as_person(number, "")
        for file in message.files if message else ():
            await asyncio.to_thread(Path(file.reference).unlink, missing_ok=True)

    async def set_reaction(
        self, number: int, emoji: str, user: UserId, *, is_removed: bool = False
    ) -> None:
        """Somebody puts an emoji on a message, or takes it off. Raises MessageGone."""
        async with self._store.writing() as records:
            _found(await records.room.get(number))
            await records.room.react(number, emoji, user, on=not is_removed)
        self._tell(ReactionsUpdated(number, emoji, user, is_removed))

    async def message(self, number: int) -> RoomMessage | None:
        async with self._store.reading() as records:
            return await records.room.get(number)

    async def recent(
        self, channel: ChannelId, *, limit: int, before: int | None = None
    ) -> Sequence[RoomMessage]:
        """The newest so many, oldest first."""
        async with self._store.reading() as records:
            return await records.room.page(channel, before=before, limit=limit)

    async def find_channel(self, place: Place) -> bool:
        """Whether it is the first one, or anything was ever said there."""
        return place.channel in (FIRST_CHANNEL, *await self.channels())

    async def channels(self) -> Sequence[ChannelId]:
        """Where anything was said, by name."""
        async with self._store.reading() as records:
            return await records.room.channels()

    async def people(self) -> Sequence[UserId]:
        """Who has spoken here, by name."""
        async with self._store.reading() as records:
            return [user for user in await records.room.people() if user != ASSISTANT.id]

    def new_key(self, view: str) -> str:
        """A key for an event that no message stands for."""
        return f"{view}:{self._run}:{next(self._count)}"

    def is_own_event_key(self, view: str, key: str) -> bool:
        """Whether a view of this process made the key."""
        return key.startswith(f"{view}:{self._run}:")

    async def _post(
        self, place: Place, reply: Drawn, *, key: str, is_partial: bool = False
    ) -> RoomMessage:
        async with self._store.writing() as records:
            message = await records.room.post(
                place.channel,
                author=ASSISTANT,
                text=_storable(draw_words(reply)),
                body=_to_json(reply),
                is_own=True,
                at=self._clock.now(),
                thread=_number(place.thread) if place.thread else None,
                reply_to=await _answered(records, key),
                key=key,
            )
        is_new = message.edited_at is None
        self._tell(Posted(message, is_partial) if is_new else Updated(message, is_partial))
        return message

    async def _rewrite(self, number: int, reply: Drawn, *, is_answer: bool = False) -> RoomMessage:
        text, body = _storable(draw_words(reply)), _to_json(reply, is_answer=is_answer)
        async with self._store.writing() as records:
            message = await records.room.edit(number, text=text, body=body, at=self._clock.now())
        return _found(message)

    async def _close(self, number: int, answer: Text) -> None:
        message = await self._rewrite(number, answer, is_answer=True)
        self._tell(PartialAnswer(number, message.text, is_final=True))
        self._tell(Updated(message))

    async def write_file(self, document: Document) -> Path:
        """Among the exports, whole or not at all, under a name that nothing there has."""
        with _as_surface_error():
            path, file = await asyncio.to_thread(_create, self._exports, document.name)
        try:
            with _as_surface_error(), file:
                async for chunk in document.chunks:
                    await asyncio.to_thread(file.write, chunk)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path

    def _tell(self, change: Change) -> None:
        for watch in tuple(self._watches):
            watch.enqueue(change)
        self._publish(change)


def render_message(message: RoomMessage, language: str = "") -> Drawn:
    """What a view shows of a message, with its buttons; in a language that it was kept in too."""
    if message.body is None:
        return Text(message.text)
    try:
        body = _BODY.validate_json(message.body)
        if language in body.others:
            body = _BODY.validate_python(body.others[language])
    except ValidationError:
        log.warning("a kept reply cannot be read", extra={"number": message.number})
        return Text(message.text)
    return body.text or body.card or body.listing or Text(message.text)


def is_gone(message: RoomMessage) -> bool:
    """Whether its author has taken it back."""
    return not (message.text or message.files) and message.body is None


def is_command(message: RoomMessage) -> bool:
    """Whether a person typed a command; it stands above its reply, and is nothing to learn."""
    return not message.is_own and message.text.startswith("/")


def _is_conversation(message: RoomMessage) -> bool:
    """Whether it is what a model may read as said before: no command, card or private note."""
    if is_gone(message) or is_command(message):
        return False
    reply = render_message(message)
    return isinstance(reply, Text) and not reply.private


def is_addressed(text: str) -> bool:
    """Whether a text begins by calling the assistant."""
    return bool(_CALL.match(text))


def mentions(text: str) -> bool:
    """Whether a text calls the assistant anywhere."""
    return bool(_MENTION.search(text))


def without_call(text: str) -> str:
    """A text without the mention it begins with."""
    called = _CALL.match(text)
    return text[called.end() :] if called else text


def to_domain_message(message: RoomMessage) -> Message:
    """A message in the core's words; a person's is without the mention it begins with."""
    return Message(
        place=place_of(message),
        id=id_of(message),
        author=message.author,
        text=message.text if message.is_own else without_call(message.text),
        at=message.at,
        reply_to=None if message.reply_to is None else MessageId(str(message.reply_to)),
        is_own=message.is_own,
        files=message.files,
    )


def _unlink_others(folder: Path, kept: frozenset[str]) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if str(path) not in kept:
            path.unlink(missing_ok=True)


async def _chain(records: Records, number: int, limit: int) -> Sequence[RoomMessage]:
    chain: list[RoomMessage] = []
    message = await records.room.get(number)
    while message and message.reply_to is not None and len(chain) < limit:
        message = await records.room.get(message.reply_to)
        if message:
            chain.insert(0, message)
    return chain


async def _answered(records: Records, key: str) -> int | None:
    # Keys of answers hold the key of what they answer, and `room:7` is our message 7.
    spoken = _SPOKEN.search(key)
    message = await records.room.get(int(spoken[1])) if spoken else None
    return message.number if message else None


def _to_json(reply: Drawn, *, is_answer: bool = False) -> str:
    """With the reply in every language that it can be told in; of an answer only its buttons."""
    body = _body(replace(reply, other_words={}))
    own = _BODY.dump_python(body, mode="json", exclude_defaults=True)
    for language, translate in reply.other_words.items():
        told = _in_other_words(own, translate, is_fixed=is_answer)
        if told != own:
            body.others[language] = told
    return _BODY.dump_json(body, exclude_defaults=True).decode()


def _body(reply: Drawn) -> _Body:
    match reply:
        case Text():
            return _Body(text=reply)
        case Card():
            return _Body(card=reply)
        case Listing():
            return _Body(listing=reply)
        case _:
            assert_never(reply)


def _in_other_words(
    value: object, translate: Callable[[str], str], *, within: str = "", is_fixed: bool = False
) -> object:
    """The JSON of a reply with all that we say in it translated, but no text of people's."""
    if isinstance(value, str):
        return value if is_fixed else translate(value)
    if isinstance(value, list):
        return [_in_other_words(one, translate, within=within, is_fixed=is_fixed) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: inner
        if name in _CODES or (within, name) in _CODES
        else _in_other_words(inner, translate, within=name, is_fixed=is_fixed and name != "buttons")
        for name, inner in value.items()
    }


def _storable(text: str) -> str:
    """Halves of a character that came in two pieces are joined, lone ones replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _create(folder: Path, name: str) -> tuple[Path, BinaryIO]:
    folder.mkdir(parents=True, exist_ok=True)
    plain = Path(name.replace("\\", "/")).name.lstrip(".") or "export"
    for path in _names(folder.resolve() / plain):
        try:
            return path, path.open("xb")
        except FileExistsError:
            continue
    raise AssertionError("names never run out")


def _names(path: Path) -> Iterator[Path]:
    yield path
    for number in itertools.count(2):
        yield path.with_name(f"{path.stem}-{number}{path.suffix}")


@contextmanager
def _as_surface_error() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SurfaceError(message=error.strerror or str(error)) from error


def _found(message: RoomMessage | None) -> RoomMessage:
    if message is None:
        raise MessageGone
    return message


def place_of(message: RoomMessage) -> Place:
    thread = None if message.thread is None else MessageId(str(message.thread))
    return Place(LOCAL, message.channel, thread)


def id_of(message: RoomMessage) -> MessageId:
    return MessageId(str(message.number))


def _number(message: MessageId) -> int:
    if not message.isdecimal():
        raise MessageGone
    return int(message)
