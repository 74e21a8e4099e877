"""Compare: one question to every model; the better answer becomes a preference."""

from __future__ import annotations

from fastapi import Request
from nicegui import events as browser
from nicegui import ui

from adapters.studio.drawing import draw_text
from adapters.studio.notes import notify, tell
from adapters.studio.shell import empty, shell, title_of, visit_of
from adapters.studio.visit import Studio, Visit
from bot import events
from bot.replies import Card, Column, Refused


async def compare_page(studio: Studio, request: Request) -> None:
    visit = visit_of(studio, request)
    title = visit.say("studio.compare")
    channels = await studio.room.channels()
    with shell(visit, request, here="compare", title=title, channels=channels) as frame:
        with frame.top:
            title_of(title)
        with ui.element("main").classes("page").props("id=main"):
            _Comparison(visit).draw()


class _Comparison:
    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._question = ""

    def draw(self) -> None:
        say = self._visit.say
        with ui.element("div").classes("bar asking-bar"):
            self._field = ui.input(placeholder=say("studio.ask.hint")).props("outlined dense")
            self._field.props(f'aria-label="{say("studio.ask.hint")}" autofocus').mark("question")
            self._field.classes("grow").on(
                "keydown.enter", self._entered, js_handler="(e) => emit(e.target.value)"
            )
            self._deep = ui.switch(say("studio.checkpoints"))
            self._button = ui.button(say("studio.ask"), on_click=self._clicked)
            self._button.props("unelevated").mark("ask-all")
        self._answers = ui.element("div").classes("stack").props("aria-live=polite")
        with self._answers:
            empty("view_column", say("studio.compare.empty"), say("studio.compare.empty.note"))

    async def _entered(self, event: browser.GenericEventArguments) -> None:
        await self._ask(str(event.args))

    async def _clicked(self) -> None:
        await self._ask(str(self._field.value or ""))

    async def _ask(self, question: str) -> None:
        self._question = question.strip()
        if not self._question:
            return
        self._button.props("loading")
        wanted = {"question": self._question, "checkpoints": "yes" if self._deep.value else ""}
        try:
            reply = await self._visit.command("compare", wanted)
        finally:
            self._button.props(remove="loading")
        if isinstance(reply, Card):
            self._draw_answers(reply)
        else:
            tell(reply)

    def _draw_answers(self, card: Card) -> None:
        self._answers.clear()
        with self._answers:
            ui.label(self._question).classes("asked").props("role=heading aria-level=2")
            for line in card.lines:
                ui.label(line).classes("fine")
            with ui.element("div").classes("contenders"):
                for column in card.columns:
                    self._draw_column(column, card.columns)

    def _draw_column(self, column: Column, columns: tuple[Column, ...]) -> None:
        async def prefer() -> None:
            await self._prefer(column, columns)
            drawn.classes("preferred")

        with ui.element("article").classes("contender") as drawn:
            ui.label(column.title).classes("contender-title").props("role=heading aria-level=3")
            draw_text(column.text)
            ui.label(column.note).classes("fine")
            better = ui.button(self._visit.say("studio.better"), icon="thumb_up", on_click=prefer)
            better.props("outline size=sm").mark("better")

    async def _prefer(self, better: Column, columns: tuple[Column, ...]) -> None:
        """Over every answer that says something else."""
        others = dict.fromkeys(one.text for one in columns if one.text != better.text)
        if not others:
            notify(self._visit.say("studio.same"), kind="warning")
        for text in others:
            values = {"question": self._question, "preferred": better.text, "rejected": text}
            reply = await self._visit.ask(events.Submitted("prefer", values))
            tell(reply)
            if isinstance(reply, Refused):
                return
