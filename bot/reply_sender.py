"""Sends a reply to a surface: posts, edits or streams it, or sends it privately."""

from __future__ import annotations

import contextlib
import logging
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TypeVar

from bot.domain import LOCAL, MessageId, Place
from bot.errors import AttuneError, BadInput, SurfaceError
from bot.events import ButtonClicked, Event, FormSubmitted, MessageReceived
from bot.examples.example_buttons import examples_in_buttons
from bot.examples.state_changes import redraw_outdated
from bot.inbox_writer import InboxWriter
from bot.mentions_and_times import resolve_names
from bot.ports.dependencies import Dependencies
from bot.ports.surface import (
    CanDirectMessage,
    CanOpenForm,
    CanSendEphemeral,
    CanSendFile,
    CanShowFormError,
    CanStream,
    Surface,
)
from bot.replies import (
    Card,
    Document,
    Drawn,
    Form,
    Listing,
    NoReply,
    ReactionReply,
    Refused,
    Reply,
    Stream,
    Text,
)
from bot.running_answers import RunningAnswers
from bot.words import Words

D = TypeVar("D", bound=Text | Card | Listing)
log = logging.getLogger(__name__)


class ReplySender:
    """Sends replies through the surface of their event, with that surface's capabilities."""

    def __init__(self, *, deps: Dependencies, answers: RunningAnswers, inbox: InboxWriter) -> None:
        self._deps = deps
        self._answers = answers
        self._inbox = inbox

    async def send(self, event: Event, reply: Reply, words: Words) -> None:
        surface = self._deps.surfaces.surface_of(event.place.workspace)
        reply = await resolve_names(reply, event.place, surface)
        match reply:
            case NoReply():
                return
            case Text() | Card() | Listing():
                await self._begin(event)
                await self._send_message(event, _with_translations(event, reply, words), surface)
            case ReactionReply():
                await self._begin(event)
                text = reply.text and _with_translations(event, reply.text, words)
                await self._send_reaction(event, replace(reply, text=text), surface)
            case Refused():
                await self._begin(event)
                refusal = reply.card or Text(reply.text, private=True)
                await self._send_refusal(event, _with_translations(event, refusal, words), surface)
            case Stream():
                await self._stream(event, replace(reply, other_words=words.translations), surface)
            case Form() if isinstance(surface, CanOpenForm):
                await surface.open_form(event, reply)
            case Document() if isinstance(surface, CanSendFile):
                await surface.send_file(event, reply)
            case _:
                raise BadInput(problem=words("surface.cannot"))

    async def _send_message(self, event: Event, reply: Drawn, surface: Surface) -> None:
        """Edits the clicked card, sends a private message or posts, as the reply says."""
        clicked = event.what.message if isinstance(event.what, ButtonClicked) else None
        if not isinstance(reply, Text) and reply.replaces and clicked is not None:
            await surface.edit(event.place, clicked, reply)
            await self._store_card(event, event.place, clicked, reply)
        elif reply.private and isinstance(surface, CanSendEphemeral):
            await surface.send_ephemeral(event, reply)
        elif reply.private and isinstance(surface, CanDirectMessage):
            place = await surface.find_direct_message_place(event.place, event.user.id)
            message = await surface.post(place, reply, key=event.key)
            await self._store_card(event, place, message, reply)
        else:
            message = await surface.post(event.place, reply, key=event.key)
            await self._store_card(event, event.place, message, reply)

    async def _send_refusal(self, event: Event, reply: Drawn, surface: Surface) -> None:
        """Edits the clicked message if it is ephemeral, so that its buttons go; else sends anew."""
        clicked = event.ephemeral_message_id
        if clicked is not None:
            with contextlib.suppress(SurfaceError):
                await surface.edit(event.place, clicked, reply)
                await self._store_card(event, event.place, clicked, reply)
                return
        await self._send_message(event, reply, surface)

    async def _store_card(
        self, event: Event, place: Place, message: MessageId, reply: Drawn
    ) -> None:
        """Stores which examples a message offers to decide about, so that it is edited later."""
        examples = examples_in_buttons(reply)
        if not examples and not isinstance(event.what, ButtonClicked):
            return
        async with self._deps.store.writing() as records:
            workspace = event.place.workspace
            await records.example_cards.put_card(workspace, place, message, list(examples))
            await redraw_outdated(event, examples, records, at=self._deps.clock.now())

    async def _send_reaction(self, event: Event, receipt: ReactionReply, surface: Surface) -> None:
        if receipt.message is not None:
            await surface.react(event.place, receipt.message, receipt.emoji)
        if receipt.text is not None:
            await self._send_message(event, receipt.text, surface)

    async def _stream(self, event: Event, stream: Stream, surface: Surface) -> None:
        async def posted(message: MessageId) -> None:
            with self._answers.storing_turn_of(message):
                await stream.on_posted(message)

        running = self._answers.register_current_task(event)
        async with aclosing(stream.pieces):
            if isinstance(surface, CanStream):
                wrapped = replace(
                    stream,
                    on_posted=posted,
                    before_first_message=partial(self._begin, event),
                    on_continuation_message=running.add_message,
                    on_stopped=running.cancel_task,
                )
                await surface.stream(event.place, wrapped, key=event.key, asker=event.user.id)
                return
            text = "".join([piece async for piece in stream.pieces])
            await posted(await surface.post(event.place, Text(text), key=event.key))

    async def _begin(self, event: Event) -> None:
        """Marks the event before the first message, so that a later process looks for messages."""
        await self._inbox.mark_reply_begun(event.key)

    async def send_error(
        self, event: Event, sentence: str, words: Words, *, is_outdated: bool = False
    ) -> None:
        """Sends an error to the user; if that fails, it is only logged."""
        try:
            surface = self._deps.surfaces.surface_of(event.place.workspace)
            sentence = await resolve_names(sentence, event.place, surface)
            key = f"{event.key}.error"
            text = _with_translations(event, Text(sentence, private=True), words)
            if is_outdated and event.ephemeral_message_id is not None:
                await self._send_refusal(event, text, surface)
            elif isinstance(event.what, FormSubmitted) and isinstance(surface, CanShowFormError):
                await surface.show_form_error(event, sentence)
            elif isinstance(surface, CanSendEphemeral):
                await surface.send_ephemeral(event, text)
            else:
                await surface.post(event.place, text, key=key)
        except AttuneError as error:
            log.warning("An error could not be sent to the user", extra={"why": error.key})
        except Exception:
            log.exception("An error could not be sent to the user")


def _with_translations(event: Event, reply: D, words: Words) -> D:
    """Adds translations in the local workspace, where each browser window has a language.

    Answers to questions are not translated.
    """
    if event.place.workspace != LOCAL or isinstance(event.what, MessageReceived):
        return reply
    return replace(reply, other_words=words.translations())
