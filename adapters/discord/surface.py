"""Implements the core's surface port for Discord: posts, edits, reads and answers messages."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from adapters.bounded_cache import store_bounded
from adapters.chart_image import draw_reply_chart
from adapters.discord import embeds_and_modals, payload_parsing
from adapters.discord.api_port import (
    MESSAGE_PATH,
    MESSAGES_PATH,
    OWN_REACTION_PATH,
    Api,
    File,
    Json,
    error_code,
)
from adapters.discord.direct_guild_choices import (
    action_with_guild,
    add_guild_to_buttons,
    answer_buttons_for_place,
)
from adapters.discord.embeds_and_modals import SILENT_FLAG, Payload, post_nonce
from adapters.discord.form_drafts import DRAFT_ID_PREFIX, FormDrafts
from adapters.discord.interaction_responses import InteractionContext, Interactions
from adapters.discord.invite_link import THREAD_PERMISSIONS
from adapters.discord.member_cache import MemberCache
from adapters.discord.message_writers import ChannelWriter, InteractionWriter
from adapters.discord.payload_parsing import Bot, InteractionHandle
from adapters.discord.question_threads import open_thread
from adapters.discord.server_lookups import ServerLookups, as_private, no_owner
from adapters.discord.text_escaping import sanitize
from adapters.discord.typing_indicator import TypingIndicator
from adapters.markdown_tables import with_drawn_tables
from adapters.streamed_answer import MessageWriter, StreamedAnswer
from bot.domain import (
    EPHEMERAL_ID_PREFIX,
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

_MAX_EVENTS = 5000
_MAX_MESSAGES = 2000
_MAX_CHAIN_LENGTH = 40
_PAGE = 100
# https://docs.discord.com/developers/topics/opcodes-and-status-codes
_NO_PERMISSION, _TOO_LARGE, _NO_DIRECT = 50013, 40005, 50007
_NO_GUILD = (10004, 50001)
_ANSWER_SECONDS = 10.0
# Missing permission or access, blocked by the author, too many reactions, unknown emoji.
_IGNORED_REACTION_ERRORS = (50013, 90001, 30010, 10014, 50001)


async def _no_note(event: Event) -> Text | None:
    return None


async def _not_direct(channel: str) -> bool:
    return False


async def _none_missing(place: Place, permissions: int) -> int:
    return 0


class DiscordSurface(ServerLookups):
    """The surface of all Discord servers; `say` returns a text of `bot/words` in a language."""

    def __init__(
        self,
        api: Api,
        bot: Callable[[], Bot],
        say: Callable[..., str],
        *,
        ready: Callable[[], Awaitable[None]],
        note: Callable[[Event], Awaitable[Text | None]] = _no_note,
        is_direct: Callable[[str], Awaitable[bool]] = _not_direct,
        locate: Callable[[Place], Awaitable[Place]] = as_private,
        missing_permissions: Callable[[Place, int], Awaitable[int]] = _none_missing,
        owner: Callable[[str], str | None] = no_owner,
        names: Callable[[], Mapping[str, str]] = dict,
        members: MemberCache | None = None,
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
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self.drafts = FormDrafts()

    def begin_interaction(self, handle: InteractionHandle) -> InteractionContext | None:
        """Stores and returns the context of an interaction; returns None for a repeated one."""
        if handle.id in self._handles:
            return None
        context = InteractionContext(handle, self._now())
        store_bounded(self._handles, handle.id, context, _MAX_EVENTS)
        if handle.message is not None:
            prefix = EPHEMERAL_ID_PREFIX if handle.is_ephemeral else ""
            store_bounded(self._clicks, f"{prefix}{handle.message}", context, _MAX_EVENTS)
        return context

    def remember(self, event: Event, handle: InteractionHandle | None) -> None:
        """Remembers the context of an event of this process, for the replies to the event."""
        context = self._handles.get(handle.id) if handle else InteractionContext(None, self._now())
        if context is None:
            return
        if isinstance(event.what, ShortcutUsed):
            self.remember_message(event.what.message)
        context.source, context.locale = _source(event, handle), event.locale
        if event.key not in self._contexts:
            store_bounded(self._contexts, event.key, context, _MAX_EVENTS)

    def remember_message(self, message: Message) -> None:
        """Caches a received message, so that a chain of replies needs fewer API calls."""
        store_bounded(self._messages, message.id, message, _MAX_MESSAGES)

    def forget(self, message: str) -> None:
        self._messages.pop(message, None)

    def forget_place(self, gone: Place) -> None:
        """Removes the cached messages and form drafts of a deleted channel or thread."""
        for message in [m for m in self._messages.values() if gone.contains(m.place)]:
            del self._messages[message.id]
        self.drafts.forget(gone)

    def is_own_message(self, message: str) -> bool:
        """Whether the bot has posted the message lately."""
        cached = self._messages.get(message)
        return (cached is not None and cached.is_own) or message in self._posted.values()

    async def tell(self, context: InteractionContext, text: Text) -> None:
        """Answers an interaction with a text that only its user sees."""
        await self._respond(context, text, private=True)

    async def close(self) -> None:
        await self._typing.close()

    async def is_installed(self, workspace: WorkspaceId) -> bool | None:
        """Whether the bot is in the guild; None if Discord did not answer clearly."""
        guild = id_on_platform(workspace)
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._is_in_guild(guild)
        except (SurfaceError, TimeoutError, ValueError):
            return None

    async def _is_in_guild(self, guild: str) -> bool | None:
        """Whether the bot is in the guild; False only if its own list of guilds confirms that."""
        # https://docs.discord.com/developers/resources/user#get-current-user-guilds
        try:
            await self._api.call("GET", "/guilds/{guild_id}", {"guild_id": guild}, patience=0)
        except SurfaceError as error:
            if error_code(error) not in _NO_GUILD:
                return None
            query = {"after": str(int(guild) - 1), "limit": 1}
            guilds = await self._api.get_list("/users/@me/guilds", query=query)
            return any(str(item.get("id")) == guild for item in guilds)
        return True

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        await self._ready()
        reply = await self._with_guild(place, reply)
        posted = self._posted.get(key)
        if posted is not None:
            await self.edit(place, posted, reply)
            return posted
        context = self._context(key)
        # A card is updated after the interaction's token has expired, so it is a normal message.
        if (
            context is not None
            and self.interactions.is_alive(context)
            and not isinstance(reply, Card)
        ):
            with contextlib.suppress(MessageGone):
                return await self._respond(context, reply, private=False)
        message = await self._post(place, reply, key, context)
        store_bounded(self._posted, key, message, _MAX_EVENTS)
        return message

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None:
        await self._ready()
        reply = await self._with_guild(place, reply)
        first, *more = embeds_and_modals.reply_payloads(reply, await draw_reply_chart(reply))
        if not await self._update_clicked(message, first):
            await self._edit(_channel(place), message, first, reply)
        for payload in more:
            await self._send(_channel(place), payload)

    async def react(self, place: Place, message: MessageId, emoji: str) -> None:
        """Adds a reaction; does nothing if Discord does not allow it."""
        await self._ready()
        path = {"channel_id": _channel(place), "message_id": message, "emoji": emoji}
        try:
            await self._api.call("PUT", OWN_REACTION_PATH, path)
        except SurfaceError as error:
            if error_code(error) not in _IGNORED_REACTION_ERRORS:
                raise

    async def fetch_message(self, place: Place, message: MessageId) -> Message | None:
        await self._ready()
        try:
            fetched = self._to_message(await self._fetch(place, message), place)
        except MessageGone:
            return None
        cached = self._messages.get(message)
        # Without the message content intent the API omits texts that an interaction contained.
        return cached if cached is not None and not fetched.text else fetched

    async def _fetch(self, place: Place, message: MessageId) -> Json:
        """Returns a message; looks for a thread's first message in its parent channel too."""
        path = {"channel_id": _channel(place), "message_id": message}
        try:
            return await self._api.call("GET", MESSAGE_PATH, path)
        except MessageGone:
            if message != place.thread:
                raise
            return await self._api.call("GET", MESSAGE_PATH, path | {"channel_id": place.channel})

    async def thread_before(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        await self._ready()
        if place.thread is not None:
            return await self._thread_page(place, before, limit)
        try:
            return await self._reply_chain(place, before, limit)
        except PlaceClosed:
            # The bot is not a member of the channel, so it can read only the question.
            return []

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        await self._ready()
        query = {"before": before, "limit": min(limit, _PAGE)}
        path = {"channel_id": _channel(place)}
        newest_first = await self._api.get_list(MESSAGES_PATH, path, query=query)
        return [self._to_message(message, place) for message in reversed(newest_first)]

    async def said_since(self, channel: str, first: str) -> Sequence[Json]:
        """Returns the messages of a channel from `first` on as JSON, oldest first; at most 100."""
        query = {"after": str(int(first) - 1), "limit": _PAGE}
        messages = await self._api.get_list(MESSAGES_PATH, {"channel_id": channel}, query=query)
        return sorted(messages, key=lambda message: int(message["id"]))

    async def workspace_note(self, event: Event) -> Text | None:
        return await self._note(event)

    async def open_thread(self, place: Place, message: Message) -> Place | None:
        await self._ready()
        if message.id in self._handles:
            # The id is that of a `/ask` interaction, which is not a message.
            return None
        missing = await self._missing_permissions(place, sum(THREAD_PERMISSIONS.values()))
        return await open_thread(self._api, place, message, missing=missing)

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        await self._ready()
        channel, context = _channel(place), self._context(key)
        stop = answer_buttons_for_place(place, lambda: stream.buttons_while_written)
        writer = self._writer(channel, key, context, stop)
        async with self._typing.in_channel(channel) as is_answered:

            async def posted(message: MessageId) -> None:
                is_answered()
                store_bounded(self._posted, f"{key}.answer", message, _MAX_EVENTS)
                await stream.on_posted(message)

            buttons = partial(answer_buttons_for_place, place, stream.buttons)
            pieces = (sanitize(piece) async for piece in with_drawn_tables(stream.pieces))
            rendered = replace(stream, pieces=pieces, on_posted=posted, buttons=buttons)
            return await StreamedAnswer(writer, rendered, now=self._now).run()

    async def send_ephemeral(self, event: Event, reply: Drawn) -> None:
        """Sends a reply only to the user; without an interaction, a text goes to the channel."""
        await self._ready()
        reply = await self._with_guild(event.place, reply)
        context = self._context(event.key)
        if context is not None and self.interactions.is_alive(context):
            with contextlib.suppress(MessageGone):
                # Not ephemeral in a direct message, where only the user sees it and it stays.
                is_direct = event.place.kind is ChannelKind.DIRECT
                await self._respond(context, reply, private=not is_direct)
                return
        # Cards and listings for one person do not belong in the channel.
        if "/interaction/" in event.key or not isinstance(reply, Text):
            try:
                await self._send_direct(
                    event.user.id, embeds_and_modals.reply_payloads(reply), event.key
                )
            except SurfaceError as error:
                raise self._with_explanation(error, event.locale) from error
            return
        await self._reply_in_channel(event, reply, context)

    def can_hold_form(self, form: Form) -> bool:
        return embeds_and_modals.fits_in_modal(form)

    async def open_form(self, event: Event, form: Form) -> None:
        """Opens a modal; sends a button that opens it if the interaction is answered or expired."""
        await self._ready()
        context = self._context(event.key)
        if event.place.kind is ChannelKind.DIRECT:
            form = replace(form, id=action_with_guild(form.id, event.place.workspace))
        self.drafts.store_shown_form(event.place, event.user.id, embeds_and_modals.to_modal(form))
        if context is not None and await self.interactions.show(
            context, embeds_and_modals.to_modal(form)
        ):
            return
        action = form.reopen_action or self.drafts.remember_late_form(
            event.place, event.key, event.user.id, embeds_and_modals.to_modal(form)
        )
        button = Button(form.title, action, is_primary=True)
        text = self._say("discord.form_late", event.locale)
        await self.send_ephemeral(event, Text(text, private=True, buttons=(button,)))

    async def show_form_error(self, event: Event, problem: str) -> None:
        """Sends the problem with a button for the form, as no modal can answer a modal."""
        await self._ready()
        action = self.drafts.reopen_action(event.key)
        label = self._say("discord.form_again", event.locale)
        buttons = (Button(label, action, is_primary=True),) if action else ()
        await self.send_ephemeral(event, Text(problem, private=True, buttons=buttons))

    async def open_draft_form(self, context: InteractionContext, action: str, user: str) -> bool:
        """Opens the form draft that a button names; returns False for other buttons."""
        if not action.startswith(DRAFT_ID_PREFIX):
            return False
        modal = self.drafts.find(action, user)
        if modal is None or not await self.interactions.show(context, modal):
            text = Text(self._say("discord.form_gone", context.locale), private=True)
            await self._respond(context, text, private=True)
        return True

    async def send_file(self, event: Event, document: Document) -> None:
        """Sends a file to the user: ephemerally for an interaction, else as a direct message."""
        await self._ready()
        data = b"".join([chunk async for chunk in document.chunks])
        (payload,) = embeds_and_modals.reply_payloads(Text(document.text))
        payload = replace(payload, files=(File(document.name, data),))
        context = self._context(event.key)
        try:
            if context is not None and self.interactions.is_alive(context):
                with contextlib.suppress(MessageGone):
                    await self.interactions.respond(context, [payload], private=True)
                    return
            await self._send_direct(event.user.id, [payload], event.key)
        except SurfaceError as error:
            raise self._with_explanation(error, event.locale) from error
        if "/interaction/" not in event.key:
            text = self._say("discord.file_sent", event.locale, name=document.name)
            await self._reply_in_channel(event, Text(text), context)

    async def read_file(self, place: Place, attachment: Attachment) -> AsyncIterator[bytes]:
        await self._ready()
        async for block in self._api.download(attachment.reference):
            yield block

    async def _with_guild(self, place: Place, reply: Drawn) -> Drawn:
        """Adds the guild to the buttons of a direct message, which belongs to no guild."""
        if not _has_buttons(reply):
            return reply
        is_direct = place.kind is ChannelKind.DIRECT or await self._is_direct(place.channel)
        return add_guild_to_buttons(reply, place.workspace) if is_direct else reply

    def _with_explanation(self, error: SurfaceError, locale: str) -> SurfaceError:
        """Returns the error with a text for a too large file or refused direct messages."""
        if error_code(error) == _TOO_LARGE:
            return SurfaceError(message=self._say("discord.too_large", locale))
        if error_code(error) == _NO_DIRECT:
            return SurfaceError(message=self._say("discord.no_direct", locale))
        return error

    async def _respond(
        self, context: InteractionContext, reply: Drawn, *, private: bool
    ) -> MessageId:
        payloads = embeds_and_modals.reply_payloads(reply, await draw_reply_chart(reply))
        is_private = private or (
            context.interaction is not None and context.interaction.is_user_install
        )
        return await self.interactions.respond(context, payloads, private=is_private)

    async def _send_direct(self, user: UserId, payloads: Sequence[Payload], key: str) -> None:
        """Sends a direct message once for an event's key."""
        await self._post_once(await self._direct(user), payloads, f"{key}.direct", {})

    async def _reply_in_channel(
        self, event: Event, reply: Drawn, context: InteractionContext | None
    ) -> None:
        """Replies silently to an event's message; the reactions to a message share one reply."""
        payloads = embeds_and_modals.reply_payloads(reply)
        if isinstance(event.what, ReactionChanged) and payloads[0].content:
            content = f"<@{event.user.id}> {payloads[0].content}"[:2000]
            payloads[0] = replace(payloads[0], content=content)
        fields = _reference(context.source if context else _source(event, None))
        silent = [replace(payload, flags=payload.flags | SILENT_FLAG) for payload in payloads]
        if not isinstance(event.what, ReactionChanged):
            await self._post_once(_channel(event.place), silent, f"{event.key}.reply", fields)
            return
        key = f"{event.place.workspace}/{_channel(event.place)}/{event.what.message}/receipt"
        if (earlier := self._posted.get(key)) is not None:
            with contextlib.suppress(MessageGone):
                await self._edit(_channel(event.place), earlier, silent[0])
                return
        posted = await self._post_once(_channel(event.place), silent, f"{event.key}.reply", fields)
        store_bounded(self._posted, key, posted, _MAX_EVENTS)

    async def _post(
        self, place: Place, reply: Drawn, key: str, context: InteractionContext | None
    ) -> MessageId:
        channel, picture = _channel(place), await draw_reply_chart(reply)
        is_message = context is not None and context.interaction is None
        fields = _reference(context.source if context and is_message else None)
        try:
            return await self._post_drawn(channel, reply, picture, key, fields)
        except PlaceClosed:
            if context is not None and self.interactions.is_alive(context):
                return await self._respond(context, reply, private=False)
            raise

    async def _post_drawn(
        self, channel: str, reply: Drawn, picture: bytes | None, key: str, fields: Json
    ) -> MessageId:
        """Posts a reply; as plain text if the bot lacks a permission for embeds or files."""
        payloads = embeds_and_modals.reply_payloads(reply, picture)
        try:
            return await self._post_once(channel, payloads, key, fields)
        except PlaceClosed as error:
            if error_code(error) != _NO_PERMISSION:
                raise
            plain = embeds_and_modals.plain_reply_payloads(reply)
            return await self._post_once(channel, plain, f"{key}.plain", fields)

    async def _post_once(
        self, channel: str, payloads: Sequence[Payload], key: str, fields: Json
    ) -> MessageId:
        """Posts with nonces of `key`, for which Discord returns a message that it already has."""
        first, *rest = payloads
        first_fields: Json = {"nonce": post_nonce(key), "enforce_nonce": True, **fields}
        posted = await self._send(channel, first, **first_fields)
        if embeds_and_modals.differs_from_posted(posted, first):
            await self._edit(channel, str(posted["id"]), first)
        for number, payload in enumerate(rest):
            rest_fields: Json = {"nonce": post_nonce(f"{key}.{number}"), "enforce_nonce": True}
            await self._send(channel, payload, **rest_fields)
        return MessageId(str(posted["id"]))

    async def _send(self, channel: str, payload: Payload, *, flags: int = 0, **fields: Any) -> Json:
        body, path = {**payload.body(flags=flags), **fields}, {"channel_id": channel}
        return await self._api.call("POST", MESSAGES_PATH, path, body=body, files=payload.files)

    async def _edit(
        self, channel: str, message: str, payload: Payload, reply: Drawn | None = None
    ) -> None:
        if message.startswith(EPHEMERAL_ID_PREFIX):
            raise MessageGone
        path = {"channel_id": channel, "message_id": message}
        body = payload.body()
        body.pop("flags", None)
        try:
            await self._api.call("PATCH", MESSAGE_PATH, path, body=body, files=payload.files)
        except PlaceClosed as error:
            if error_code(error) != _NO_PERMISSION or reply is None:
                raise
            plain = embeds_and_modals.plain_reply_payloads(reply)[0]
            await self._edit(channel, message, plain)

    async def _update_clicked(self, message: MessageId, payload: Payload) -> bool:
        """Updates the message of a recent click, even an ephemeral one; False if it cannot."""
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
        # The first message of a thread is in the parent channel, so no reply can refer to it.
        source = None if source == channel else source
        return ChannelWriter(self._api, channel, key, source, while_written=stop)

    async def _thread_page(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        """Returns a thread's messages, preceded by the message that the thread was created from."""
        if before == place.thread:
            return []
        messages = list(await self.messages_before(place, before, limit))
        if place.thread is None or len(messages) >= limit:
            return messages
        with contextlib.suppress(SurfaceError):
            path = {"channel_id": place.channel, "message_id": place.thread}
            root = await self._api.call("GET", MESSAGE_PATH, path)
            messages.insert(0, self._to_message(root, place))
        return [message for message in messages if message.text or message.files]

    async def _reply_chain(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        """Returns the messages to which message `before` replies, oldest first."""
        message = await self._cached_message(place, before)
        chain: list[Message] = []
        while message is not None and message.reply_to is not None:
            if len(chain) >= min(limit, _MAX_CHAIN_LENGTH):
                break
            message = await self._cached_message(place, message.reply_to)
            if message is not None:
                chain.insert(0, message)
        return chain

    async def _cached_message(self, place: Place, message: MessageId) -> Message | None:
        cached = self._messages.get(message)
        # The bot's own messages change while an answer is written, so they are fetched again.
        if cached is not None and not cached.is_own:
            return cached
        fetched = await self.fetch_message(place, message)
        if fetched is not None:
            self.remember_message(fetched)
        return fetched

    def _to_message(self, message: Json, place: Place) -> Message:
        return payload_parsing.to_message(message, place, self._bot())

    def _context(self, key: str) -> InteractionContext | None:
        return self._contexts.get(key) or self._contexts.get(key.removesuffix(".error"))


def _source(event: Event, handle: InteractionHandle | None) -> str | None:
    """Returns the id of the message that a reply to the event refers to, if there is one."""
    if handle is not None:
        return None
    match event.what:
        case MessageReceived(message=message):
            return message.id
        case ReactionChanged(message=message_id):
            return message_id
        case _:
            suffix = event.key.rpartition("/")[2]
            return suffix if suffix.isdecimal() else None


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
