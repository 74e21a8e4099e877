"""The live view of a channel or thread, and the actions that a person can take there."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from nicegui import Client, background_tasks, ui

from adapters.local_room import (
    mentions_assistant,
    message_id_of,
    place_of,
    to_domain_message,
    without_leading_mention,
)
from adapters.room_changes import (
    AnswerAwaited,
    AnswerBegun,
    Change,
    ChangesLost,
    FileSent,
    FormOffered,
    PartialAnswer,
    Posted,
    ReactionsUpdated,
    Subscription,
    Updated,
)
from adapters.studio.downloads import start_download
from adapters.studio.forms import open_form
from adapters.studio.message_view import MessageView, WaitingView, is_answer
from adapters.studio.notifications import notify_reply
from adapters.studio.page_session import DIRECT, PageSession, is_refreshing
from adapters.studio.reply_drawing import show_card
from bot import events
from bot.commands import OptionKind
from bot.domain import LOCAL, Attachment, MessageId, Place, RoomMessage
from bot.replies import Card, Field, FieldKind, Form, Listing, Refused

log = logging.getLogger(__name__)

_PAGE = 40
_THREAD_WINDOW = 500
"""Latest messages of a channel among which a thread's messages are looked for."""
_MAX_SHOWN = 60
_MODEL_BUTTONS = ("again", "go_on")
"""Names of buttons after which a model writes an answer."""


class Conversation:
    """The view of the messages of a channel, or of one thread, in one window."""

    def __init__(
        self, session: PageSession, room: RoomActions, *, thread: int | None = None
    ) -> None:
        self._session = session
        self._room = room
        self._thread = thread
        self._views: dict[int, MessageView] = {}
        self._thread_replies: dict[int, set[int]] = defaultdict(set)
        self._earlier_button = ui.button(
            session.translate("studio.earlier"), on_click=self._load_page_before
        )
        self._earlier_button.props("flat no-caps dense").classes("earlier")
        self._earlier_button.set_visibility(False)
        self._column = ui.element("div").classes("messages")
        self._column.props('role=log aria-live=polite aria-relevant="additions text"')
        self._waiting: dict[str, WaitingView] = {}
        self._foot = ui.element("div").classes("messages")

    @property
    def is_empty(self) -> bool:
        return not self._views

    @property
    def oldest(self) -> int | None:
        return min(self._views, default=None)

    async def load(self) -> None:
        """Draws the newest messages, the answers in progress and the model of each answer."""
        for part in (self._column, self._foot):
            part.clear()
        self._views.clear()
        self._waiting.clear()
        page = await self._room.read(thread=self._thread)
        open_answers = self._session.studio.room.open_answers
        partial_texts = {answer.number: answer.text for answer in open_answers.values()}
        for message in page:
            if is_partial := message.number in partial_texts:
                message = replace(message, text=partial_texts[message.number])
            self._add(message, is_partial=is_partial)
        for key, answer in open_answers.items():
            if answer.number is None:
                self.wait_for(key, answer.place)
        self._earlier_button.set_visibility(len(page) >= _PAGE)
        await self._show_models([m for m in page if is_answer(m)])

    def wait_for(self, key: str, place: Place) -> None:
        """Shows that an answer to the event `key` is awaited, if `place` is in this view."""
        if key in self._waiting or not self._is_shown_place(place):
            return
        with self._foot:
            self._waiting[key] = WaitingView(self._session, key, place)

    def close_interaction(self, key: str) -> None:
        """Removes the view of the awaited answer, if there is one."""
        if view := self._waiting.pop(key, None):
            view.frame.delete()

    async def hear(self, change: Change) -> None:
        """Shows a change of the room, if it belongs to this view."""
        match change:
            case AnswerAwaited():
                self.wait_for(change.key, change.place)
            case AnswerBegun():
                self.close_interaction(change.key)
            case Posted():
                await self._show_posted(change)
            case Updated():
                await self._show_updated(change)
            case PartialAnswer() if change.number in self._views and not change.is_final:
                self._views[change.number].stream(change.text)
            case ReactionsUpdated() if change.number in self._views:
                await self._reload(change.number)

    async def _show_posted(self, change: Posted) -> None:
        message = change.message
        self._add(message, is_partial=change.is_partial)
        self._drop_oldest()
        belongs_here = self._belongs(message) and not change.is_partial
        if belongs_here and is_answer(message):
            await self._show_models([message])

    def _drop_oldest(self) -> None:
        """Removes the oldest messages beyond `_MAX_SHOWN`, which can be loaded again.

        Limits the size of a window that stays open for days.
        """
        if len(self._views) <= _MAX_SHOWN:
            return
        for number in sorted(self._views)[: len(self._views) - _PAGE]:
            self._views.pop(number).frame.delete()
        self._earlier_button.set_visibility(True)

    async def _show_updated(self, change: Updated) -> None:
        view = self._views.get(change.message.number)
        if view is None:
            return
        view.update(change.message, is_partial=change.is_partial)
        if is_answer(change.message) and not change.is_partial:
            await self._show_models([change.message])

    async def _reload(self, number: int) -> None:
        message = await self._session.studio.room.message(number)
        if message is not None:
            self._views[number].message = message
            self._views[number].draw_reactions()

    def _add(self, message: RoomMessage, *, is_partial: bool = False) -> None:
        if not self._belongs(message):
            self._count_reply(message)
            return
        if message.number in self._views:
            self._views[message.number].update(message, is_partial=is_partial)
            return
        with self._column:
            view = MessageView(self._session, message, self._room, is_partial=is_partial)
        self._views[message.number] = view
        if self._thread_replies[message.number]:
            view.show_reply_count(len(self._thread_replies[message.number]))

    def _belongs(self, message: RoomMessage) -> bool:
        if message.channel != self._session.channel:
            return False
        return (
            self._thread in (message.thread, message.number)
            if self._thread
            else (message.thread is None)
        )

    def _is_shown_place(self, place: Place) -> bool:
        """Whether `place` is the channel or thread of this view."""
        thread = MessageId(str(self._thread)) if self._thread else None
        return (place.channel, place.thread) == (self._session.channel, thread)

    def _count_reply(self, message: RoomMessage) -> None:
        """Updates the reply count of the message that the thread of `message` began with."""
        if message.thread is None or self._thread is not None:
            return
        replies = self._thread_replies[message.thread]
        replies.add(message.number)
        if view := self._views.get(message.thread):
            view.show_reply_count(len(replies))

    async def _load_page_before(self) -> None:
        page = await self._room.read(thread=self._thread, before=self.oldest)
        self._earlier_button.set_visibility(len(page) >= _PAGE)
        for message in page:
            self._add(message)
        for index, number in enumerate(sorted(self._views)):
            self._views[number].frame.move(target_index=index)
        await self._show_models([m for m in page if is_answer(m)])

    async def _show_models(self, messages: list[RoomMessage]) -> None:
        """Shows on each answer the model that wrote it, with a note if there is one."""
        if not messages:
            return
        numbers = ",".join(str(message.number) for message in messages)
        reply = await self._session.query(
            events.ButtonClicked(f"answers:{numbers}"), Place(LOCAL, self._session.channel)
        )
        if isinstance(reply, Listing):
            for line in reply.lines:
                if view := self._views.get(int(line.id)):
                    view.show_model(line.text, line.note)


class RoomActions:
    """The actions of a person in the room, for the page, its threads and every message."""

    def __init__(self, session: PageSession, client: Client) -> None:
        self._session = session
        self._client = client
        self._conversations: list[Conversation] = []
        self.show_thread: Callable[[int], Awaitable[None]] | None = None

    def add_conversation(self, conversation: Conversation) -> None:
        self._conversations.append(conversation)

    def remove_conversation(self, conversation: Conversation) -> None:
        self._conversations.remove(conversation)

    def watch(self) -> Subscription:
        """Returns a subscription; take it before reading the room, so that no change is missed."""
        return self._session.studio.room.watch()

    def listen(self, watch: Subscription) -> None:
        """Shows the changes of the subscription until the window is closed."""
        task = background_tasks.create(self._follow(watch), name="studio: room")
        self._client.on_delete(task.cancel)

    async def read(
        self, *, thread: int | None = None, before: int | None = None
    ) -> list[RoomMessage]:
        """Returns a page of the channel, or the thread's messages among the channel's latest."""
        room, limit = self._session.studio.room, _PAGE if thread is None else _THREAD_WINDOW
        page = await room.recent(self._session.channel, limit=limit, before=before)
        return [m for m in page if thread is None or thread in (m.thread, m.number)]

    async def speak(
        self, text: str, files: Sequence[Attachment] = (), *, thread: int | None = None
    ) -> None:
        """Runs a line of the composer: a command if it begins with a slash, else a message."""
        if text.startswith("/") and not files:
            await self._run_command(text)
            return
        session = self._session
        message = await session.studio.room.post_as_person(
            session.channel, session.speaker, text, thread=thread, reply_to=thread, files=files
        )
        is_direct = session.channel == DIRECT
        what = events.MessageReceived(
            to_domain_message(message),
            is_addressed=is_direct
            or mentions_assistant(text)
            or await self._has_own_message(thread),
            is_direct=is_direct,
        )
        await self._send_question(what, message, key=f"room:{message.number}")

    async def react(self, message: RoomMessage, emoji: str) -> None:
        """Adds a reaction of the speaker, or removes it if it is there."""
        room, speaker = self._session.studio.room, self._session.speaker.id
        current = await room.message(message.number)
        is_removed = current is not None and (emoji, speaker) in current.reactions
        await room.set_reaction(message.number, emoji, speaker, is_removed=is_removed)
        what = events.ReactionChanged(message_id_of(message), emoji, is_removed)
        await self._session.send(what, place_of(message))

    async def click(self, message: RoomMessage, action: str) -> None:
        what = events.ButtonClicked(action, message_id_of(message))
        if action.partition(":")[0] in _MODEL_BUTTONS:
            task = await self._send_question(what, message, key=self._session.new_key())
        else:
            task = await self._session.send(what, place_of(message))
        if task is not None:
            # The window shows the working line until the click has been handled.
            with self._session.working():
                await _wait_until_done(task)

    async def _send_question(
        self, what: events.EventContent, message: RoomMessage, *, key: str
    ) -> asyncio.Task[None] | None:
        """Sends an event that a model answers; shows a placeholder until the answer begins."""
        place, answers = place_of(message), self._session.studio.room.open_answers
        task = await self._session.send(what, place, key=key)
        has_begun = key in answers and answers[key].number is not None
        if task is not None and not task.done() and not has_begun:
            for conversation in self._conversations:
                conversation.wait_for(key, place)
            background_tasks.create(self._end_waiting(task, key), name="studio: an answer")
        return task

    async def _end_waiting(self, task: asyncio.Task[None], key: str) -> None:
        await _wait_until_done(task)
        for conversation in self._conversations:
            conversation.close_interaction(key)

    async def improve(self, message: RoomMessage) -> None:
        await self._session.send(
            events.ShortcutUsed("improve", to_domain_message(message)), place_of(message)
        )

    async def explain(self, message: RoomMessage) -> None:
        """Shows the answer's model, similar example and confidence."""
        what = events.ButtonClicked(f"answer.why:{message.number}")
        card = await self._session.query(what, place_of(message))
        if isinstance(card, Card):
            show_card(card)
        else:
            notify_reply(card)

    async def rewrite(self, message: RoomMessage) -> None:
        """Opens a form that edits the message; its answer is written anew."""
        translate = self._session.translate
        form = Form(
            "rewrite",
            translate("studio.act.edit"),
            (Field("text", translate("studio.message"), FieldKind.TEXT, message.text),),
            translate("example.save"),
        )

        async def submit(values: Mapping[str, str]) -> str:
            await self._session.studio.room.edit_as_person(message.number, values["text"])
            what = events.MessageEdited(
                message_id_of(message), without_leading_mention(values["text"])
            )
            await self._send_question(what, message, key=self._session.new_key())
            return ""

        open_form(self._session, form, submit)

    async def take_back(self, message: RoomMessage) -> None:
        await self._session.studio.room.delete_message(message.number)
        await self._session.send(
            events.MessagesDeleted((message_id_of(message),)), place_of(message)
        )

    async def open_thread(self, number: int) -> None:
        if self.show_thread is not None:
            await self.show_thread(number)

    def open_form(self, form: Form, place: Place) -> None:
        """Opens a form of the app as a dialog of this window."""

        async def submit(values: Mapping[str, str]) -> str:
            what = events.FormSubmitted(form.id, values)
            reply = await self._session.ask(what, place, by=self._session.speaker)
            if isinstance(reply, Refused):
                return reply.text
            notify_reply(reply)
            return ""

        open_form(self._session, form, submit)

    async def _run_command(self, text: str) -> None:
        """Runs a command; opens the import page for a command that takes a file."""
        words = text.removeprefix("/").removeprefix("tune").strip()
        command = next(
            (c for c in self._session.studio.catalogue.commands if c.path == words), None
        )
        if command and any(option.kind is OptionKind.FILE for option in command.options):
            ui.navigate.to("/examples?import=1")
            return
        session = self._session
        await session.studio.room.post_as_person(session.channel, session.speaker, text)
        await session.send(events.CommandInvoked(words))

    async def _has_own_message(self, thread: int | None) -> bool:
        """Whether the assistant has written in the thread, so that it answers without a mention."""
        if thread is None:
            return False
        return any(message.is_own for message in await self.read(thread=thread))

    async def _follow(self, watch: Subscription) -> None:
        is_refreshing.set(True)
        with watch:
            async for change in watch:
                try:
                    with self._client:
                        await self._show(change)
                except Exception:
                    log.exception("A change of the room could not be shown")

    async def _show(self, change: Change) -> None:
        match change:
            case FormOffered() if change.event.key in self._session.own_event_keys:
                self.open_form(change.form, change.event.place)
            case FileSent() if change.event.key in self._session.own_event_keys:
                start_download(change.path, change.name)
            case ChangesLost():
                for conversation in self._conversations:
                    await conversation.load()
            case _:
                for conversation in self._conversations:
                    await conversation.hear(change)


async def _wait_until_done(task: asyncio.Task[None]) -> None:
    # Uses asyncio.wait, as awaiting the task would cancel it when the window is closed.
    await asyncio.wait({task})
