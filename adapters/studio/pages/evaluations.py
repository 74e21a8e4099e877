"""The evaluations page: an evaluation with scores and table, and the history of scores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from nicegui import events as browser
from nicegui import ui

from adapters.studio import reply_drawing
from adapters.studio.notifications import notify, notify_reply
from adapters.studio.page_actions import PageActions
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.pages.evaluation_table import draw_table, table_rows
from adapters.studio.pages.list_controls import ListAddress, Pager
from adapters.studio.score_chart import draw_scores
from adapters.studio.shell import Page, draw_page, draw_page_empty_state
from bot.domain import QuestionOrder
from bot.replies import Card, Listing, ListingRow, Reply

_PAGE = 20
_ORDERS = (
    QuestionOrder.DIFFERENCE,
    QuestionOrder.WORSE,
    QuestionOrder.BETTER,
    QuestionOrder.NUMBER,
)


async def evaluations_page(studio: Studio, request: Request, number: str | None) -> None:
    await draw_page(
        studio, request, "evaluations", lambda session: _Evaluations(session, request, number)
    )


class _Evaluations(Page):
    def __init__(self, session: PageSession, request: Request, chosen: str | None) -> None:
        self._session = session
        self._chosen = chosen or ""
        self._address = ListAddress(request, {"order": _ORDERS}, path="/evaluations")
        self._first = 0
        self._actions = PageActions(session, self.refresh)
        self._drawn_replies: dict[str, Reply] = {}
        self._table: ui.table | None = None
        self._names: list[str] = []

    def draw_top(self) -> None:
        say = self._session.translate
        with ui.button(say("studio.export"), icon="download").props("flat") as button:
            button.classes("only-icon-on-phones")
            with ui.menu():
                ui.menu_item(say("studio.answers_csv"), self._export_handler("csv"))
                ui.menu_item(say("studio.answers_jsonl"), self._export_handler("jsonl"))
        start = ui.button(say("studio.evaluate"), icon="balance", on_click=self._evaluate)
        start.props("unelevated").classes("only-icon-on-phones").mark("evaluate")

    def draw(self) -> None:
        say = self._session.translate
        self._dashboard = ui.element("div").classes("stack")
        self._empty_state = ui.element("div").classes("stack")
        with ui.element("div").classes("stack") as self._content:
            self._evaluation_select = ui.select({}, label=say("studio.which_evaluation"))
            self._evaluation_select.props("outlined dense").classes("w-full").mark("which")
            self._evaluation_select.on_value_change(self._choose)
            with ui.element("div").classes("halves"):
                self._card = ui.element("div").classes("stack")
                self._scores = ui.element("div").classes("stack")
            with ui.element("div").classes("bar"):
                labels = {order.value: say(f"studio.order.{order}") for order in _ORDERS}
                order = ui.select(labels, label=say("studio.order"), value=self._order)
                order.props("outlined dense").classes("order").mark("order")
                order.on_value_change(self._address.field_handler("order", self._show_first_page))
                ui.label(say("studio.marked")).classes("fine")
            self._sheet = ui.element("div").classes("stack")
            self._pager = Pager(
                self._session, back=self._page_handler(-_PAGE), on=self._page_handler(_PAGE)
            )
            self._history = ui.element("div").classes("stack")
        self._content.set_visibility(False)

    async def refresh(self) -> None:
        dashboard = await self._session.query_button("dashboard")
        if isinstance(dashboard, Card) and self._has_changed("dashboard", dashboard):
            self._dashboard.clear()
            with self._dashboard:
                reply_drawing.CardView(dashboard, self._actions.click)
        listing = await self._session.query_button("evaluations")
        if not isinstance(listing, Listing):
            return
        if self._has_changed("evaluations", listing):
            self._set_choices(listing)
            history = await self._session.query_button("evaluations.history")
            if self._has_changed("history", history):
                self._draw_history(history)
        if self._chosen:
            await self._show()

    def _has_changed(self, name: str, reply: Reply) -> bool:
        """Whether the reply differs from the drawn one; stores it as drawn."""
        has_changed = self._drawn_replies.get(name) != reply
        self._drawn_replies[name] = reply
        return has_changed

    def _set_choices(self, listing: Listing) -> None:
        self._empty_state.clear()
        self._content.set_visibility(bool(listing.lines))
        if not listing.lines:
            with self._empty_state:
                ways = {"/jobs": "studio.jobs"}
                draw_page_empty_state(self._session, "evaluations", "balance", ways=ways)
            return
        ids = {line.id for line in listing.lines}
        self._chosen = self._chosen if self._chosen in ids else listing.lines[0].id
        labels = {line.id: _evaluation_label(line) for line in listing.lines}
        self._evaluation_select.set_options(labels, value=self._chosen)

    async def _choose(self, change: browser.ValueChangeEventArguments[str]) -> None:
        if change.value and change.value != self._chosen:
            self._chosen, self._first = self._address.choose(str(change.value)), 0
            await self._show()

    @property
    def _order(self) -> str:
        return self._address.get("order") or QuestionOrder.DIFFERENCE

    async def _show_first_page(self) -> None:
        self._first = 0
        await self._load_page()

    def _page_handler(self, step: int) -> Callable[[], Awaitable[None]]:
        async def turn_page() -> None:
            self._first = max(0, self._first + step)
            await self._load_page()

        return turn_page

    async def _show(self) -> None:
        card = await self._session.query_button(f"evaluation.show:{self._chosen}")
        if isinstance(card, Card) and self._has_changed("card", card):
            self._card.clear()
            with self._card:
                reply_drawing.CardView(card, self._actions.click)
        measures = await self._session.query_button(f"evaluation.details:{self._chosen}")
        if isinstance(measures, Listing) and self._has_changed("measures", measures):
            self._scores.clear()
            with self._scores:
                draw_scores(self._session, measures)
        await self._load_page()

    async def _load_page(self) -> None:
        """Updates the table with the current page of questions."""
        reply = await self._session.query_button(
            f"evaluation.sheet:{self._chosen}.{self._order}.{self._first}"
        )
        if not self._has_changed("sheet", reply):
            return
        if not isinstance(reply, Listing):
            notify_reply(reply)
            return
        names = [fact.label for fact in reply.facts]
        if self._table is None or names != self._names:
            self._names = names
            self._sheet.clear()
            with self._sheet:
                self._table = draw_table(
                    self._session, names, act=self._actions.click, opened=self._open_question
                )
        self._table.rows = table_rows(reply.lines, names)
        self._table.update()
        count, total = len(reply.lines), reply.total or 0
        has_more = count == _PAGE and self._first + count < total
        self._pager.show(self._first + 1, count, total, has_more=has_more)

    def _draw_history(self, reply: Reply) -> None:
        self._history.clear()
        if isinstance(reply, Card) and reply.chart is not None:
            with self._history, ui.element("section").classes("card plain"):
                ui.label(reply.title).classes("card-title").props("role=heading aria-level=2")
                reply_drawing.draw_chart(reply.chart)

    async def _open_question(self, number: str) -> None:
        await self._actions.click(f"evaluation.question:{self._chosen}.{number}")

    async def _evaluate(self) -> None:
        await self._actions.run("evaluate")

    def _export_handler(self, ending: str) -> Callable[[], Awaitable[None]]:
        async def export() -> None:
            if self._chosen:
                reply = await self._session.click(f"evaluation.export:{self._chosen}.{ending}")
                await self._actions.show(reply)
            else:
                notify(self._session.translate("studio.evaluations.empty"), kind="warning")

        return export


def _evaluation_label(line: ListingRow) -> str:
    date = next((fact.value for fact in line.facts if fact.name == "date"), "")
    return " · ".join(part for part in (f"#{line.id} {line.text}", line.note, date) if part)
