"""The import dialog: uploads a file and shows the report of its rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from nicegui import ui

from adapters.plain_text import share_done
from adapters.studio import reply_drawing
from adapters.studio.dialogs import open_dialog
from adapters.studio.forms import open_form
from adapters.studio.page_session import PageSession
from adapters.studio.safe_html import quoted_prop
from adapters.studio.uploads import UploadArea
from bot import events
from bot.domain import Attachment
from bot.replies import Card, Form, Progress, Refused, Reply


class ImportDialog:
    """A dialog with an upload area and the report; calls `done` after every reply."""

    def __init__(self, session: PageSession, done: Callable[[], Awaitable[None]]) -> None:
        self._session = session
        self._done = done
        self._preview: Reply | None = None

    def open(self) -> None:
        say = self._session.translate
        with (
            open_dialog('aria-labelledby="import-title"') as dialog,
            ui.card().classes("form-card"),
        ):
            title = ui.label(say("studio.import")).classes("form-title")
            title.props("id=import-title role=heading aria-level=2")
            ui.label(say("studio.import.note")).classes("fine")
            self._area = ui.element("div").classes("w-full")
            with self._area:
                UploadArea(self._session, self._import, label=say("studio.drop_file"))
            with ui.row().classes("form-buttons"):
                ui.button(say("studio.close"), on_click=dialog.close).props("flat")

    async def _import(self, attachment: Attachment) -> None:
        await self._ask(events.FormSubmitted("import", {}, attachment))

    async def _click(self, action: str) -> None:
        await self._ask(events.ButtonClicked(action))

    async def _ask(self, what: events.EventContent) -> None:
        reply = await self._session.ask(what, progress=self._draw_progress())
        if isinstance(reply, Form):
            await self._ask_columns(reply)
        elif not self._area.is_deleted:
            self._area.clear()
            with self._area:
                self._draw_report(reply)
        await self._done()

    async def _ask_columns(self, form: Form) -> None:
        """Opens the form for the columns; keeps the preview if the form is closed."""

        async def submit(values: Mapping[str, str]) -> str:
            reply = await self._session.ask(events.FormSubmitted(form.id, values))
            if isinstance(reply, Refused):
                return reply.text
            self._preview = reply
            self._redraw()
            return ""

        self._redraw()
        open_form(self._session, form, submit)

    def _redraw(self) -> None:
        if self._preview is not None and not self._area.is_deleted:
            self._area.clear()
            with self._area:
                self._draw_report(self._preview)

    def _draw_progress(self) -> Callable[[Progress], None]:
        say = self._session.translate
        self._area.clear()
        with self._area:
            bar = ui.linear_progress(0, show_value=False, size="8px").props("rounded")
            bar.props(f"aria-label={quoted_prop(say('studio.importing'))}").mark("import-bar")
            label = ui.label(say("studio.importing")).classes("fine").props("role=status")

        def tell(progress: Progress) -> None:
            if not bar.is_deleted:
                share = share_done(progress)
                bar.set_value(share)
                label.set_text(say("studio.checked", percent=round(share * 100)))

        return tell

    def _draw_report(self, reply: Reply) -> None:
        """Draws the number of imported rows, and the reason for each rejected row."""
        if isinstance(reply, Refused):
            ui.label(reply.text).classes("problem").props("role=alert")
        elif isinstance(reply, Card):
            self._preview = reply
            title = ui.label(reply.title).classes("card-title")
            title.props("role=status")
            reply_drawing.draw_facts(reply.facts)
            self._draw_lines(reply.lines)
            reply_drawing.draw_buttons(reply.buttons, self._click)

    def _draw_lines(self, lines: Sequence[str]) -> None:
        if not lines:
            return
        with ui.element("ul").classes("report").props("tabindex=0"):
            for line in lines:
                with ui.element("li"):
                    ui.label(line)
