"""The surface port for Slack: posts, edits, reads and opens forms for the core."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from adapters.markdown_tables import with_drawn_tables
from adapters.plain_text import reply_text
from adapters.slack import block_kit, payload_parsing
from adapters.slack.api_port import Api, Json, error_code, is_unknown_method
from adapters.slack.emoji import name_of_emoji
from adapters.slack.message_posting import Posts
from adapters.slack.message_writer import AnswerTarget, SlackMessageWriter
from adapters.slack.payload_parsing import (
    COMMAND_PREFIX,
    HOME_CHANNEL_PREFIX,
    Bot,
    InteractionHandle,
)
from adapters.slack.people import People
from adapters.slack.posted_before_crash import PostedMessages, PostedParts, list_items
from adapters.slack.rate_limits import FinalCallReservation
from adapters.slack.submissions import Submission
from adapters.slack.text_escaping import safe_pieces
from adapters.slack.thinking_status import thinking_status
from adapters.streamed_answer import StreamedAnswer
from bot.domain import (
    EPHEMERAL_ID_PREFIX,
    Attachment,
    ChannelId,
    Message,
    MessageId,
    Place,
    User,
    UserId,
    WorkspaceId,
)
from bot.errors import MessageGone, PlaceClosed, SurfaceError
from bot.events import (
    ButtonClicked,
    CommandInvoked,
    Event,
    FormSubmitted,
    ReactionChanged,
)
from bot.replies import Button, Document, Drawn, Form, Listing, Stream, Text

log = logging.getLogger(__name__)

K = TypeVar("K")
V = TypeVar("V")

_KNOWN_EVENTS = 5000
_TRIGGER_SECONDS = 2.8
_RESPONSE_SECONDS = 1700.0
_PAGE_SIZE = 200
_PRIVATE_SUFFIX = ".private"
"""Suffix of the key of a reply to one person, which is posted beside the public one."""


@dataclass(slots=True)
class InteractionContext:
    """An event of this process with its trigger_id, response_url and open form."""

    event: Event
    handle: InteractionHandle
    received_at: float
    submission: Submission | None = None
    opened_view: str | None = None
    is_waiting: bool = True
    """Whether nothing has been answered, or only a form that asks to wait."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def view(self) -> str | None:
        """The id of the open form: the one opened for the event, or the submitted one."""
        late = (
            self.submission.view_id
            if self.submission is not None and self.submission.is_late
            else None
        )
        return self.opened_view or late


class SlackSurface:
    """Implements the surface port; `say` returns a text of bot/words by its key."""

    def __init__(
        self,
        api: Api,
        people: People,
        bot: Callable[[], Bot],
        say: Callable[..., str],
        *,
        ready: Callable[[], Awaitable[None]],
        installed: Callable[[WorkspaceId], Awaitable[bool | None]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._people = people
        self._bot = bot
        self._say = say
        self._ready = ready
        self._installed = installed
        self._now = now
        self._posted_messages = PostedMessages(api, bot)
        self._posts = Posts(api, self._posted_messages, is_first=self._is_first)
        self._contexts: OrderedDict[str, InteractionContext] = OrderedDict()
        self._begun_events: set[str] = set()
        self._responses: OrderedDict[str, str] = OrderedDict()
        self._threads_by_message: OrderedDict[tuple[str, str], str] = OrderedDict()
        self._sent: OrderedDict[str, Submission] = OrderedDict()

    def remember(
        self, event: Event, handle: InteractionHandle, submission: Submission | None = None
    ) -> InteractionContext:
        """Stores the context of an event, and the `response_url` of a clicked ephemeral message."""
        context = InteractionContext(event, handle, self._now(), submission=submission)
        _remember(self._contexts, event.key, context)
        clicked = event.what.message if isinstance(event.what, ButtonClicked) else None
        if clicked and clicked.startswith(EPHEMERAL_ID_PREFIX) and handle.response_url:
            _remember(self._responses, clicked, handle.response_url)
        return context

    def prepare_retry(self, event: Event, *, has_begun: bool) -> None:
        """Stores the context of an event of an earlier process.

        If the event had not begun, nothing can have been posted for it, so no search is needed.
        """
        self.remember(event, InteractionHandle())
        if has_begun:
            self._begun_events.add(event.key)

    def is_first_submission(self, submission: Submission) -> bool:
        """Returns whether a form is submitted for the first time, or again after a rejection.

        Two clicks on its button submit a form twice, which counts as one form.
        """
        earlier = self._sent.get(submission.view_id)
        if submission.view_id and earlier is not None and not earlier.is_refused:
            return False
        _remember(self._sent, submission.view_id, submission)
        return True

    def waiting_view(self, submission: Submission) -> Json:
        """Returns the view that replaces a form whose work takes longer than Slack waits."""
        return self._notice("slack.moment", submission.locale)

    async def is_installed(self, workspace: WorkspaceId) -> bool | None:
        return await self._installed(workspace)

    def _is_first(self, key: str) -> bool:
        """Whether nothing with this key can have been posted yet."""
        event = key.removesuffix(".error").removesuffix(_PRIVATE_SUFFIX)
        return event in self._contexts and event not in self._begun_events

    async def post(self, place: Place, reply: Drawn, *, key: str) -> MessageId:
        await self._ready()
        if place.channel.startswith(HOME_CHANNEL_PREFIX):
            return await self._publish(place, reply)
        try:
            channel = await self._people.channel_to_post_in(place)
            message = await self._posts.post(channel, place.thread, reply, key)
            await self._fill_open_form(key, reply)
            return message
        except PlaceClosed:
            if not await self._respond_if_possible(key, reply):
                raise
            await self._respond_if_possible(
                key, Text(self._say("slack.invite_me", self._locale(key)))
            )
            return MessageId(f"{EPHEMERAL_ID_PREFIX}{key}")

    async def edit(self, place: Place, message: MessageId, reply: Drawn) -> None:
        await self._ready()
        if message.startswith(EPHEMERAL_ID_PREFIX):
            await self._edit_ephemeral(message, reply)
            return
        channel = await self._people.channel_to_post_in(place)
        await self._posts.edit(channel, place.thread, message, reply)

    async def react(self, place: Place, message: MessageId, emoji: str) -> None:
        """Adds a reaction; without the scope for reactions nothing is added."""
        await self._ready()
        name = name_of_emoji(emoji)
        if name is None:
            return
        channel = await self._people.channel_to_post_in(place)
        try:
            args = {"channel": channel, "timestamp": message, "name": name}
            await self._api.call("reactions.add", args)
        except SurfaceError as error:
            is_harmless = error_code(error) in (
                "already_reacted",
                "missing_scope",
                "too_many_reactions",
            )
            if not is_harmless and not is_unknown_method(error):
                raise

    async def fetch_message(self, place: Place, message: MessageId) -> Message | None:
        """Returns a message by its ts, from its thread or else from the channel."""
        await self._ready()
        channel = await self._people.channel_to_post_in(place)
        args: dict[str, object] = {"channel": channel, "limit": 1, "inclusive": True}
        for method, more in (
            ("conversations.replies", {"ts": message}),
            ("conversations.history", {"latest": message, "oldest": message}),
        ):
            for candidate in await self._list_messages(method, {**args, **more}):
                if candidate.get("ts") == message:
                    return await self._described_message(candidate, channel)
        return None

    async def _list_messages(self, method: str, args: Mapping[str, object]) -> Sequence[Json]:
        """Returns a method's messages; an empty list if the server does not know the method."""
        try:
            response = await self._api.call(method, args)
        except MessageGone:
            return ()
        except SurfaceError as error:
            if not is_unknown_method(error):
                raise
            return ()
        return response.get("messages") or ()

    async def thread_before(self, place: Place, before: MessageId, limit: int) -> Sequence[Message]:
        if place.thread is None:
            return await self.messages_before(place, before, limit)
        await self._ready()
        channel = await self._people.channel_to_post_in(place)
        args = {"channel": channel, "ts": place.thread, "latest": before, "limit": _PAGE_SIZE}
        messages = [
            message async for message in list_items(self._api, "conversations.replies", args)
        ]
        earlier = [message for message in messages if float(message["ts"]) < float(before)]
        return await self._described_messages(earlier[-limit:], channel)

    async def messages_before(
        self, place: Place, before: MessageId, limit: int
    ) -> Sequence[Message]:
        if place.thread is not None:
            return await self.thread_before(place, before, limit)
        await self._ready()
        channel = await self._people.channel_to_post_in(place)
        args = {"channel": channel, "latest": before, "inclusive": False, "limit": limit}
        response = await self._api.call("conversations.history", args)
        return await self._described_messages(list(reversed(response.get("messages", ()))), channel)

    async def fetch_user(self, place: Place, user: UserId) -> User:
        await self._ready()
        return (await self._people.person(User(user, user))).user

    async def find_person(self, place: Place, typed: str) -> User | None:
        """Returns a user or user group by id.

        Raises SurfaceError if the scope for groups is missing.
        """
        await self._ready()
        try:
            return await self._people.find(typed)
        except SurfaceError as error:
            if error_code(error) != "missing_scope":
                raise
            raise SurfaceError(message=self._say("slack.no_usergroups")) from error

    async def find_admins(self, place: Place) -> Sequence[UserId]:
        await self._ready()
        return await self._people.admins()

    async def has_channel(self, place: Place) -> bool:
        await self._ready()
        return await self._people.has_channel(place.channel)

    async def channel_name(self, place: Place) -> str | None:
        await self._ready()
        return await self._people.channel_name(place.channel)

    async def with_channel_kind(self, place: Place) -> Place:
        await self._ready()
        return await self._people.with_channel_kind(place)

    async def find_direct_message_place(self, place: Place, user: UserId) -> Place:
        await self._ready()
        return Place(place.workspace, ChannelId(await self._people.direct(user)))

    async def stream(self, place: Place, stream: Stream, *, key: str, asker: UserId) -> MessageId:
        await self._ready()
        channel = await self._people.channel_to_post_in(place)
        target = AnswerTarget(channel, place.thread, self._people.team_of(asker), asker, key)
        earlier = PostedParts(
            self._posted_messages, channel, place.thread, payload_parsing.question_ts_of_key(key)
        )
        status = self._say("slack.thinking", self._locale(key))
        async with thinking_status(self._api, channel, place.thread, status) as end_status:

            async def posted(message: MessageId) -> None:
                end_status()
                await stream.on_posted(message)

            pieces = safe_pieces(with_drawn_tables(stream.pieces))
            shown = replace(stream, on_posted=posted, pieces=pieces)
            with FinalCallReservation(self._api.pacing) as reservation:
                writer = SlackMessageWriter(
                    self._api,
                    target,
                    earlier,
                    reservation=reservation,
                    begins=stream.before_first_message,
                    now=self._now,
                    is_new=self._is_first(key),
                    while_written=stream.buttons_while_written,
                )
                return await StreamedAnswer(writer, shown, now=self._now).run()

    async def send_ephemeral(self, event: Event, reply: Drawn) -> None:
        """Sends a reply to the asker only: in the open form, beside the question, or directly."""
        await self._ready()
        context = self._contexts.get(event.key)
        if context is not None and await self._show_in_form(context, reply):
            return
        if event.place.channel.startswith(HOME_CHANNEL_PREFIX):
            await self._publish(event.place, reply)
            return
        # In a direct message a post stays, while an ephemeral response disappears.
        is_command = isinstance(event.what, CommandInvoked)
        is_direct = event.place.channel.startswith("D")
        if is_command and not is_direct and await self._respond_if_possible(event.key, reply):
            return
        try:
            await self._send_privately(event, reply)
        except PlaceClosed:
            if not await self._respond_if_possible(event.key, reply):
                raise

    async def open_form(self, event: Event, form: Form) -> None:
        """Opens a form while the trigger is valid; later sends a button that opens the form."""
        await self._ready()
        context = self._contexts.get(event.key)
        view = block_kit.to_modal(form, event.place, close=self._say("slack.close", event.locale))
        if context is not None and await self._show_form(context, view):
            return
        action = form.reopen_action or _repeat_action(event)
        text = self._say("slack.form_late", event.locale)
        if action is None:
            await self.send_ephemeral(event, Text(text, private=True))
            return
        button = Button(form.title, action, is_primary=True)
        await self.send_ephemeral(event, Text(text, private=True, buttons=(button,)))

    def can_hold_form(self, form: Form) -> bool:
        return block_kit.fits_in_modal(form)

    async def show_form_error(self, event: Event, problem: str) -> None:
        """Shows an error beside an input while Slack waits; later in the form or a message."""
        await self._ready()
        context = self._contexts.get(event.key)
        submission = context.submission if context is not None else None
        if context is not None and submission is not None:
            if submission.refuse(problem):
                return
            filled = submission.refilled_form(problem)
            if filled is not None and await self._show_form(context, filled):
                return
        typed = event.what.values if isinstance(event.what, FormSubmitted) else {}
        texts = [text for text in typed.values() if text.strip()]
        if texts:
            intro = self._say("slack.form_typed", event.locale)
            problem = "\n\n".join((problem, intro, *texts))
        await self.send_ephemeral(event, Text(problem, private=True))

    async def send_file(self, event: Event, document: Document) -> None:
        """Sends a file to the asker's direct messages, with a note where the file was requested."""
        await self._ready()
        data = b"".join([chunk async for chunk in document.chunks])
        channel = await self._people.channel_to_post_in(event.place)
        is_direct = channel.startswith("D")
        target = channel if is_direct else await self._people.direct(event.user.id)
        thread = event.place.thread if is_direct else None
        await self._api.upload(
            target, document.name, data, comment=document.text, thread=thread, alt=document.text
        )
        if not is_direct:
            text = self._say("slack.file_sent", event.locale, name=document.name)
            await self.send_ephemeral(event, Text(text, private=True))

    async def read_file(self, place: Place, attachment: Attachment) -> AsyncIterator[bytes]:
        await self._ready()
        file_id, _, url = attachment.reference.partition(" ")
        try:
            response = await self._api.call("files.info", {"file": file_id})
            file: Json = response.get("file") or {}
            url = file.get("url_private_download") or file.get("url_private") or url
        except SurfaceError as error:
            if not is_unknown_method(error) or not url:
                raise
        async for chunk in self._api.download(url):
            yield chunk

    async def open_placeholder_form(self, context: InteractionContext) -> None:
        """Opens a form to be filled later, before the trigger of a slow answer expires."""
        async with context.lock:
            if context.view is not None or not context.is_waiting or not self._is_fresh(context):
                return
            with contextlib.suppress(SurfaceError):
                notice = self._notice("slack.moment", context.event.locale)
                context.opened_view = await self._open_view(context, notice)

    async def close_interaction(self, context: InteractionContext) -> None:
        """Ends the wait for answers: no form opens any more, and a waiting form says so."""
        async with context.lock:
            if context.view is not None and context.is_waiting:
                await self._set_view(context, self._notice("slack.answered", context.event.locale))
            context.is_waiting = False
            if context.submission is not None:
                context.submission.forget()

    def _notice(self, key: str, locale: str) -> Json:
        close = self._say("slack.close", locale)
        return block_kit.notice_modal("Attune", self._say(key, locale), close=close)

    async def _fill_open_form(self, key: str, reply: Drawn) -> None:
        """Shows the reply in a form that was opened while the answer was not known."""
        context = self._contexts.get(key)
        if context is not None and context.view is not None:
            await self._show_in_form(context, reply)

    async def _publish(self, place: Place, reply: Drawn) -> MessageId:
        user = place.channel.removeprefix(HOME_CHANNEL_PREFIX)
        args = {"user_id": user, "view": block_kit.home_view(reply)}
        await self._api.call("views.publish", args)
        return MessageId(place.channel)

    async def _edit_ephemeral(self, message: MessageId, reply: Drawn) -> None:
        """Edits an ephemeral message by its `response_url`, which is valid for half an hour."""
        url = self._responses.get(message)
        if url is None:
            raise MessageGone
        first = block_kit.reply_payloads(reply)[0]
        await self._api.respond(
            url, {"replace_original": True, "text": first.text, "blocks": first.blocks}
        )

    async def _respond_if_possible(self, key: str, reply: Drawn) -> bool:
        """Sends a reply by the event's `response_url`; forgets a URL that has expired."""
        url = self._response_url(key)
        if url is None:
            return False
        try:
            await self._respond(url, reply)
        except MessageGone:
            context = self._contexts.get(key) or self._contexts[key.removesuffix(".error")]
            context.handle = replace(context.handle, response_url=None)
            return False
        return True

    async def _respond(self, url: str, reply: Drawn) -> None:
        for payload in block_kit.private_reply_payloads(reply)[:5]:
            await self._api.respond(
                url,
                {
                    "response_type": "ephemeral",
                    "replace_original": False,
                    "text": payload.text,
                    "blocks": payload.blocks,
                },
            )

    async def _send_privately(self, event: Event, reply: Drawn) -> None:
        channel = await self._people.channel_to_post_in(event.place)
        thread = event.place.thread
        if isinstance(event.what, ReactionChanged):
            thread_ts = self._threads_by_message.get((channel, event.what.message))
            thread = MessageId(thread_ts) if thread_ts else thread
        key = f"{event.key}{_PRIVATE_SUFFIX}"
        if channel.startswith("D"):
            await self._posts.post(channel, thread, reply, key)
            return
        try:
            await self._post_ephemeral(event, channel, thread, reply)
        except SurfaceError as error:
            if not is_unknown_method(error):
                raise
            # Servers without chat.postEphemeral get a direct message.
            direct = await self._people.direct(event.user.id)
            await self._posts.post(direct, None, reply, key)

    async def _post_ephemeral(
        self, event: Event, channel: str, thread: MessageId | None, reply: Drawn
    ) -> None:
        for payload in block_kit.private_reply_payloads(reply):
            args: dict[str, object] = {
                "channel": channel,
                "user": event.user.id,
                "text": payload.text,
                "blocks": payload.blocks,
            }
            if thread is not None:
                args["thread_ts"] = thread
            await self._api.call("chat.postEphemeral", args, channel=channel)

    async def _show_in_form(self, context: InteractionContext, reply: Drawn) -> bool:
        """Shows a reply in the open form, or in a new form for a click in the home tab."""
        is_home = context.event.place.channel.startswith(("U", "W")) and isinstance(
            context.event.what, ButtonClicked
        )
        # A reply with buttons is posted as a message, so that a later click can edit it.
        has_buttons = not isinstance(reply, Listing) and bool(reply.buttons)
        async with context.lock:
            if context.view is None and (has_buttons or not is_home):
                # Set before the answer is sent, so that no form opens over the answer.
                context.is_waiting = False
                return False
            title, close = "Attune", self._say("slack.close", context.event.locale)
            view = block_kit.notice_modal(title, reply_text(reply), close=close)
            return await self._set_view(context, view) and not has_buttons

    async def _show_form(self, context: InteractionContext, view: Json) -> bool:
        async with context.lock:
            return await self._set_view(context, view)

    async def _set_view(self, context: InteractionContext, view: Json) -> bool:
        context.is_waiting = False
        try:
            if context.view is not None:
                if context.submission is not None:
                    await context.submission.wait_until_applied()
                await self._api.call("views.update", {"view_id": context.view, "view": view})
                return True
            if not self._is_fresh(context):
                return False
            context.opened_view = await self._open_view(context, view)
        except SurfaceError as error:
            log.info("A form could not be opened", extra={"why": error_code(error)})
            return False
        return True

    async def _open_view(self, context: InteractionContext, view: Json) -> str:
        args = {"trigger_id": context.handle.trigger, "view": view}
        response = await self._api.call("views.open", args, is_repeatable=False, patience=0)
        return str((response.get("view") or {}).get("id") or "")

    def _is_fresh(self, context: InteractionContext) -> bool:
        """Whether the trigger is valid: once, within three seconds."""
        age = self._now() - context.received_at
        return bool(context.handle.trigger) and age < _TRIGGER_SECONDS

    def _locale(self, key: str) -> str:
        context = self._contexts.get(key)
        return context.event.locale if context else "en"

    def _response_url(self, key: str) -> str | None:
        context = self._contexts.get(key) or self._contexts.get(key.removesuffix(".error"))
        if context is None or self._now() - context.received_at > _RESPONSE_SECONDS:
            return None
        return context.handle.response_url

    async def _described_messages(
        self, messages: Sequence[Json], channel: str
    ) -> Sequence[Message]:
        read = [
            payload_parsing.to_message(message, channel, self._bot())
            for message in messages
            if message.get("text") or message.get("files")
        ]
        return await self._people.with_authors(read)

    async def _described_message(self, message: Json, channel: str) -> Message:
        (with_author,) = await self._people.with_authors(
            [payload_parsing.to_message(message, channel, self._bot())]
        )
        if with_author.place.thread:
            _remember(self._threads_by_message, (channel, with_author.id), with_author.place.thread)
        return with_author


def _repeat_action(event: Event) -> str | None:
    """Returns an action that repeats the event, None if there is none."""
    match event.what:
        case CommandInvoked(words=words) if len(COMMAND_PREFIX + words) <= 100:
            return COMMAND_PREFIX + words
        case ButtonClicked(action=action):
            return action
        case _:
            return None


def _remember(cache: OrderedDict[K, V], key: K, value: V) -> None:
    cache[key] = value
    while len(cache) > _KNOWN_EVENTS:
        cache.popitem(last=False)
