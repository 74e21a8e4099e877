"""The tour: four steps, each of which is marked as done once it has happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from adapters.studio.page_session import PageSession
from adapters.studio.reply_drawing import Click, draw_button
from adapters.studio.safe_html import quoted_prop
from bot.replies import Listing, ListingRow, Tone


class Tour:
    """The tour at the start of the room, which is redrawn when a step was done."""

    def __init__(self, session: PageSession, click: Click, write: Callable[[str], None]) -> None:
        self._session = session
        self._click = click
        self._write = write
        self._listing: Listing | None = None
        self._frame = (
            ui.element("section")
            .classes("tour")
            .props(f"aria-label={quoted_prop(session.translate('tour.title'))}")
        )
        self._frame.set_visibility(False)

    async def refresh(self, *, is_compact: bool) -> None:
        """Redraws the tour if it has changed; `is_compact` if the room has messages."""
        self._frame.classes(add="compact" if is_compact else "", remove="compact")
        listing = await self._session.query_button("tour")
        if not isinstance(listing, Listing) or listing == self._listing:
            return
        is_first_draw, self._listing = self._listing is None, listing
        is_done = all(line.tone is Tone.GOOD for line in listing.lines)
        # Stays visible when the last step is done in this window; hidden if all were done before.
        self._frame.set_visibility(not (is_done and is_first_draw))
        self._frame.clear()
        with self._frame:
            with ui.element("div").classes("tour-head"):
                ui.label(listing.title).classes("tour-title").props("role=heading aria-level=2")
                if is_done:
                    close = ui.button(icon="close", on_click=self._close)
                    label = quoted_prop(self._say("studio.close"))
                    close.props(f"flat round dense size=sm aria-label={label}")
            with ui.element("ol").classes("steps"):
                for index, line in enumerate(listing.lines, start=1):
                    self._draw_step(index, line)
            if listing.note:
                with ui.row().classes("buttons"):
                    ui.label(listing.note).classes("fine")
                    self._draw_secondary("studio.to_engine", self._go_hosts)

    def _close(self) -> None:
        self._frame.set_visibility(False)

    def _say(self, key: str) -> str:
        return self._session.translate(key)

    def _draw_step(self, index: int, line: ListingRow) -> None:
        state = {Tone.GOOD: "done", Tone.BUSY: "current"}.get(line.tone, "later")
        step = ui.element("li").classes(f"step {state}")
        if state == "current":
            step.props("aria-current=step")
        with step:
            with ui.element("span").classes("step-mark").props("aria-hidden=true"):
                if state == "done":
                    ui.icon("check")
                else:
                    ui.label(str(index))
            with ui.element("div").classes("step-body"):
                ui.label(line.text).classes("step-name")
                ui.label(line.note).classes("fine")
                if state == "current":
                    self._draw_step_buttons(line)

    def _draw_step_buttons(self, line: ListingRow) -> None:
        with ui.row().classes("buttons"):
            for button in line.buttons:
                draw_button(button, self._click)
            if line.id == "teach":
                self._draw_secondary("studio.import", self._go_import)
                self._draw_secondary("studio.write", self._teach)
            elif line.id == "ask":
                question = next((f.value for f in line.facts if f.name == "question"), "")
                self._draw_secondary("studio.try_it", self._try(question), is_primary=True)

    def _draw_secondary(
        self, key: str, act: Callable[[], Awaitable[None]], *, is_primary: bool = False
    ) -> None:
        button = ui.button(self._say(key), on_click=act).props("no-caps")
        button.props("unelevated" if is_primary else "outline").mark(key.removeprefix("studio."))

    async def _go_import(self) -> None:
        ui.navigate.to("/examples?import=1")

    async def _go_hosts(self) -> None:
        ui.navigate.to("/hosts")

    async def _teach(self) -> None:
        await self._click("/teach")

    def _try(self, question: str) -> Callable[[], Awaitable[None]]:
        async def write() -> None:
            self._write(f"@attune {question}")

        return write
