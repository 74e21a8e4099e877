"""The platform of the local workspace: stores its messages and publishes their changes."""

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

from adapters.plain_text import draw_reply_without_buttons
from adapters.room_changes import (
    AnswerAwaited,
    AnswerBegun,
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
from bot.replies import VOTE_BUTTON_PREFIX, Card, Document, Drawn, Form, Listing, Stream, Text

log = logging.getLogger(__name__)

DEFAULT_CHANNEL = ChannelId("general")
ASSISTANT_USER = User(UserId("attune"), "attune", is_bot=True)

WINDOW_KEY_PREFIX = "studio-"
"""Prefix of the event keys of studio windows, which download files themselves."""

_BLOCK = 64 * 1024
_MENTION = re.compile(r"(?<!\w)@attune(?!\w)", re.IGNORECASE)
_FILE_NAME_BYTES = 16
_FILE_NAME = re.compile(f"[0-9a-f]{{{2 * _FILE_NAME_BYTES}}}")
_LEADING_MENTION = re.compile(r"\s*@attune(?!\w)[,:]?\s*", re.IGNORECASE)
_MESSAGE_KEY = re.compile(r"\broom:(\d+)\b")


@dataclass(frozen=True, slots=True)
class _Body:
    """A stored reply: exactly one of text, card and listing."""

    text: Text | None = None
    card: Card | None = None
    listing: Listing | None = None
    others: dict[str, object] = field(default_factory=dict)
    """The same reply in other languages, as JSON by language."""


_BODY: TypeAdapter[_Body] = TypeAdapter(_Body)
_UNTRANSLATED = frozenset(
    {"action", "link", "id", "tone", "marks", ("facts", "name"), ("columns", "text")}
)
"""Fields of replies, or (outer, inner) fields, that are not translated."""


@dataclass(slots=True)
class OpenAnswer:
    """An answer that is being written: its message once there is one, and its text so far."""

    place: Place
    number: int | None = None
    text: str = ""


class LocalRoom:
    """The chat platform of the studio and the console, for any number of views.

    `run` is a part of the event keys of this process that differs from earlier processes. Files
    for people are written into `exports` and never overwrite one another.
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
        self._subscriptions: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self.open_answers: dict[str, OpenAnswer] = {}
        """Answers that are being written, by the key of the question's event."""

    def watch(self) -> Subscription:
        """Returns a subscription to every later change."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        return subscription

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        return message_id_of(await self._post(place, reply, key=key))

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None:
        self._publish_change(Updated(await self._rewrite(_number(message), reply)))

    async def react(self, place: Place, message: MessageId, emoji: str) -> None:
        await self.set_reaction(_number(message), emoji, ASSISTANT_USER.id)

    async def fetch_message(self, place: Place, message: MessageId) -> Message | None:
        stored = await self.message(_number(message))
        if stored is None or stored.channel != place.channel or is_deleted(stored):
            return None
        return to_domain_message(stored)

    async def thread_before(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        if place.thread:
            return await self.messages_before(place, before, limit)
        async with self._store.reading() as records:
            messages = await _reply_chain(records, _number(before), limit)
        return [to_domain_message(message) for message in messages if _is_conversation(message)]

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        thread = _number(place.thread) if place.thread else None
        async with self._store.reading() as records:
            messages = await records.room.page(
                place.channel, before=_number(before), thread=thread, limit=limit
            )
        return [to_domain_message(message) for message in messages if _is_conversation(message)]

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        """Stores the answer at its first text and at its end; publishes each piece in between."""
        answer = self.open_answers[key] = OpenAnswer(place)
        self._publish_change(AnswerAwaited(key, place))
        try:
            async for piece in stream.pieces:
                answer.text += piece
                if answer.number is not None:
                    self._publish_change(PartialAnswer(answer.number, _storable(answer.text)))
                elif answer.text.strip():
                    await self._begin(answer, stream, key)
        finally:
            # An attempt with the same key that began later has its own entry.
            if self.open_answers.get(key) is answer:
                del self.open_answers[key]
            if answer.number is None:
                self._publish_change(AnswerBegun(key))
            else:
                await self._close(answer.number, _ended_text(answer, stream))
        if answer.number is None:
            raise EmptyAnswer
        return MessageId(str(answer.number))

    async def _begin(self, answer: OpenAnswer, stream: Stream, key: str) -> None:
        """Posts the first text, or overwrites the message of an interrupted attempt."""
        text, interrupted = Text(_storable(answer.text)), stream.unfinished_message
        if interrupted is not None:
            with suppress(MessageGone):
                message = await self._rewrite(_number(interrupted), text)
                answer.number = message.number
                self._publish_change(Updated(message, is_partial=True))
        if answer.number is None:
            posted = await self._post(answer.place, text, key=key, is_partial=True)
            answer.number = posted.number
        self._publish_change(AnswerBegun(key))
        await stream.on_posted(MessageId(str(answer.number)))

    async def open_form(self, event: Event, form: Form) -> None:
        self._publish_change(FormOffered(form, event))

    async def show_form_error(self, event: Event, problem: str) -> None:
        await self._post(event.place, Text(problem, private=True), key=f"{event.key}.error")
        self._publish_change(FormRejected(event))

    async def send_file(self, event: Event, document: Document) -> None:
        path = await self.write_file(document)
        shown_path = path.name if event.key.startswith(WINDOW_KEY_PREFIX) else path
        text = f"{document.text}\n{shown_path}".strip()
        await self._post(event.place, Text(text), key=f"file:{event.key}")
        self._publish_change(FileSent(event, path.name, path))

    async def delete_sent_files(self) -> None:
        """Deletes the exported files, and the attachments whose message was deleted."""
        await asyncio.to_thread(shutil.rmtree, self._exports, ignore_errors=True)
        async with self._store.reading() as records:
            attached = await records.room.file_references()
        await asyncio.to_thread(_unlink_others, self._files, frozenset(attached))

    async def new_file(self, name: str) -> Attachment:
        """Returns a new path for an attachment of a message; the caller writes the file."""
        path = self._files / secrets.token_hex(_FILE_NAME_BYTES)
        await asyncio.to_thread(self._files.mkdir, mode=0o700, parents=True, exist_ok=True)
        return Attachment(name, str(path), platform=LOCAL)

    def file_path(self, name: str) -> Path | None:
        """Returns the path of an attachment by its name in the folder; None for another name."""
        return self._files / name if _FILE_NAME.fullmatch(name) else None

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
        """Posts a message of a person."""
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
        self._publish_change(Posted(message))
        return message

    async def edit_as_person(self, number: int, text: str) -> None:
        """Replaces the text of a person's message. Raises MessageGone."""
        async with self._store.writing() as records:
            message = await records.room.edit(
                number, text=_storable(text), body=None, at=self._clock.now()
            )
        self._publish_change(Updated(_require(message)))

    async def delete_message(self, number: int) -> None:
        """Deletes the text and files of a message; its number stays. Raises MessageGone."""
        message = await self.message(number)
        await self.edit_as_person(number, "")
        for file in message.files if message else ():
            await asyncio.to_thread(Path(file.reference).unlink, missing_ok=True)

    async def set_reaction(
        self, number: int, emoji: str, user: UserId, *, is_removed: bool = False
    ) -> None:
        """Adds a reaction to a message or removes it. Raises MessageGone."""
        async with self._store.writing() as records:
            _require(await records.room.get(number))
            await records.room.set_reaction(number, emoji, user, on=not is_removed)
        self._publish_change(ReactionsUpdated(number, emoji, user, is_removed))

    async def message(self, number: int) -> RoomMessage | None:
        async with self._store.reading() as records:
            return await records.room.get(number)

    async def recent(
        self, channel: ChannelId, *, limit: int, before: int | None = None
    ) -> Sequence[RoomMessage]:
        """Returns the newest messages of a channel, oldest first."""
        async with self._store.reading() as records:
            return await records.room.page(channel, before=before, limit=limit)

    async def has_channel(self, place: Place) -> bool:
        """Whether the channel is the first one or has a message."""
        return place.channel in (DEFAULT_CHANNEL, *await self.channels())

    async def channels(self) -> Sequence[ChannelId]:
        """Returns the channels with messages, by name."""
        async with self._store.reading() as records:
            return await records.room.list_channels()

    async def people(self) -> Sequence[UserId]:
        """Returns the authors of messages, by name, without the assistant."""
        async with self._store.reading() as records:
            return [user for user in await records.room.list_authors() if user != ASSISTANT_USER.id]

    def new_key(self, view: str) -> str:
        """Returns a key for an event that is not the posting of a message."""
        return f"{view}:{self._run}:{next(self._count)}"

    def is_own_event_key(self, view: str, key: str) -> bool:
        """Whether a view of this process created the event key."""
        return key.startswith(f"{view}:{self._run}:")

    async def _post(
        self, place: Place, reply: Drawn, *, key: str, is_partial: bool = False
    ) -> RoomMessage:
        async with self._store.writing() as records:
            message = await records.room.post(
                place.channel,
                author=ASSISTANT_USER,
                text=_storable(draw_reply_without_buttons(reply)),
                body=_to_json(reply),
                is_own=True,
                at=self._clock.now(),
                thread=_number(place.thread) if place.thread else None,
                reply_to=await _answered_number(records, key),
                key=key,
            )
        is_new = message.edited_at is None
        self._publish_change(
            Posted(message, is_partial) if is_new else Updated(message, is_partial)
        )
        return message

    async def _rewrite(self, number: int, reply: Drawn, *, is_answer: bool = False) -> RoomMessage:
        text, body = (
            _storable(draw_reply_without_buttons(reply)),
            _to_json(reply, is_answer=is_answer),
        )
        async with self._store.writing() as records:
            message = await records.room.edit(number, text=text, body=body, at=self._clock.now())
        return _require(message)

    async def _close(self, number: int, answer: Text) -> None:
        message = await self._rewrite(number, answer, is_answer=True)
        self._publish_change(PartialAnswer(number, message.text, is_final=True))
        self._publish_change(Updated(message))

    async def write_file(self, document: Document) -> Path:
        """Writes a file to the exports under a new name; deletes it again on failure."""
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

    def _publish_change(self, change: Change) -> None:
        for subscription in tuple(self._subscriptions):
            subscription.enqueue(change)
        self._publish(change)


def render_message(message: RoomMessage, language: str = "") -> Drawn:
    """Returns the reply that a message shows, in the given language if it is stored in it."""
    if message.body is None:
        return Text(message.text)
    try:
        body = _BODY.validate_json(message.body)
        if language in body.others:
            body = _BODY.validate_python(body.others[language])
    except ValidationError:
        log.warning("A stored reply cannot be read", extra={"number": message.number})
        return Text(message.text)
    return body.text or body.card or body.listing or Text(message.text)


def is_deleted(message: RoomMessage) -> bool:
    """Whether the message was deleted."""
    return not (message.text or message.files) and message.body is None


def is_command(message: RoomMessage) -> bool:
    """Whether the message is a command of a person, which is not learned from."""
    return not message.is_own and message.text.startswith("/")


def _is_conversation(message: RoomMessage) -> bool:
    """Whether the message is part of the history for a model: no command, card or private note."""
    if is_deleted(message) or is_command(message):
        return False
    reply = render_message(message)
    return isinstance(reply, Text) and not reply.private


def starts_with_mention(text: str) -> bool:
    """Whether a text begins with a mention of the assistant."""
    return bool(_LEADING_MENTION.match(text))


def mentions_assistant(text: str) -> bool:
    """Whether a text mentions the assistant anywhere."""
    return bool(_MENTION.search(text))


def without_leading_mention(text: str) -> str:
    """Returns a text without a mention of the assistant at its beginning."""
    mention = _LEADING_MENTION.match(text)
    return text[mention.end() :] if mention else text


def to_domain_message(message: RoomMessage) -> Message:
    """Returns a message of the room as the core's type, without a mention at its beginning."""
    return Message(
        place=place_of(message),
        id=message_id_of(message),
        author=message.author,
        text=message.text if message.is_own else without_leading_mention(message.text),
        at=message.at,
        reply_to=None if message.reply_to is None else MessageId(str(message.reply_to)),
        is_own=message.is_own,
        files=message.files,
    )


def _unlink_others(folder: Path, attached: frozenset[str]) -> None:
    """Deletes the files of a folder whose paths are not in `attached`."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if str(path) not in attached:
            path.unlink(missing_ok=True)


def _ended_text(answer: OpenAnswer, stream: Stream) -> Text:
    """Returns the text and the buttons of an answer that has ended, also of a stopped one.

    The vote buttons are left out, as the studio draws its own.
    """
    buttons = tuple(
        button for button in stream.buttons() if not button.action.startswith(VOTE_BUTTON_PREFIX)
    )
    words = stream.other_words()
    return Text(_storable(answer.text), buttons=buttons, other_words=words)


async def _reply_chain(records: Records, number: int, limit: int) -> Sequence[RoomMessage]:
    """Returns the messages to which message `number` replies, oldest first."""
    chain: list[RoomMessage] = []
    message = await records.room.get(number)
    while message and message.reply_to is not None and len(chain) < limit:
        message = await records.room.get(message.reply_to)
        if message:
            chain.insert(0, message)
    return chain


async def _answered_number(records: Records, key: str) -> int | None:
    """Returns the number of the message that an answer's key names, if it exists.

    The key contains the key of the question's event, such as `room:7` for message 7.
    """
    match = _MESSAGE_KEY.search(key)
    message = await records.room.get(int(match[1])) if match else None
    return message.number if message else None


def _to_json(reply: Drawn, *, is_answer: bool = False) -> str:
    """Returns a reply as JSON in all its languages; of an answer only buttons are translated."""
    body = _body(replace(reply, other_words={}))
    original = _BODY.dump_python(body, mode="json", exclude_defaults=True)
    for language, translate in reply.other_words.items():
        translated = _translated(original, translate, is_fixed=is_answer)
        if translated != original:
            body.others[language] = translated
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


def _translated(
    value: object, translate: Callable[[str], str], *, within: str = "", is_fixed: bool = False
) -> object:
    """Returns the JSON of a reply with Attune's texts translated.

    `within` is the field that contains the value. With `is_fixed` only buttons are translated.
    """
    if isinstance(value, str):
        return value if is_fixed else translate(value)
    if isinstance(value, list):
        return [_translated(item, translate, within=within, is_fixed=is_fixed) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: inner
        if name in _UNTRANSLATED or (within, name) in _UNTRANSLATED
        else _translated(inner, translate, within=name, is_fixed=is_fixed and name != "buttons")
        for name, inner in value.items()
    }


def _storable(text: str) -> str:
    """Returns a text with surrogate pairs joined and lone surrogates replaced."""
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


def _require(message: RoomMessage | None) -> RoomMessage:
    """Returns the message. Raises MessageGone for None."""
    if message is None:
        raise MessageGone
    return message


def place_of(message: RoomMessage) -> Place:
    thread = None if message.thread is None else MessageId(str(message.thread))
    return Place(LOCAL, message.channel, thread)


def message_id_of(message: RoomMessage) -> MessageId:
    return MessageId(str(message.number))


def _number(message: MessageId) -> int:
    if not message.isdecimal():
        raise MessageGone
    return int(message)
