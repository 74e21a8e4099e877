"""The page of a channel: conversation, composer, and a panel with proposed examples or a thread."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request
from nicegui import ui

from adapters.studio.channel_view import Conversation, RoomActions
from adapters.studio.composer import Composer
from adapters.studio.navigation import channel_title
from adapters.studio.notifications import notify_reply
from adapters.studio.page_session import DIRECT, PageSession, Studio
from adapters.studio.reply_drawing import draw_button, draw_text, facts_by_name
from adapters.studio.safe_html import quoted_prop
from adapters.studio.shell import (
    draw_main_area,
    draw_page_empty_state,
    page_session_of,
    refresh_on_change,
    shell,
    train_button_label,
)
from adapters.studio.tour import Tour
from bot import events
from bot.domain import LOCAL, Attachment, ChannelId
from bot.replies import Button, Card, Form, Listing, ListingRow, Refused

_WAITING = 8
_MAX_PARAMETER_LENGTH = 200
"""Characters of the address parameter `say`, which prefills the composer."""
_JUDGEMENTS = ("approve", "edit", "reject")


async def room_page(studio: Studio, request: Request, channel: str) -> None:
    session = page_session_of(studio, request)
    session.channel, session.workspace, session.assistant = ChannelId(channel), LOCAL, None
    channels = await studio.room.channels()
    title = channel_title(session, session.channel)
    here = f"room:{channel}"
    with shell(session, request, here=here, title=title, channels=channels, has_foot=True) as frame:
        page = _RoomPage(session, request.url.path)
        with frame.top:
            page.draw_top(title)
        page.draw(frame.foot)
    await page.open()
    if prefill := request.query_params.get("say", "")[:_MAX_PARAMETER_LENGTH]:
        page.write(f"{prefill} ")
    if (thread := request.query_params.get("thread", "")[:_MAX_PARAMETER_LENGTH]).isdecimal():
        await page.open_thread(int(thread))


class _RoomPage:
    def __init__(self, session: PageSession, path: str) -> None:
        self._session = session
        self._path = path
        self._room = RoomActions(session, ui.context.client)
        self._thread: Conversation | None = None
        self._waiting: Listing | None = None

    def draw_top(self, title: str) -> None:
        say = self._session.translate
        ui.label(title).classes("top-title").props("role=heading aria-level=1")
        ui.label(say("studio.answered_by")).classes("fine only-wide")
        self._model = ui.label().classes("chip only-wide").mark("model")
        ui.space()
        teach = ui.button(say("studio.teach"), icon="school", on_click=self._teach)
        teach.props("flat no-caps").classes("only-icon-on-phones").mark("teach")
        self._trainer = ui.button(say("studio.train"), icon="bolt", on_click=self._train)
        self._trainer.props("unelevated no-caps").classes("only-icon-on-phones").mark("train")
        aside = ui.button(icon="view_sidebar", on_click=lambda: self._aside.toggle())
        aside.props(f"flat round dense aria-label={quoted_prop(say('studio.aside'))}")

    def draw(self, foot: ui.footer) -> None:
        say, session = self._session.translate, self._session
        drawer = ui.right_drawer(value=False, top_corner=True, bottom_corner=True)
        with drawer.props("width=320 breakpoint=1180 show-if-above") as self._aside:
            self._aside.classes("aside").props(f"aria-label={quoted_prop(say('studio.aside'))}")
            self._panel = ui.element("div").classes("panel")
        with draw_main_area("room"):
            self._conversation = Conversation(session, self._room)
            self._tour = Tour(session, self._tour_click, self.write)
            with ui.element("div").classes("empty-room"):
                draw_page_empty_state(session, "room", "forum")
        with foot:
            is_direct = session.channel == DIRECT
            key = "studio.hint_direct" if is_direct else "studio.hint"
            self._composer = Composer(session, self._speak, hint=say(key), can_speak_as=True)

    async def open(self) -> None:
        self._room.add_conversation(self._conversation)
        self._room.show_thread = self.open_thread
        watch = self._room.watch()
        await self._conversation.load()
        self._room.listen(watch)
        await self._refresh()
        refresh_on_change(self._session, self._refresh)
        ui.run_javascript("attune.follow()")

    async def _refresh(self) -> None:
        await self._show_answering_model()
        await self._tour.refresh(is_compact=not self._conversation.is_empty)
        if self._thread is None:
            await self._show_waiting()

    async def _show_answering_model(self) -> None:
        reply = await self._session.query_button("channel")
        if isinstance(reply, Card):
            facts = facts_by_name(reply)
            self._model.set_text(facts.get("model", ""))
            self._trainer.text = train_button_label(self._session, reply)

    async def _speak(self, text: str, files: Sequence[Attachment]) -> None:
        await self._room.speak(text, files)
        ui.run_javascript("attune.toBottom(true)")

    def write(self, text: str) -> None:
        self._composer.write(text)

    async def _teach(self) -> None:
        await self._session.send(events.CommandInvoked("teach"))

    async def _train(self) -> None:
        await self._session.send(events.CommandInvoked("start"))

    async def _tour_click(self, action: str) -> None:
        if action == "/teach":
            await self._teach()
            return
        if action == "job.start":
            # Runs the command, so that the reply is posted in the room.
            await self._train()
            return
        if action.startswith("starter"):
            notify_reply(await self._session.click(action))
        else:
            await self._session.send(events.ButtonClicked(action))

    async def _show_waiting(self) -> None:
        reply = await self._session.query_command(
            "examples", {"state": "proposed", "order": "oldest"}
        )
        if not isinstance(reply, Listing) or reply == self._waiting:
            return
        self._waiting = reply
        say = self._session.translate
        self._panel.clear()
        with self._panel:
            with ui.element("div").classes("panel-head"):
                ui.label(say("studio.waiting")).classes("panel-title")
                if reply.total:
                    ui.badge(str(reply.total), color=None).classes("count")
            if not reply.lines:
                ui.label(say("studio.nothing_waits")).classes("fine panel-empty")
            for line in reply.lines[:_WAITING]:
                self._draw_waiting(line)
            if (reply.total or 0) > len(reply.lines[:_WAITING]):
                ui.link(say("studio.see_all"), "/review").classes("fine")

    def _draw_waiting(self, line: ListingRow) -> None:
        facts = facts_by_name(line)
        with ui.element("article").classes("waiting"):
            ui.label(facts.get("question", line.text)).classes("waiting-question")
            draw_text(facts.get("answer", "")).classes("waiting-answer")
            by = [facts.get("authors", ""), facts.get("origin", "")]
            ui.label(" · ".join(part for part in by if part)).classes("fine")
            with ui.row().classes("waiting-buttons"):
                for key in _JUDGEMENTS:
                    button = Button(
                        self._session.translate(f"button.{key}"), f"example.{key}:{line.id}"
                    )
                    draw_button(button, self._judge, is_small=True)

    async def _judge(self, action: str) -> None:
        reply = await self._session.click(action)
        if isinstance(reply, Form):
            self._room.open_form(reply, self._session.place)
        elif isinstance(reply, Refused):
            notify_reply(reply)

    async def open_thread(self, number: int) -> None:
        """Shows a thread in the panel, and in the address, so that it survives a reload."""
        if self._thread is not None:
            self._room.remove_conversation(self._thread)
        say = self._session.translate
        self._panel.clear()
        with self._panel:
            with ui.element("div").classes("panel-head"):
                ui.label(say("studio.thread")).classes("panel-title")
                ui.space()
                close = ui.button(icon="close", on_click=self._close_thread)
                close.props(
                    f"flat round dense size=sm aria-label={quoted_prop(say('studio.close'))}"
                )
            self._thread = Conversation(self._session, self._room, thread=number)

            async def speak(text: str, files: Sequence[Attachment]) -> None:
                await self._room.speak(text, files, thread=number)

            Composer(self._session, speak, hint=say("studio.hint_thread"))
        self._room.add_conversation(self._thread)
        await self._thread.load()
        self._aside.show()
        ui.navigate.history.replace(f"{self._path}?thread={number}")
        ui.run_javascript("attune.focus('.aside .composer textarea')")

    async def _close_thread(self) -> None:
        if self._thread is not None:
            self._room.remove_conversation(self._thread)
        self._thread, self._waiting = None, None
        ui.navigate.history.replace(self._path)
        await self._show_waiting()
