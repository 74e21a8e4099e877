"""Discord as a place where people talk: the surface that the core speaks through."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

from adapters.chart_image import draw_chart
from adapters.discord import inbound, outbound
from adapters.discord.api import MESSAGE, MESSAGES, OWN_REACTION, Api, File, Json, error_code
from adapters.discord.direct_guild_choices import buttons_for_place, mark_with_guild, marked_action
from adapters.discord.form_drafts import DRAFT, FormDrafts
from adapters.discord.inbound import Bot, InteractionHandle
from adapters.discord.interactions import InteractionContext, Interactions
from adapters.discord.lookups import ServerLookups, as_private, no_owner
from adapters.discord.manifest import THREAD_PERMISSIONS
from adapters.discord.members import Members
from adapters.discord.message_writers import ChannelWriter, InteractionWriter
from adapters.discord.outbound import SILENT_FLAG, Payload, nonce
from adapters.discord.texts import sanitize
from adapters.discord.threads import open_thread
from adapters.discord.typing_indicator import TypingIndicator
from adapters.markdown_tables import with_drawn_tables
from adapters.streamed_answer import MessageWriter, StreamedAnswer
from bot.domain import (
    EPHEMERAL,
    Attachment,
    ChannelKind,
    Message,
    MessageId,
    Place,
    UserId,
    WorkspaceId,
)
from bot.domain.ids import id_on_platform
from bot.errors import MessageGone, PlaceClosed, SurfaceError
from bot.events import Event, MessageReceived, ReactionChanged, ShortcutUsed
from bot.replies import Button, Card, Document, Drawn, Form, Listing, Stream, Text

log = logging.getLogger(__name__)

Key = TypeVar("Key")
Value = TypeVar("Value")

_KNOWN_EVENTS = 5000
_KNOWN_MESSAGES = 2000
_LONGEST_CHAIN = 40
_PAGE = 100
_NO_PERMISSION, _TOO_LARGE, _NO_DIRECT = 50013, 40005, 50007
_NO_GUILD = (10004, 50001)
_ANSWER_SECONDS = 10.0
_COURTESIES = (50013, 90001, 30010, 10014, 50001)


async def _no_note(event: Event) -> Text | None:
    return None


async def _not_known(channel: str) -> bool:
    return False


async def _none_missing(place: Place, wanted: int) -> int:
    return 0


class DiscordSurface(ServerLookups):
    """Implements the surface port with all its gifts; `say` words what Discord itself must tell."""

    def __init__(
        self,
        api: Api,
        bot: Callable[[], Bot],
        say: Callable[..., str],
        *,
        ready: Callable[[], Awaitable[None]],
        note: Callable[[Event], Awaitable[Text | None]] = _no_note,
        is_direct: Callable[[str], Awaitable[bool]] = _not_known,
        locate: Callable[[Place], Awaitable[Place]] = as_private,
        missing_permissions: Callable[[Place, int], Awaitable[int]] = _none_missing,
        owner: Callable[[str], str | None] = no_owner,
        names: Callable[[], Mapping[str, str]] = dict,
        members: Members | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(api, ready=ready, locate=locate, owner=owner, names=names, members=members)
        self._note = note
        self._is_direct = is_direct
        self._missing_permissions = missing_permissions
        self._bot = bot
        self._say = say
        self._now = now
        self.interactions = Interactions(api, bot, now)
        self._typing = TypingIndicator(api)
        self._contexts: OrderedDict[str, InteractionContext] = OrderedDict()
        self._handles: OrderedDict[str, InteractionContext] = OrderedDict()
        self._clicks: OrderedDict[str, InteractionContext] = OrderedDict()
        self._posted: OrderedDict[str, MessageId] = OrderedDict()
        self._heard: OrderedDict[str, Message] = OrderedDict()
        self.drafts = FormDrafts()

    def begin_interaction(self, handle: InteractionHandle) -> InteractionContext | None:
        """Takes hold of an interaction before anything is known of it; None for a repeated one."""
        if handle.id in self._handles:
            return None
        context = InteractionContext(handle, self._now())
        _remember(self._handles, handle.id, context, _KNOWN_EVENTS)
        if handle.message is not None:
            prefix = EPHEMERAL if handle.is_ephemeral else ""
            _remember(self._clicks, f"{prefix}{handle.message}", context, _KNOWN_EVENTS)
        return context

    def remember(self, event: Event, handle: InteractionHandle | None) -> None:
        """Remembers an event of this process: what answers it cannot have been posted before."""
        context = self._handles.get(handle.id) if handle else InteractionContext(None, self._now())
        if context is None:
            return
        if isinstance(event.what, ShortcutUsed):
            self.remember_message(event.what.message)
        context.source, context.locale = _source(event, handle), event.locale
        if event.key not in self._contexts:
            _remember(self._contexts, event.key, context, _KNOWN_EVENTS)

    def remember_message(self, said: Message) -> None:
        """A message as it came by, so that a chain of answers need not be asked for."""
        _remember(self._heard, said.id, said, _KNOWN_MESSAGES)

    def forget(self, message: str) -> None:
        self._heard.pop(message, None)

    def forget_place(self, gone: Place) -> None:
        """A channel or thread was deleted, with what was said and typed there."""
        for message in [key for key, said in self._heard.items() if gone.contains(said.place)]:
            del self._heard[message]
        self.drafts.forget(gone)

    def is_own_message(self, message: str) -> bool:
        """Whether a message is one that we posted lately."""
        said = self._heard.get(message)
        return (said is not None and said.is_own) or message in self._posted.values()

    async def tell(self, context: InteractionContext, text: Text) -> None:
        """What the surface itself has to say to somebody."""
        await self._tell(context, text, private=True)

    async def close(self) -> None:
        await self._typing.close()

    async def is_installed(self, workspace: WorkspaceId) -> bool | None:
        """Only Discord's own refusal of the guild, and a list of ours without it, say no."""
        guild = id_on_platform(workspace)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._is_in(guild)
        except (SurfaceError, TimeoutError, ValueError):
            return None

    async def _is_in(self, guild: str) -> bool | None:
        """https://docs.discord.com/developers/resources/user#get-current-user-guilds."""
        try:
            await self._api.call("GET", "/guilds/{guild_id}", {"guild_id": guild}, patience=0)
        except SurfaceError as error:
            if error_code(error) not in _NO_GUILD:
                return None
            around = {"after": str(int(guild) - 1), "limit": 1}
            listed = await self._api.get_list("/users/@me/guilds", query=around)
            return any(str(one.get("id")) == guild for one in listed)
        return True

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        await self._ready()
        reply = await self._owned(place, reply)
        known = self._posted.get(key)
        if known is not None:
            await self.edit(place, known, reply)
            return known
        context = self._context(key)
        # What is followed for longer than an interaction lives is the bot's own message.
        if (
            context is not None
            and self.interactions.is_alive(context)
            and not isinstance(reply, Card)
        ):
            with contextlib.suppress(MessageGone):
                return await self._tell(context, reply, private=False)
        message = await self._post(place, reply, key, context)
        _remember(self._posted, key, message, _KNOWN_EVENTS)
        return message

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None:
        await self._ready()
        reply = await self._owned(place, reply)
        first, *more = outbound.payloads(reply, await _picture(reply))
        if not await self._changed_by_click(message, first):
            await self._edit(_channel(place), message, first, reply)
        for payload in more:
            await self._send(_channel(place), payload)

    async def react(self, place: Place, message: MessageId, emoji: str) -> None:
        """A receipt is a courtesy: without the permission for it there is none."""
        await self._ready()
        at = {"channel_id": _channel(place), "message_id": message, "emoji": emoji}
        try:
            await self._api.call("PUT", OWN_REACTION, at)
        except SurfaceError as error:
            if error_code(error) not in _COURTESIES:
                raise

    async def fetch(self, place: Place, message: MessageId) -> Message | None:
        await self._ready()
        try:
            found = await self._found(place, message)
        except MessageGone:
            return None
        said, heard = self._said(found, place), self._heard.get(message)
        # Without the intent for them the words of others came along with an interaction alone.
        return heard if heard is not None and not said.text else said

    async def _found(self, place: Place, message: MessageId) -> Json:
        """A thread hangs on a message of its channel; a forum's post holds its first one itself."""
        at = {"channel_id": _channel(place), "message_id": message}
        try:
            return await self._api.call("GET", MESSAGE, at)
        except MessageGone:
            if message != place.thread:
                raise
            return await self._api.call("GET", MESSAGE, at | {"channel_id": place.channel})

    async def history(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        await self._ready()
        if place.thread is not None:
            return await self._thread(place, before, limit)
        try:
            return await self._chain(place, before, limit)
        except PlaceClosed:
            # Asked where we are no member: nothing but the question is known.
            return []

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        await self._ready()
        query = {"before": before, "limit": min(limit, _PAGE)}
        found = await self._api.get_list(MESSAGES, {"channel_id": _channel(place)}, query=query)
        return [self._said(one, place) for one in reversed(found)]

    async def said_since(self, channel: str, first: str) -> Sequence[Json]:
        """The messages of a channel from one on, oldest first."""
        query = {"after": str(int(first) - 1), "limit": _PAGE}
        found = await self._api.get_list(MESSAGES, {"channel_id": channel}, query=query)
        return sorted(found, key=lambda one: int(one["id"]))

    async def workspace_note(self, event: Event) -> Text | None:
        return await self._note(event)

    async def open_thread(self, place: Place, message: Message) -> Place | None:
        await self._ready()
        if message.id in self._handles:
            # A question asked with `/ask` is no message.
            return None
        missing = await self._missing_permissions(place, sum(THREAD_PERMISSIONS.values()))
        return await open_thread(self._api, place, message, missing=missing)

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        await self._ready()
        channel, context = _channel(place), self._context(key)
        stop = buttons_for_place(place, lambda: stream.buttons_while_written)
        writer = self._writer(channel, key, context, stop)
        async with self._typing.in_channel(channel) as is_answered:

            async def posted(message: MessageId) -> None:
                is_answered()
                _remember(self._posted, f"{key}.answer", message, _KNOWN_EVENTS)
                await stream.on_posted(message)

            buttons = partial(buttons_for_place, place, stream.buttons)
            pieces = (sanitize(piece) async for piece in with_drawn_tables(stream.pieces))
            shown = replace(stream, pieces=pieces, on_posted=posted, buttons=buttons)
            return await StreamedAnswer(writer, shown, now=self._now).run()

    async def send_ephemeral(self, event: Event, reply: Drawn) -> None:
        """Only to the asker where Discord can do that: in answer to a command, click or form."""
        await self._ready()
        reply = await self._owned(event.place, reply)
        context = self._context(event.key)
        if context is not None and self.interactions.is_alive(context):
            with contextlib.suppress(MessageGone):
                # Between the two of us it stays, as a whisper would not.
                is_alone = event.place.kind is ChannelKind.DIRECT
                await self._tell(context, reply, private=not is_alone)
                return
        # A card or listing for one person is more than a quiet word beside the message.
        if "/interaction/" in event.key or not isinstance(reply, Text):
            try:
                await self._tell_alone(event.user.id, outbound.payloads(reply), event.key)
            except SurfaceError as error:
                raise self._explained(error, event.locale) from error
            return
        await self._answer_openly(event, reply, context)

    def can_hold_form(self, form: Form) -> bool:
        return outbound.holds(form)

    async def open_form(self, event: Event, form: Form) -> None:
        """At once while the click is fresh; later a button opens it."""
        await self._ready()
        context = self._context(event.key)
        if event.place.kind is ChannelKind.DIRECT:
            form = replace(form, id=marked_action(form.id, event.place.workspace))
        self.drafts.remember_shown_form(event.place, event.user.id, outbound.modal(form))
        if context is not None and await self.interactions.show(context, outbound.modal(form)):
            return
        action = form.reopen_action or self.drafts.remember_late_form(
            event.place, event.key, event.user.id, outbound.modal(form)
        )
        button = Button(form.title, action, is_primary=True)
        text = self._say("discord.form_late", event.locale)
        await self.send_ephemeral(event, Text(text, private=True, buttons=(button,)))

    async def return_form(self, event: Event, problem: str) -> None:
        """A form cannot answer a form, so a button opens it anew as it was sent."""
        await self._ready()
        action = self.drafts.reopen_action(event.key)
        label = self._say("discord.form_again", event.locale)
        buttons = (Button(label, action, is_primary=True),) if action else ()
        await self.send_ephemeral(event, Text(problem, private=True, buttons=buttons))

    async def open_draft_form(self, context: InteractionContext, action: str, user: str) -> bool:
        """The button under a refusal or under “the form opens here”; False for any other."""
        if not action.startswith(DRAFT):
            return False
        modal = self.drafts.find(action, user)
        if modal is None or not await self.interactions.show(context, modal):
            text = Text(self._say("discord.form_gone", context.locale), private=True)
            await self._tell(context, text, private=True)
        return True

    async def send_file(self, event: Event, document: Document) -> None:
        """Files are for the asker: in answer to the command, else between the two of us."""
        await self._ready()
        data = b"".join([chunk async for chunk in document.chunks])
        (payload,) = outbound.payloads(Text(document.text))
        payload = replace(payload, files=(File(document.name, data),))
        context = self._context(event.key)
        try:
            if context is not None and self.interactions.is_alive(context):
                with contextlib.suppress(MessageGone):
                    await self.interactions.respond(context, [payload], private=True)
                    return
            await self._tell_alone(event.user.id, [payload], event.key)
        except SurfaceError as error:
            raise self._explained(error, event.locale) from error
        if "/interaction/" not in event.key:
            text = self._say("discord.file_sent", event.locale, name=document.name)
            await self._answer_openly(event, Text(text), context)

    async def read_file(self, place: Place, attachment: Attachment) -> AsyncIterator[bytes]:
        await self._ready()
        async for block in self._api.download(attachment.reference):
            yield block

    async def _owned(self, place: Place, reply: Drawn) -> Drawn:
        """In a direct message the buttons name their guild: another may answer there by then."""
        if not _has_buttons(reply):
            return reply
        is_direct = place.kind is ChannelKind.DIRECT or await self._is_direct(place.channel)
        return mark_with_guild(reply, place.workspace) if is_direct else reply

    def _explained(self, error: SurfaceError, locale: str) -> SurfaceError:
        """A file that is too large, or a person who takes no direct messages, in clear words."""
        if error_code(error) == _TOO_LARGE:
            return SurfaceError(message=self._say("discord.too_large", locale))
        if error_code(error) == _NO_DIRECT:
            return SurfaceError(message=self._say("discord.no_direct", locale))
        return error

    async def _tell(self, context: InteractionContext, reply: Drawn, *, private: bool) -> MessageId:
        drawn = outbound.payloads(reply, await _picture(reply))
        is_alone = private or (
            context.interaction is not None and context.interaction.is_user_install
        )
        return await self.interactions.respond(context, drawn, private=is_alone)

    async def _tell_alone(self, user: UserId, payloads: Sequence[Payload], key: str) -> None:
        """Between the two of us, as an answer to what somebody asked."""
        await self._post_once(await self._direct(user), payloads, f"{key}.direct", {})

    async def _answer_openly(
        self, event: Event, reply: Drawn, context: InteractionContext | None
    ) -> None:
        """Discord shows nothing to one person alone here, so it is quiet, beside the message."""
        payloads = outbound.payloads(reply)
        if isinstance(event.what, ReactionChanged) and payloads[0].content:
            called = f"<@{event.user.id}> {payloads[0].content}"[:2000]
            payloads[0] = replace(payloads[0], content=called)
        more = _reference(context.source if context else _source(event, None))
        silent = [replace(one, flags=one.flags | SILENT_FLAG) for one in payloads]
        if not isinstance(event.what, ReactionChanged):
            await self._post_once(_channel(event.place), silent, f"{event.key}.reply", more)
            return
        # One receipt below a message, whoever else reacts to it.
        key = f"{event.place.workspace}/{_channel(event.place)}/{event.what.message}/receipt"
        if (standing := self._posted.get(key)) is not None:
            with contextlib.suppress(MessageGone):
                await self._edit(_channel(event.place), standing, silent[0])
                return
        posted = await self._post_once(_channel(event.place), silent, f"{event.key}.reply", more)
        _remember(self._posted, key, posted, _KNOWN_EVENTS)

    async def _post(
        self, place: Place, reply: Drawn, key: str, context: InteractionContext | None
    ) -> MessageId:
        channel, picture = _channel(place), await _picture(reply)
        is_message = context is not None and context.interaction is None
        more = _reference(context.source if context and is_message else None)
        try:
            return await self._post_drawn(channel, reply, picture, key, more)
        except PlaceClosed:
            if context is not None and self.interactions.is_alive(context):
                return await self._tell(context, reply, private=False)
            raise

    async def _post_drawn(
        self, channel: str, reply: Drawn, picture: bytes | None, key: str, more: Json
    ) -> MessageId:
        """Frames and files need permissions of their own, words do not."""
        try:
            return await self._post_once(channel, outbound.payloads(reply, picture), key, more)
        except PlaceClosed as error:
            if error_code(error) != _NO_PERMISSION:
                raise
            plain = outbound.plain_payloads(reply)
            return await self._post_once(channel, plain, f"{key}.plain", more)

    async def _post_once(
        self, channel: str, payloads: Sequence[Payload], key: str, more: Json
    ) -> MessageId:
        """Discord gives back what it has already taken under a nonce; then it is edited."""
        first, *rest = payloads
        held: Json = {"nonce": nonce(key), "enforce_nonce": True, **more}
        posted = await self._send(channel, first, **held)
        if outbound.differs_from_posted(posted, first):
            await self._edit(channel, str(posted["id"]), first)
        for number, payload in enumerate(rest):
            again: Json = {"nonce": nonce(f"{key}.{number}"), "enforce_nonce": True}
            await self._send(channel, payload, **again)
        return MessageId(str(posted["id"]))

    async def _send(self, channel: str, payload: Payload, *, flags: int = 0, **more: Any) -> Json:
        body = {**payload.body(flags=flags), **more}
        at = {"channel_id": channel}
        return await self._api.call("POST", MESSAGES, at, body=body, files=payload.files)

    async def _edit(
        self, channel: str, message: str, payload: Payload, reply: Drawn | None = None
    ) -> None:
        if message.startswith(EPHEMERAL):
            raise MessageGone
        at = {"channel_id": channel, "message_id": message}
        body = payload.body()
        body.pop("flags", None)
        try:
            await self._api.call("PATCH", MESSAGE, at, body=body, files=payload.files)
        except PlaceClosed as error:
            if error_code(error) != _NO_PERMISSION or reply is None:
                raise
            plain = outbound.plain_payloads(reply)[0]
            await self._edit(channel, message, plain)

    async def _changed_by_click(self, message: MessageId, payload: Payload) -> bool:
        """A click may change its own message, even one that only the asker sees."""
        context = self._clicks.get(message)
        if context is None or not self.interactions.is_alive(context):
            return False
        try:
            await self.interactions.update_message(context, payload)
        except MessageGone:
            return False
        return True

    def _writer(
        self, channel: str, key: str, context: InteractionContext | None, stop: Sequence[Button]
    ) -> MessageWriter:
        if (
            context is not None
            and context.interaction is not None
            and self.interactions.is_alive(context)
        ):
            return InteractionWriter(
                self._api,
                channel,
                key,
                interactions=self.interactions,
                context=context,
                while_written=stop,
            )
        source = context.source if context else key.rpartition("/")[2]
        # What a thread hangs on stands above it, and is no message of it.
        source = None if source == channel else source
        return ChannelWriter(self._api, channel, key, source, while_written=stop)

    async def _thread(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        """What was said in it; a thread hangs on the message that bears its id."""
        if before == place.thread:
            return []
        said = list(await self.messages_before(place, before, limit))
        if place.thread is None or len(said) >= limit:
            return said
        try:
            at = {"channel_id": place.channel, "message_id": place.thread}
            root = self._said(await self._api.call("GET", MESSAGE, at), place)
        except SurfaceError:
            return [one for one in said if one.text or one.files]
        return [one for one in (root, *said) if one.text or one.files]

    async def _chain(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        said = await self._known(place, before)
        chain: list[Message] = []
        while said is not None and said.reply_to is not None:
            if len(chain) >= min(limit, _LONGEST_CHAIN):
                break
            said = await self._known(place, said.reply_to)
            if said is not None:
                chain.insert(0, said)
        return chain

    async def _known(self, place: Place, message: MessageId) -> Message | None:
        heard = self._heard.get(message)
        # Our own words grow while they are written, so they are read where they stand.
        if heard is not None and not heard.is_own:
            return heard
        said = await self.fetch(place, message)
        if said is not None:
            self.remember_message(said)
        return said

    def _said(self, message: Json, place: Place) -> Message:
        return inbound.to_message(message, place, self._bot())

    def _context(self, key: str) -> InteractionContext | None:
        return self._contexts.get(key) or self._contexts.get(key.removesuffix(".error"))


def _source(event: Event, handle: InteractionHandle | None) -> str | None:
    """The message that an answer answers."""
    if handle is not None:
        return None
    match event.what:
        case MessageReceived(message=said):
            return said.id
        case ReactionChanged(message=message):
            return message
        case _:
            tail = event.key.rpartition("/")[2]
            return tail if tail.isdecimal() else None


def _has_buttons(reply: Drawn) -> bool:
    if not isinstance(reply, Listing):
        return bool(reply.buttons)
    return reply.more is not None or any(line.buttons for line in reply.lines)


def _channel(place: Place) -> str:
    return place.thread if place.thread is not None else place.channel


def _reference(source: str | None) -> Json:
    if source is None or not source.isdecimal():
        return {}
    return {"message_reference": {"message_id": source, "fail_if_not_exists": False}}


async def _picture(reply: Drawn) -> bytes | None:
    if not isinstance(reply, Card) or reply.chart is None:
        return None
    return await asyncio.to_thread(draw_chart, reply.chart)


def _remember(kept: OrderedDict[Key, Value], key: Key, value: Value, most: int) -> None:
    kept[key] = value
    kept.move_to_end(key)
    while len(kept) > most:
        kept.popitem(last=False)
