"""Runs the lines that a person types at the console, for the terminal and for scripts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

from adapters.console.button_labels import find_action, labelled_actions
from adapters.console.command_hints import USAGE_BY_COMMAND, LineError, usage_error
from adapters.console.files import split_off_file
from adapters.console.forms import OpenForm
from adapters.local_room import (
    ASSISTANT_USER,
    LocalRoom,
    is_deleted,
    mentions_assistant,
    message_id_of,
    place_of,
    render_message,
    starts_with_mention,
    to_domain_message,
    without_leading_mention,
)
from adapters.plain_text import to_single_line
from adapters.room_changes import Change, ChangesLost, FormOffered, FormRejected, ReactionsUpdated
from bot import events
from bot.commands import Catalogue
from bot.domain import LOCAL, ChannelId, Place, RoomMessage, User, UserId
from bot.ports.dependencies import App
from bot.ports.store import Clock

# The text to show after a line: at once, or an awaitable that ends with the answer.
Outcome = Awaitable[str] | str

VIEW_ID = "console"
CONSOLE_OWNER = User(UserId("you"), "you", is_platform_admin=True)

_IDLE_POLL = timedelta(milliseconds=100)
_SEARCHED_MESSAGES = 50
_MAX_NAME_LENGTH = 80


class ConsoleSession:
    """A person in the room, with the form that is open and the answers that are awaited."""

    def __init__(
        self,
        app: App,
        room: LocalRoom,
        catalogue: Catalogue,
        clock: Clock,
        *,
        locale: str,
        channel: ChannelId,
    ) -> None:
        self.room = room
        self.catalogue = catalogue
        self.channel = channel
        self.speaker = CONSOLE_OWNER
        self.form: OpenForm | None = None
        # The form that was submitted last, which opens again if it is refused.
        self._submitted: dict[str, OpenForm] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self.is_over = False
        self._app = app
        self._clock = clock
        self._locale = locale
        self._commands: Mapping[str, Callable[[str], Awaitable[Outcome]]] = {
            "tune": self._tune,
            "reply": self._reply,
            "click": self._click,
            "react": self._react,
            "edit": self._edit,
            "delete": self._delete,
            "fill": self._fill,
            "submit": self._submit,
            "dismiss": self._dismiss,
            "wait": self._wait,
            "as": self._speak_as,
            "quit": self._quit,
        }

    def translate(self, key: str, /, **details: object) -> str:
        """Returns a sentence of `bot/words` in the person's language."""
        return self._app.translate(key, self._locale, **details)

    async def run_line(self, line: str) -> Outcome:
        """Runs a line; returns a text, or an awaitable that ends with the answer.

        Raises LineError.
        """
        if not line.strip():
            return ""
        if not line.startswith("/"):
            return await self._post_message(line)
        word, _, rest = line[1:].partition(" ")
        command = self._commands.get(word.lower())
        if command is None:
            raise LineError(
                "console.unknown",
                word=word,
                words=", ".join(f"/{name}" for name in USAGE_BY_COMMAND),
            )
        return await command(rest.strip())

    def describe_change(self, change: Change) -> str:
        """Returns a text about a change that no message shows, or "". Opens offered forms."""
        match change:
            case FormOffered() if self.room.is_own_event_key(VIEW_ID, change.event.key):
                self.form = OpenForm(change.form, change.event)
                return self.form.draw(self.translate)
            case FormRejected() if change.event.key in self._submitted:
                self.form = self._submitted.pop(change.event.key)
                return self.form.draw(self.translate)
            case ReactionsUpdated() if change.user == ASSISTANT_USER.id and not change.is_removed:
                details = {"emoji": change.emoji, "number": change.number}
                return self.translate("console.reacted", name=ASSISTANT_USER.name, **details)
            case ChangesLost():
                return self.translate("console.missed")
        return ""

    async def react(self, message: RoomMessage, emoji: str, *, is_removed: bool = False) -> Outcome:
        """Adds a reaction to a message or removes it."""
        await self.room.set_reaction(message.number, emoji, self.speaker.id, is_removed=is_removed)
        return await self._send(
            events.ReactionChanged(message_id_of(message), emoji, is_removed), place_of(message)
        )

    async def stop(self) -> None:
        """Stops every answer that this person is waiting for."""
        for key in [key for key, task in self._running.items() if not task.done()]:
            await self._app.handle(self._event(events.ButtonClicked(f"stop:{key}")))

    async def _post_message(self, text: str) -> Outcome:
        message = await self.room.post_as_person(self.channel, self.speaker, text)
        return await self._send_message_received(message, is_called=starts_with_mention(text))

    async def _reply(self, rest: str) -> Outcome:
        number, text = _number_and_text(rest, "reply")
        target = await self._find(number, lambda message: not is_deleted(message))
        message = await self.room.post_as_person(
            target.channel, self.speaker, text, reply_to=target.number, thread=target.thread
        )
        return await self._send_message_received(
            message, is_called=target.is_own or mentions_assistant(text)
        )

    async def _send_message_received(self, message: RoomMessage, *, is_called: bool) -> Outcome:
        what = events.MessageReceived(to_domain_message(message), is_addressed=is_called)
        return await self._send(what, place_of(message), key=f"room:{message.number}")

    async def _tune(self, rest: str) -> Outcome:
        words, attachment = split_off_file(rest, self.catalogue)
        return await self._send(events.CommandInvoked(words, attachment=attachment))

    async def _click(self, rest: str) -> Outcome:
        number, label = _number_and_label(rest)
        message = await self._find(
            number, lambda message: bool(labelled_actions(render_message(message)))
        )
        action = find_action(render_message(message), label, number=message.number)
        return await self._send(
            events.ButtonClicked(action, message_id_of(message)), place_of(message)
        )

    async def _react(self, rest: str) -> Outcome:
        number, emoji = _number_and_text(rest, "react")
        emoji, _, off = emoji.partition(" ")
        if off.strip().lower() not in ("", "off"):
            raise usage_error("react")
        message = await self._find(number, lambda message: not is_deleted(message))
        return await self.react(message, emoji, is_removed=bool(off))

    async def _edit(self, rest: str) -> Outcome:
        number, text = _number_and_text(rest, "edit")
        message = await self._find_own(number)
        await self.room.edit_as_person(message.number, text)
        return await self._send(
            events.MessageEdited(message_id_of(message), without_leading_mention(text)),
            place_of(message),
        )

    async def _delete(self, rest: str) -> Outcome:
        if not rest:
            raise usage_error("delete")
        message = await self._find_own(rest)
        await self.room.delete_message(message.number)
        return await self._send(
            events.MessagesDeleted((message_id_of(message),)), place_of(message)
        )

    async def _fill(self, rest: str) -> Outcome:
        name, _, text = rest.partition(" ")
        form = self._open_form()
        if not name:
            raise usage_error("fill")
        filled = form.fill(name, text.strip(), self.translate)
        return self.translate("console.filled", field=filled)

    async def _submit(self, rest: str) -> Outcome:
        form = self._open_form()
        submitted = form.to_submission()
        self.form = None
        key = self.room.new_key(VIEW_ID)
        self._submitted = {key: form}
        return await self._send(submitted, form.place, key=key)

    async def _dismiss(self, rest: str) -> Outcome:
        self._open_form()
        self.form = None
        return self.translate("console.dismissed")

    async def _wait(self, rest: str) -> Outcome:
        return self._until_idle()

    async def _until_idle(self) -> str:
        while not await self._app.is_idle(LOCAL):
            await self._clock.sleep(_IDLE_POLL)
        return self.translate("console.quiet")

    async def _speak_as(self, rest: str) -> Outcome:
        name = to_single_line(rest)[:_MAX_NAME_LENGTH]
        if not name:
            raise usage_error("as")
        if name.casefold() == ASSISTANT_USER.name:
            raise LineError("console.name_taken", name=name)
        self.speaker = CONSOLE_OWNER if name == CONSOLE_OWNER.name else User(UserId(name), name)
        return self.translate("console.speaker", name=name)

    async def _quit(self, rest: str) -> Outcome:
        self.is_over = True
        return ""

    def _open_form(self) -> OpenForm:
        if self.form is None:
            raise LineError("console.no_form")
        return self.form

    async def _find_own(self, number: str) -> RoomMessage:
        message = await self._find(number, self._is_own)
        if not self._is_own(message):
            raise LineError("console.not_yours", number=message.number, name=self.speaker.name)
        return message

    def _is_own(self, message: RoomMessage) -> bool:
        is_by_speaker = message.author.id == self.speaker.id and not message.is_own
        return is_by_speaker and not is_deleted(message)

    async def _find(self, number: str, fits: Callable[[RoomMessage], bool]) -> RoomMessage:
        """Returns the message with a number, or for LAST the newest message that `fits`."""
        if number.upper() == "LAST":
            return await self._newest(fits)
        digits = number.removeprefix("#")
        is_number = digits.isascii() and digits.isdigit() and len(digits) < 16
        message = await self.room.message(int(digits)) if is_number else None
        if message is None or is_deleted(message):
            raise LineError("console.no_message", number=number)
        return message

    async def _newest(self, fits: Callable[[RoomMessage], bool]) -> RoomMessage:
        for message in reversed(await self.room.recent(self.channel, limit=_SEARCHED_MESSAGES)):
            if fits(message):
                return message
        raise LineError("console.none_fits")

    def _event(
        self, what: events.EventContent, place: Place | None = None, *, key: str | None = None
    ) -> events.Event:
        return events.Event(
            key=key or self.room.new_key(VIEW_ID),
            place=place or Place(LOCAL, self.channel),
            user=self.speaker,
            at=self._clock.now(),
            what=what,
            locale=self._locale,
        )

    async def _send(
        self, what: events.EventContent, place: Place | None = None, *, key: str | None = None
    ) -> Outcome:
        event = self._event(what, place, key=key)
        task = await self._app.handle(event)
        if task is None:
            return ""
        running = {key: other for key, other in self._running.items() if not other.done()}
        self._running = {**running, event.key: task}
        return _end_of(task)


async def _end_of(task: asyncio.Task[None]) -> str:
    # asyncio.wait does not cancel the task when the person leaves the console.
    await asyncio.wait({task})
    return ""


def _number_and_text(rest: str, word: str) -> tuple[str, str]:
    number, _, text = rest.partition(" ")
    if not text.strip():
        raise usage_error(word)
    return number, text.strip()


def _number_and_label(rest: str) -> tuple[str, str]:
    number, _, label = rest.partition(" ")
    has_number = number.upper() == "LAST" or number.removeprefix("#").isdigit()
    if not has_number:
        number, label = "LAST", rest
    if not label.strip():
        raise usage_error("click")
    return number, label.strip()
