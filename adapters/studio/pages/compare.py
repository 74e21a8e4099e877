"""The compare page: asks several models a question; the better answer becomes a preference."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing

from fastapi import Request
from nicegui import background_tasks, ui
from nicegui import events as browser

from adapters.studio.notifications import notify, notify_reply
from adapters.studio.page_actions import PageActions
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.reply_drawing import StreamedText
from adapters.studio.safe_html import quoted_prop
from adapters.studio.shell import Page, draw_page, draw_page_empty_state
from bot import events
from bot.replies import Column, Comparison, Listing, ListingRow, Refused, StreamedColumn, Tone


async def compare_page(studio: Studio, request: Request) -> None:
    await draw_page(studio, request, "compare", _Comparison)


class _Comparison(Page):
    def __init__(self, session: PageSession) -> None:
        self._session = session
        self._question = ""
        self._actions = PageActions(session, self.refresh)
        self._contenders: tuple[ListingRow, ...] = ()
        self._reading: asyncio.Task[None] | None = None
        self._columns: list[_Answer] = []

    def draw(self) -> None:
        say = self._session.translate
        with ui.element("div").classes("bar asking-bar"):
            self._field = ui.input(placeholder=say("studio.ask.hint")).props("outlined dense")
            self._field.props(f"aria-label={quoted_prop(say('studio.ask.hint'))} autofocus").mark(
                "question"
            )
            self._field.classes("grow").on(
                "keydown.enter", self._on_enter, js_handler="(e) => emit(e.target.value)"
            )
            self._button = ui.button(say("studio.ask"), on_click=self._on_click)
            self._button.props("unelevated").mark("ask-all")
        self._model_select = ui.select({}, label=say("studio.who_answers"), multiple=True)
        self._model_select.props("outlined dense use-chips options-dense").classes("w-full").mark(
            "who"
        )
        self._answers = ui.element("div").classes("stack").props("aria-live=polite")
        with self._answers:
            draw_page_empty_state(self._session, "compare", "view_column")

    async def refresh(self) -> None:
        """Updates the models that can be asked, which change as jobs end."""
        listing = await self._session.query_button("compare.who")
        if not isinstance(listing, Listing) or listing.lines == self._contenders:
            return
        is_first, self._contenders = not self._contenders, listing.lines
        usual = [line.id for line in listing.lines if line.tone is Tone.GOOD]
        labels = {line.id: _contender_label(line) for line in listing.lines}
        selected = [name for name in self._model_select.value or [] if name in labels]
        self._model_select.set_options(labels, value=usual if is_first else selected)

    async def _on_enter(self, event: browser.GenericEventArguments) -> None:
        await self._ask(str(event.args))

    async def _on_click(self) -> None:
        await self._ask(str(self._field.value or ""))

    async def _ask(self, question: str) -> None:
        self._question = question.strip()
        who = "\n".join(self._model_select.value or [])
        what = events.FormSubmitted("compare", {"question": self._question, "who": who})
        reply = await self._session.ask(what)
        if not isinstance(reply, Comparison):
            notify_reply(reply)
            return
        if self._reading is not None:
            self._reading.cancel()
        self._draw_answers(reply)
        self._reading = background_tasks.create(self._read(), name="studio: comparison")
        ui.context.client.on_delete(self._reading.cancel)

    async def _read(self) -> None:
        """Reads all answers concurrently, then offers the buttons to pick one."""
        async with asyncio.TaskGroup() as group:
            for column in self._columns:
                group.create_task(column.read(), name="studio: answer")
        for column in self._columns:
            column.offer()

    def _draw_answers(self, reply: Comparison) -> None:
        self._answers.clear()
        with self._answers:
            ui.label(self._question).classes("asked").props("role=heading aria-level=2")
            for line in reply.lines:
                ui.label(line).classes("fine")
            with ui.element("div").classes("contenders"):
                self._columns = [
                    _Answer(self._session, column, self._prefer) for column in reply.answers
                ]

    def _refusal(self) -> events.FormSubmitted:
        """Returns the form that reports a preferred refusal; the app then asks for the answer."""
        return events.FormSubmitted("prefer", {"question": self._question, "is_refusal": "yes"})

    async def _prefer(self, better: _Answer) -> None:
        """Stores the answer as preferred to every answer with another text."""
        others = dict.fromkeys(
            answer.column.text
            for answer in self._columns
            if answer.column and better.column and answer.column.text != better.column.text
        )
        if better.column is not None and better.column.is_refusal:
            await self._actions.show(await self._session.ask(self._refusal()))
            return
        if not others or better.column is None:
            notify(self._session.translate("studio.same"), kind="warning")
            return
        for text in others:
            values = {
                "question": self._question,
                "preferred": better.column.text,
                "rejected": text,
            }
            reply = await self._session.ask(events.FormSubmitted("prefer", values))
            notify_reply(reply)
            if isinstance(reply, Refused):
                return
        for answer in self._columns:
            answer.settle(is_better=answer is better)


class _Answer:
    """A column with a model's answer, which can be picked once all answers are complete."""

    def __init__(
        self,
        session: PageSession,
        writing: StreamedColumn,
        prefer: Callable[[_Answer], Awaitable[None]],
    ) -> None:
        self._session = session
        self._writing = writing
        self.column: Column | None = None

        async def on_pick() -> None:
            await prefer(self)

        with ui.element("article").classes("contender") as self._frame:
            title = ui.label(writing.title).classes("contender-title")
            title.props("role=heading aria-level=3")
            self._text = StreamedText()
            self._note = ui.label(writing.note).classes("fine")
            self._pick_button = ui.button(
                session.translate("studio.better"), icon="thumb_up", on_click=on_pick
            )
            self._pick_button.props("outline size=sm").mark("better")
            self._pick_button.set_visibility(False)

    async def read(self) -> None:
        text = ""
        async with aclosing(self._writing.pieces) as pieces:
            async for piece in pieces:
                text += piece
                self._text.show(text)
        self._text.end(text)
        self.column = self._writing.final_column()
        if self.column is not None:
            self._note.set_text(self.column.note)

    def offer(self) -> None:
        self._pick_button.set_visibility(self.column is not None)

    def settle(self, *, is_better: bool) -> None:
        """Hides the pick button and marks the column if it was picked."""
        self._pick_button.set_visibility(False)
        if is_better:
            self._frame.classes("preferred")
            self._note.set_text(f"{self._note.text} · {self._session.translate('studio.picked')}")


def _contender_label(line: ListingRow) -> str:
    return f"{line.text} · {line.note}"
