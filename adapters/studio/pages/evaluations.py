"""The evaluations: one as a table with its scores, and the scores of one model after another."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request
from nicegui import events as browser
from nicegui import ui

from adapters.studio import drawing
from adapters.studio.actions import PageActions
from adapters.studio.notifications import notify, tell
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.pages.evaluation_table import draw_table, rows_of
from adapters.studio.pages.lists import ListAddress, Pager
from adapters.studio.score_chart import draw_scores
from adapters.studio.shell import Page, draw_empty_page, draw_page
from bot.domain import QuestionOrder
from bot.replies import Card, Listing, ListingRow, Reply

_PAGE = 20
_ORDERS = (QuestionOrder.APART, QuestionOrder.WORSE, QuestionOrder.BETTER, QuestionOrder.NUMBER)


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
        self._seen: dict[str, Reply] = {}
        self._table: ui.table | None = None
        self._names: list[str] = []

    def draw_top(self) -> None:
        say = self._session.translate
        with ui.button(say("studio.export"), icon="download").props("flat") as button:
            button.classes("only-icon-on-phones")
            with ui.menu():
                ui.menu_item(say("studio.answers_csv"), self._exporting("csv"))
                ui.menu_item(say("studio.answers_jsonl"), self._exporting("jsonl"))
        start = ui.button(say("studio.evaluate"), icon="balance", on_click=self._evaluate)
        start.props("unelevated").classes("only-icon-on-phones").mark("evaluate")

    def draw(self) -> None:
        say = self._session.translate
        self._dashboard = ui.element("div").classes("stack")
        self._nothing = ui.element("div").classes("stack")
        with ui.element("div").classes("stack") as self._whole:
            self._which = ui.select({}, label=say("studio.which_evaluation"))
            self._which.props("outlined dense").classes("w-full").mark("which")
            self._which.on_value_change(self._choose)
            with ui.element("div").classes("halves"):
                self._card = ui.element("div").classes("stack")
                self._scores = ui.element("div").classes("stack")
            with ui.element("div").classes("bar"):
                offered = {one.value: say(f"studio.order.{one}") for one in _ORDERS}
                order = ui.select(offered, label=say("studio.order"), value=self._order)
                order.props("outlined dense").classes("order").mark("order")
                order.on_value_change(self._address.field_handler("order", self._from_the_start))
                ui.label(say("studio.marked")).classes("fine")
            self._sheet = ui.element("div").classes("stack")
            self._pager = Pager(self._session, back=self._turner(-_PAGE), on=self._turner(_PAGE))
            self._history = ui.element("div").classes("stack")
        self._whole.set_visibility(False)

    async def refresh(self) -> None:
        sums = await self._session.query_button("dashboard")
        if isinstance(sums, Card) and self._is_news("dashboard", sums):
            self._dashboard.clear()
            with self._dashboard:
                drawing.CardView(sums, self._actions.click)
        listed = await self._session.query_button("evaluations")
        if not isinstance(listed, Listing):
            return
        if self._is_news("evaluations", listed):
            self._offer(listed)
            history = await self._session.query_button("evaluations.history")
            if self._is_news("history", history):
                self._draw_history(history)
        if self._chosen:
            await self._show()

    def _is_news(self, name: str, reply: Reply) -> bool:
        """Whether it differs from what is drawn."""
        is_news = self._seen.get(name) != reply
        self._seen[name] = reply
        return is_news

    def _offer(self, listed: Listing) -> None:
        self._nothing.clear()
        self._whole.set_visibility(bool(listed.lines))
        if not listed.lines:
            with self._nothing:
                ways = {"/jobs": "studio.jobs"}
                draw_empty_page(self._session, "evaluations", "balance", ways=ways)
            return
        known = {line.id for line in listed.lines}
        self._chosen = self._chosen if self._chosen in known else listed.lines[0].id
        offered = {line.id: _named(line) for line in listed.lines}
        self._which.set_options(offered, value=self._chosen)

    async def _choose(self, change: browser.ValueChangeEventArguments[str]) -> None:
        if change.value and change.value != self._chosen:
            self._chosen, self._first = self._address.choose(str(change.value)), 0
            await self._show()

    @property
    def _order(self) -> str:
        return self._address.get("order") or QuestionOrder.APART

    async def _from_the_start(self) -> None:
        self._first = 0
        await self._turn()

    def _turner(self, step: int) -> Callable[[], Awaitable[None]]:
        async def turn() -> None:
            self._first = max(0, self._first + step)
            await self._turn()

        return turn

    async def _show(self) -> None:
        card = await self._session.query_button(f"evaluation.show:{self._chosen}")
        if isinstance(card, Card) and self._is_news("card", card):
            self._card.clear()
            with self._card:
                drawing.CardView(card, self._actions.click)
        measures = await self._session.query_button(f"evaluation.details:{self._chosen}")
        if isinstance(measures, Listing) and self._is_news("measures", measures):
            self._scores.clear()
            with self._scores:
                draw_scores(self._session, measures)
        await self._turn()

    async def _turn(self) -> None:
        """The questions at this place, as they are now."""
        told = await self._session.query_button(
            f"evaluation.sheet:{self._chosen}.{self._order}.{self._first}"
        )
        if not self._is_news("sheet", told):
            return
        if not isinstance(told, Listing):
            tell(told)
            return
        names = [fact.label for fact in told.facts]
        if self._table is None or names != self._names:
            self._names = names
            self._sheet.clear()
            with self._sheet:
                self._table = draw_table(
                    self._session, names, act=self._actions.click, opened=self._opened
                )
        self._table.rows = rows_of(told.lines, names)
        self._table.update()
        count, total = len(told.lines), told.total or 0
        has_more = count == _PAGE and self._first + count < total
        self._pager.show(self._first + 1, count, total, has_more=has_more)

    def _draw_history(self, told: Reply) -> None:
        self._history.clear()
        if isinstance(told, Card) and told.chart is not None:
            with self._history, ui.element("section").classes("card plain"):
                ui.label(told.title).classes("card-title").props("role=heading aria-level=2")
                drawing.draw_chart(told.chart)

    async def _opened(self, number: str) -> None:
        await self._actions.click(f"evaluation.question:{self._chosen}.{number}")

    async def _evaluate(self) -> None:
        await self._actions.run("evaluate")

    def _exporting(self, ending: str) -> Callable[[], Awaitable[None]]:
        async def export() -> None:
            if self._chosen:
                told = await self._session.click(f"evaluation.export:{self._chosen}.{ending}")
                await self._actions.show(told)
            else:
                notify(self._session.translate("studio.evaluations.empty"), kind="warning")

        return export


def _named(line: ListingRow) -> str:
    date = next((fact.value for fact in line.facts if fact.name == "date"), "")
    return " · ".join(one for one in (f"#{line.id} {line.text}", line.note, date) if one)
