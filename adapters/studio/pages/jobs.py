"""The jobs page: the list of jobs, and a job live with its chart, settings and events."""

from __future__ import annotations

from dataclasses import replace

from fastapi import Request
from nicegui import ui

from adapters.studio import reply_drawing
from adapters.studio.page_actions import PageActions
from adapters.studio.page_session import PageSession, Studio
from adapters.studio.pages.list_controls import ListControls
from adapters.studio.safe_html import quoted_prop
from adapters.studio.shell import (
    Page,
    draw_page,
    draw_page_empty_state,
    state_pill,
    train_button_label,
)
from bot.domain import LOCAL
from bot.replies import Button, Card, Listing, ListingRow, Refused

_SETTINGS = (
    "method",
    "base",
    "host",
    "epochs",
    "batch_size",
    "learning_rate",
    "beta",
    "validation",
    "suffix",
    "seed",
    "use",
)


_COLUMNS = {
    "id": "fact.job",
    "text": "fact.model",
    "state": "fact.state",
    "examples": "fact.examples",
    "date": "studio.date",
}
_MAX_PAGES = 100


async def jobs_page(studio: Studio, request: Request, job: str | None) -> None:
    await draw_page(studio, request, "jobs", lambda session: _Jobs(session, request, job))


class _Jobs(Page):
    def __init__(self, session: PageSession, request: Request, chosen: str | None) -> None:
        self._session = session
        self._chosen = chosen
        self._controls = ListControls(session, request, _COLUMNS, path="/jobs")
        self._actions = PageActions(session, self.refresh)
        self._listing: Listing | None = None
        self._events: Listing | None = None
        self._views: list[reply_drawing.CardView] = []
        self._drawn_job: str | None = None
        self._more_pages = 0

    def draw_top(self) -> None:
        if self._session.workspace != LOCAL:
            return
        button = ui.button(
            self._session.translate("studio.train_with"), icon="tune", on_click=self._open_settings
        )
        button.props("flat").classes("only-icon-on-phones").mark("train-with")
        self._trainer = ui.button(icon="bolt", on_click=self._train)
        self._trainer.props("unelevated").classes("only-icon-on-phones").mark("train")

    def draw(self) -> None:
        with ui.element("div").classes("split"):
            with ui.element("div").classes("stack"):
                self._controls.draw(self._relist)
                self._list = ui.element("div").classes("chooser")
            with ui.element("div").classes("stack"):
                self._detail = ui.element("div").classes("stack")
                self._events_area = ui.element("div").classes("stack story")
                label = self._session.translate("job.events")
                self._events_area.props(f"tabindex=0 role=region aria-label={quoted_prop(label)}")

    async def refresh(self) -> None:
        if self._session.workspace == LOCAL:
            self._trainer.text = train_button_label(
                self._session, await self._session.query_button("channel")
            )
        listing = await self._list_pages()
        if listing is None:
            return
        if listing != self._listing:
            self._select_newest(listing)
            self._listing = listing
            self._draw_list(listing)
        if self._chosen is not None:
            await self._show(self._chosen)

    async def _list_pages(self) -> Listing | None:
        """Returns the newest jobs and the further pages that were requested.

        Returns up to `_MAX_PAGES` pages if the list is sorted or filtered, as the page does both.
        """
        listing = await self._session.query_command("jobs")
        for _ in range(self._more_pages if self._controls.is_unfiltered else _MAX_PAGES):
            if not isinstance(listing, Listing) or listing.more is None:
                break
            older = await self._session.query_button(listing.more.action)
            if isinstance(older, Listing):
                listing = replace(listing, lines=(*listing.lines, *older.lines), more=older.more)
        return listing if isinstance(listing, Listing) else None

    async def _relist(self) -> None:
        self._listing = None
        await self.refresh()

    async def _show_more(self, action: str) -> None:
        self._more_pages += 1
        await self.refresh()

    def _select_newest(self, listing: Listing) -> None:
        """Selects the newest job at first, and when a new job appears."""
        ids = {line.id for line in self._listing.lines} if self._listing else set()
        newest = listing.lines[0].id if listing.lines else None
        if newest is not None and (self._chosen is None or (ids and newest not in ids)):
            self._chosen = newest
            ui.run_javascript("window.scrollTo({ top: 0 })")

    def _draw_list(self, listing: Listing) -> None:
        self._list.clear()
        with self._list:
            if not listing.lines:
                ways = {"/examples": "studio.examples"}
                draw_page_empty_state(self._session, "jobs", "model_training", ways=ways)
            shown = self._controls.filter_and_sort(listing.lines)
            if listing.lines and not shown:
                ui.label(self._session.translate("studio.nothing_found")).classes("fine")
            for line in shown:
                self._draw_row(line)
            if listing.more:
                reply_drawing.draw_buttons((listing.more,), self._show_more)

    def _draw_row(self, line: ListingRow) -> None:
        facts = reply_drawing.facts_by_name(line)

        async def choose() -> None:
            self._chosen = self._controls.address.choose(line.id)
            if self._listing is not None:
                self._draw_list(self._listing)
            await self._show(line.id)

        row = ui.element("button").classes("choice").props(f"type=button id=job-{line.id}")
        row.on("click", choose)
        if line.id == self._chosen:
            row.classes("here").props("aria-current=true")
        with row:
            with ui.element("div").classes("choice-head"):
                ui.label(f"{self._session.translate('fact.job')} {line.id}").classes("choice-title")
                state_pill(facts.get("state", ""), line.tone)
            ui.label(line.text).classes("mono clip-line")
            ui.label(facts.get("date", "")).classes("fine")

    async def _show(self, number: str) -> None:
        card = await self._session.query_button(f"job.show:{number}")
        events = await self._session.query_button(f"job.events:{number}")
        if isinstance(card, Refused):
            self._show_refusal(card)
        if not isinstance(card, Card) or not isinstance(events, Listing) or number != self._chosen:
            return
        event_texts = {line.text for line in events.lines}
        card = replace(card, lines=tuple(line for line in card.lines if line not in event_texts))
        accuracy = await self._session.query_button(f"job.accuracy:{number}")
        cards = [each for each in (card, accuracy) if isinstance(each, Card)]
        if not self._update_cards(number, cards):
            self._draw_detail(number, cards)
        self._draw_events(events)

    def _show_refusal(self, refusal: Refused) -> None:
        self._detail.clear()
        with self._detail:
            ui.label(refusal.text).classes("warning").props("role=alert")

    def _update_cards(self, number: str, cards: list[Card]) -> bool:
        """Updates the drawn cards in place; returns False if they have to be drawn from scratch."""
        if self._drawn_job != number or len(cards) != len(self._views):
            return False
        return all(view.update(card) for view, card in zip(self._views, cards, strict=True))

    def _draw_detail(self, number: str, cards: list[Card]) -> None:
        say = self._session.translate
        self._detail.clear()
        with self._detail:
            self._views = [
                reply_drawing.CardView(card, self._actions.click, can_zoom=True) for card in cards
            ]
            with ui.row().classes("bar"):
                for key, action, click in (
                    ("studio.again", "job.again", self._actions.click),
                    ("studio.rows", "job.rows", self._actions.click),
                    ("studio.changes", "job.changes", self._actions.click),
                    ("studio.results", "job.results", self._save),
                ):
                    reply_drawing.draw_button(Button(say(key), f"{action}:{number}"), click)
        self._drawn_job = number

    async def _save(self, action: str) -> None:
        """Downloads the host's result file, or the stored metrics if the host has none."""
        reply = await self._session.click(action)
        if isinstance(reply, Refused):
            reply = await self._session.click(action.replace("job.results", "job.numbers"))
        await self._actions.show(reply)

    def _draw_events(self, events: Listing) -> None:
        if events == self._events:
            return
        self._events = events
        self._events_area.clear()
        with self._events_area:
            reply_drawing.draw_listing(events, self._actions.click)

    async def _train(self) -> None:
        await self._actions.click("job.start")

    async def _open_settings(self) -> None:
        hosts = await self._session.query_button("hosts")
        hosts_by_name = (
            {line.id: line.id for line in hosts.lines} if isinstance(hosts, Listing) else {}
        )
        self._actions.fill_in(
            "start",
            title=self._session.translate("studio.train_with"),
            names=_SETTINGS,
            choices={"host": hosts_by_name},
        )
