"""The view of a message of a channel: author, time, content, buttons and reactions."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Protocol

from nicegui import ui

from adapters.local_room import ASSISTANT_USER, is_command, is_deleted, render_message
from adapters.studio import reply_drawing
from adapters.studio.dialogs import in_page
from adapters.studio.page_session import PageSession
from adapters.studio.safe_html import quoted_prop
from adapters.studio.uploads import draw_file
from bot.domain import Place, RoomMessage
from bot.events import ButtonClicked
from bot.replies import Card, Drawn, Text

Act = Callable[[], Awaitable[None]]

TEACH, APPROVE, GOOD, BAD = "🎓", "✅", "👍", "👎"
_AVATAR_COLOURS = (
    "#ef5f8f",
    "#26a69a",
    "#5c6bc0",
    "#ff8a50",
    "#8e6bc0",
    "#3d9fd8",
    "#7aa63a",
    "#c2705a",
)


class MessageActions(Protocol):
    """The actions of the room that a message's buttons run."""

    async def react(self, message: RoomMessage, emoji: str) -> None: ...
    async def click(self, message: RoomMessage, action: str) -> None: ...
    async def improve(self, message: RoomMessage) -> None: ...
    async def explain(self, message: RoomMessage) -> None: ...
    async def open_thread(self, number: int) -> None: ...
    async def rewrite(self, message: RoomMessage) -> None: ...
    async def take_back(self, message: RoomMessage) -> None: ...


class MessageView:
    """A message that is drawn once and then updated in place."""

    def __init__(
        self,
        session: PageSession,
        message: RoomMessage,
        actions: MessageActions,
        *,
        is_partial: bool = False,
    ) -> None:
        self._session = session
        self._actions = actions
        self.message = message
        self._is_partial = is_partial
        self._update: Callable[[Drawn], bool] | None = None
        self._text: reply_drawing.StreamedText | None = None
        self._replies = 0
        with (
            ui.element("article")
            .classes("message")
            .props(
                f"data-number={message.number} aria-label={quoted_prop(message.author.name)}"
            ) as self.frame
        ):
            self._draw()

    def update(self, message: RoomMessage, *, is_partial: bool = False) -> None:
        """Shows a newer state of the message; redraws it if it cannot be updated in place."""
        was_partial, self._is_partial = self._is_partial, is_partial
        reactions_differ = message.reactions != self.message.reactions
        self.message = message
        if is_partial or was_partial or is_deleted(message):
            self._redraw()
            return
        if self._update is None or not self._update(self._rendered(message)):
            self._redraw()
        elif reactions_differ:
            self.draw_reactions()

    def stream(self, text: str) -> None:
        """Shows the text so far of an answer that is being written."""
        if self._text is None:
            self._is_partial = True
            self._redraw()
        if self._text is not None:
            self._text.show(text)

    def draw_reactions(self) -> None:
        self._reactions.clear()
        with self._reactions:
            self._draw_reactions()

    def show_model(self, model: str, note: str) -> None:
        """Shows which model wrote the answer, with a note if it is not empty."""
        self._model_chip.text = f"{model} · {note}" if note else model
        self._model_chip.set_visibility(True)

    def show_reply_count(self, count: int) -> None:
        self._replies = count
        self._thread.set_text(self._session.translate("studio.replies", count=count))
        self._thread.set_visibility(count > 0)

    def _redraw(self) -> None:
        chip = self._model_chip.text if self._model_chip.visible else ""
        self.frame.clear()
        with self.frame:
            self._draw()
        if chip:
            self.show_model(chip, "")
        self.show_reply_count(self._replies)

    def _draw(self) -> None:
        author = self.message.author
        _draw_avatar(author.name, is_own=self.message.is_own)
        with ui.element("div").classes("message-body"):
            self._draw_head()
            with ui.element("div").classes("message-content"):
                self._draw_content()
            if self.message.files and not is_deleted(self.message):
                with ui.element("div").classes("files"):
                    for file in self.message.files:
                        with ui.element("span").classes("file"):
                            draw_file(file)
            self._reactions = ui.element("div").classes("reactions")
            with self._reactions:
                self._draw_reactions()
            self._thread = ui.button(on_click=self._open_thread).props("flat dense no-caps size=sm")
            self._thread.classes("thread-link")
            self._thread.set_visibility(False)
        if not is_deleted(self.message):
            self._draw_actions()

    def _draw_head(self) -> None:
        message = self.message
        with ui.element("div").classes("message-head"):
            ui.label(_display_name(message.author.name)).classes("author")
            with (
                ui.element("time")
                .props(f"datetime={quoted_prop(message.at.isoformat())}")
                .classes("fine")
            ):
                ui.label(f"{message.at.astimezone():%H:%M}")
            self._model_chip = ui.button(on_click=in_page(self._explain), color=None)
            self._model_chip.props(
                f"flat dense no-caps title={quoted_prop(self._session.translate('studio.why'))}"
            )
            self._model_chip.classes("chip").mark("why")
            self._model_chip.set_visibility(False)
            if message.edited_at is not None and not message.is_own:
                ui.label(self._session.translate("studio.edited")).classes("fine")

    def _draw_content(self) -> None:
        self._update, self._text = None, None
        if is_deleted(self.message):
            ui.label(self._session.translate("console.deleted")).classes("fine")
        elif self._is_partial:
            self._text = reply_drawing.StreamedText(self.message.text)
            self._draw_stop()
        else:
            reply = self._rendered(self.message)
            if isinstance(reply, Text) and reply.private:
                ui.element("div").classes("private-mark")
            self._update = reply_drawing.draw(reply, self._click)

    def _rendered(self, message: RoomMessage) -> Drawn:
        """Returns the message's content in the language of this window."""
        return render_message(message, self._session.locale)

    def _draw_stop(self) -> None:
        async def stop() -> None:
            await self._actions.click(self.message, "stop")

        _stop_button(self._session, stop)

    def _draw_reactions(self) -> None:
        own_emojis = {
            emoji for emoji, user in self.message.reactions if user == self._session.speaker.id
        }
        by_people = [emoji for emoji, user in self.message.reactions if user != ASSISTANT_USER.id]
        # The bot's reaction with a person's emoji is only an acknowledgement, so it is not counted.
        bot_only = {emoji for emoji, _ in self.message.reactions} - set(by_people)
        for emoji, count in Counter([*by_people, *sorted(bot_only)]).items():
            chip = ui.button(f"{emoji} {count}", color=None, on_click=self._reaction_handler(emoji))
            chip.props("flat dense no-caps size=sm").classes("reaction")
            pressed = "true" if emoji in own_emojis else "false"
            chip.props(f"aria-pressed={pressed}")
            if emoji in own_emojis:
                chip.classes("mine")

    def _draw_actions(self) -> None:
        is_answer = self.message.is_own and isinstance(render_message(self.message), Text)
        with ui.element("div").classes("actions").props("role=toolbar"):
            if is_answer or not (self.message.is_own or is_command(self.message)):
                self._emoji_button(TEACH, "studio.act.teach", self._reaction_handler(TEACH))
                self._emoji_button(APPROVE, "studio.act.approve", self._reaction_handler(APPROVE))
            if is_answer:
                self._emoji_button(GOOD, "studio.act.good", self._reaction_handler(GOOD))
                self._emoji_button(BAD, "studio.act.bad", self._reaction_handler(BAD))
                self._icon_button("auto_fix_high", "studio.act.improve", self._improve)
            if self.message.thread is None:
                self._icon_button("reply", "studio.act.reply", self._open_thread)
            if self.message.author.id == self._session.speaker.id and not self.message.is_own:
                self._icon_button("edit", "studio.act.edit", self._rewrite)
                self._icon_button("delete", "studio.act.delete", self._take_back)

    def _emoji_button(self, emoji: str, key: str, act: Act) -> None:
        button = ui.button(emoji, on_click=act).props("flat dense size=sm")
        self._label_button(button, key)

    def _icon_button(self, icon: str, key: str, act: Act) -> None:
        button = ui.button(icon=icon, on_click=in_page(act))
        button.props("flat dense size=sm color=grey-8")
        self._label_button(button, key)

    def _label_button(self, button: ui.button, key: str) -> None:
        text = self._session.translate(key)
        # A title instead of a tooltip, which would be one more element for each button.
        button.props(f"aria-label={quoted_prop(text)} title={quoted_prop(text)}")
        button.mark(key.removeprefix("studio."))

    def _reaction_handler(self, emoji: str) -> Act:
        async def react() -> None:
            await self._actions.react(self.message, emoji)

        return in_page(react)

    async def _click(self, action: str) -> None:
        await self._actions.click(self.message, action)

    async def _explain(self) -> None:
        await self._actions.explain(self.message)

    async def _improve(self) -> None:
        await self._actions.improve(self.message)

    async def _open_thread(self) -> None:
        await self._actions.open_thread(self.message.number)

    async def _rewrite(self) -> None:
        await self._actions.rewrite(self.message)

    async def _take_back(self) -> None:
        await self._actions.take_back(self.message)


class WaitingView:
    """The placeholder of an answer without any text yet, with a button that stops it."""

    def __init__(self, session: PageSession, key: str, place: Place) -> None:
        async def stop() -> None:
            button.props("loading")
            await session.send(ButtonClicked(f"stop:{key}"), place)

        with ui.element("article").classes("message awaited") as self.frame:
            _draw_avatar(ASSISTANT_USER.name, is_own=True)
            with ui.element("div").classes("message-body"):
                ui.label("").classes("writing").props("aria-hidden=true")
                button = _stop_button(session, stop)


def _stop_button(session: PageSession, stop: Act) -> ui.button:
    button = ui.button(session.translate("studio.stop"), icon="stop_circle", on_click=stop)
    return button.props("outline dense no-caps size=sm").classes("stop").mark("stop")


def is_answer(message: RoomMessage) -> bool:
    """Whether the message is the assistant's and not a card."""
    return message.is_own and not isinstance(render_message(message), Card)


def _draw_avatar(name: str, *, is_own: bool) -> None:
    avatar = ui.element("div").classes("face").props("aria-hidden=true")
    with avatar:
        ui.label("A" if is_own else name[:1].upper())
    digest = hashlib.sha256(name.encode()).digest()[0]
    colour = "#5c6bc0" if is_own else _AVATAR_COLOURS[digest % len(_AVATAR_COLOURS)]
    avatar.style(f"background:{colour}")


def _display_name(name: str) -> str:
    return "Attune" if name == ASSISTANT_USER.name else name
