"""The pages of examples and of preferences: search, edit, change in bulk, import and export."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping

from fastapi import Request
from nicegui import events as browser
from nicegui import ui

from adapters.studio import reply_drawing
from adapters.studio.dialogs import close_then, open_dialog
from adapters.studio.forms import open_form
from adapters.studio.notifications import notify_reply
from adapters.studio.page_actions import PageActions
from adapters.studio.page_session import PEOPLE_FIELD_CLASS, PageSession, Studio
from adapters.studio.pages.examples_table import draw_table, fill_table
from adapters.studio.pages.import_dialog import ImportDialog
from adapters.studio.pages.list_controls import Change, ListAddress, Pager
from adapters.studio.pages.review import draw_exchange, revisions_of
from adapters.studio.pages.saved_views import SavedViews
from adapters.studio.safe_html import quoted_prop
from adapters.studio.shell import Page, draw_empty_state, draw_page, draw_page_empty_state
from bot import events
from bot.domain import ExampleState, Origin
from bot.replies import Card, Field, Form, Listing, ListingRow, Refused, Reply

_PAGE = 25
_ORDERS = ("oldest", "question", "state", "origin")
_FILTERS: Mapping[str, Collection[str] | None] = {
    "search": None,
    "state": set(ExampleState),
    "origin": set(Origin),
    "author": None,
    "tag": None,
    "order": _ORDERS,
}


async def examples_page(studio: Studio, request: Request, *, method: str) -> None:
    here = "examples" if method == "supervised" else "preferences"
    page = await draw_page(
        studio, request, here, lambda session: _Examples(session, request, here, method)
    )
    if "import" in request.query_params:
        page.open_import()
    await page.open_named(request.query_params.get("open", ""))


class _Examples(Page):
    def __init__(self, session: PageSession, request: Request, here: str, method: str) -> None:
        self._session = session
        self._request = request
        self._here = here
        self._method = method
        self._address = ListAddress(request, _FILTERS)
        # The `after` parameter of each page so far, for the way back: the store pages only forward.
        self._page_starts: list[str] = [""]
        self._listing: Listing | None = None
        self._actions = PageActions(session, self.refresh)

    def draw_top(self) -> None:
        say = self._session.translate
        import_button = ui.button(
            say("studio.import"), icon="upload_file", on_click=self.open_import
        )
        import_button.props("flat").classes("only-icon-on-phones").mark("import")
        with ui.button(say("studio.export"), icon="download").props("flat") as button:
            button.classes("only-icon-on-phones")
            with ui.menu():
                ui.menu_item(say("studio.export_jsonl"), self._export_handler("jsonl"))
                ui.menu_item(say("studio.export_csv"), self._export_handler("csv"))
                ui.menu_item(say("studio.export_dataset"), self._export_handler("dataset"))
        write = ui.button(say("studio.write"), icon="add", on_click=self._write)
        write.props("unelevated").classes("only-icon-on-phones").mark("write")

    def draw(self) -> None:
        self._draw_filters()
        self._bulk = ui.element("div").classes("bar bulk").props("role=toolbar")
        with self._bulk:
            self._draw_bulk()
        self._bulk.set_visibility(False)
        self._table = draw_table(
            self._session,
            is_preferences=self._here == "preferences",
            selected=self._selected,
            opened=self._open_example,
            sort=self._sort,
        )
        self._empty_state = ui.element("div").classes("stack")
        self._pager = Pager(self._session, back=self._previous, on=self._next)

    async def refresh(self) -> None:
        """Updates the current page of the list."""
        options = {**self._filters, "limit": str(_PAGE), "after": self._page_starts[-1]}
        reply = await self._session.query_command("examples", options)
        if isinstance(reply, Listing) and reply != self._listing:
            self._listing = reply
            self._show(reply)

    @property
    def _filters(self) -> Mapping[str, str]:
        return {"method": self._method, **self._address.values}

    def open_import(self) -> None:
        """Opens the import dialog."""
        ImportDialog(self._session, self._show_first_page).open()

    async def open_named(self, number: str) -> None:
        """Opens the example of the number in the address, if it is a number."""
        if number.isdecimal():
            await self._open_example(number)

    async def _show_first_page(self) -> None:
        self._page_starts = [""]
        await self.refresh()

    def _draw_filters(self) -> None:
        say = self._session.translate
        with ui.element("div").classes("bar").props("role=search"):
            search = ui.input(
                placeholder=say("studio.search"),
                value=self._address.get("search"),
                on_change=self._filter_handler("search"),
            )
            search.props("outlined dense debounce=250 clearable").classes("grow").mark("search")
            search.props(f"aria-label={quoted_prop(say('studio.search'))}")
            anything = {"": say("studio.any")}
            states = {state.value: say(f"state.{state}") for state in ExampleState}
            origins = {origin.value: say(f"origin.{origin}") for origin in Origin}
            self._choice("state", anything | states)
            self._choice("origin", anything | origins)
            orders = {order: say(f"studio.order.{order or 'newest'}") for order in ("", *_ORDERS)}
            self._order = self._choice("order", orders)
            for name, key in (("author", "studio.author"), ("tag", "studio.tags")):
                value = self._address.get(name)
                field = ui.input(say(key), value=value, on_change=self._filter_handler(name))
                field.props("outlined dense debounce=250 clearable").classes("narrow").mark(name)
                if name == "author":
                    field.classes(PEOPLE_FIELD_CLASS)
            SavedViews(self._session, self._request, self._here, self._address.__str__)

    def _choice(self, name: str, labels: dict[str, str]) -> ui.select:
        field = ui.select(
            labels,
            label=self._session.translate(f"studio.{name}"),
            value=self._address.get(name),
            on_change=self._filter_handler(name),
        )
        return field.props("outlined dense").classes("narrow").mark(f"filter-{name}")

    def _filter_handler(self, name: str) -> Callable[[Change], Awaitable[None]]:
        return self._address.field_handler(name, self._show_first_page)

    def _draw_bulk(self) -> None:
        say = self._session.translate
        self._count = ui.label().classes("fine")
        self._all_checkbox = ui.checkbox()
        for key, state in (
            ("studio.approve", "approved"),
            ("studio.reject", "rejected"),
            ("studio.withdraw", "withdrawn"),
        ):
            button = ui.button(say(key), on_click=self._change_handler(state)).props(
                "outline dense"
            )
            button.mark(f"bulk-{state}")
        ui.button(say("studio.tag"), on_click=self._tag).props("outline dense").mark("bulk-tag")
        ui.button(say("studio.clear"), on_click=self._clear).props("flat dense")

    def _show(self, listing: Listing) -> None:
        fill_table(self._table, listing.lines, order=self._address.get("order"))
        self._show_selected_count()
        first, total = (len(self._page_starts) - 1) * _PAGE + 1, listing.total or 0
        has_more = len(listing.lines) == _PAGE and first + _PAGE <= total
        self._pager.show(first, len(listing.lines), total, has_more=has_more)
        self._table.set_visibility(bool(listing.lines))
        self._pager.frame.set_visibility(bool(listing.lines))
        self._empty_state.clear()
        if not listing.lines:
            with self._empty_state:
                self._draw_empty_state()

    def _draw_empty_state(self) -> None:
        say = self._session.translate
        if self._address.values.keys() - {"order"}:
            draw_empty_state("search_off", say("studio.nothing_found"))
        elif self._here == "examples":
            draw_page_empty_state(self._session, "examples", "school")
        else:
            ways = {"/compare": "studio.compare"}
            draw_page_empty_state(self._session, "preferences", "thumbs_up_down", ways=ways)

    async def _sort(self, column: str) -> None:
        """Sorts by a column; by the newest first if the column is selected already."""
        order = "oldest" if column == "id" else column
        self._order.set_value("" if self._address.get("order") == order else order)

    async def _next(self) -> None:
        if self._listing and self._listing.lines:
            self._page_starts.append(self._listing.lines[-1].id)
            await self.refresh()

    async def _previous(self) -> None:
        if len(self._page_starts) > 1:
            self._page_starts.pop()
            await self.refresh()

    def _selected(self, event: browser.TableSelectionEventArguments) -> None:
        self._show_selected_count()

    def _show_selected_count(self) -> None:
        count = len(self._table.selected)
        self._bulk.set_visibility(count > 0)
        self._count.set_text(self._session.translate("studio.selected", count=count))
        total = self._listing.total if self._listing else 0
        self._all_checkbox.set_text(
            self._session.translate("studio.all_found", count=f"{total or 0:,}")
        )
        self._all_checkbox.set_visibility((total or 0) > count)
        if not count:
            self._all_checkbox.set_value(False)

    def _clear(self) -> None:
        self._table.selected = []
        self._table.update()
        self._show_selected_count()

    def _change_handler(self, what: str) -> Callable[[], Awaitable[None]]:
        async def change() -> None:
            self._actions.tell(await self._change(what, {}))

        return change

    async def _change(self, what: str, values: Mapping[str, str]) -> Reply:
        lines = {line.id: line for line in self._listing.lines} if self._listing else {}
        ids = ",".join(_state_token(lines[str(row["id"])]) for row in self._table.selected)
        chosen = {**self._filters, "all": "yes"} if self._all_checkbox.value else {"ids": ids}
        reply = await self._session.ask(
            events.FormSubmitted(f"examples:{what}", {**chosen, **values})
        )
        if not isinstance(reply, Refused):
            self._clear()
            await self.refresh()
        return reply

    def _tag(self) -> None:
        say = self._session.translate
        field = Field("name", say("studio.tags"), max_length=40)
        form = Form("tag", say("studio.tag"), (field,), say("example.save"))

        async def submit(values: Mapping[str, str]) -> str:
            reply = await self._change("tag", values)
            if isinstance(reply, Refused):
                return reply.text
            self._actions.tell(reply)
            return ""

        open_form(self._session, form, submit)

    async def _open_example(self, number: str) -> None:
        card = await self._session.query_button(f"example.show:{number}")
        if not isinstance(card, Card):
            notify_reply(card)
            return
        with (
            open_dialog(f"aria-label={quoted_prop(card.title)}") as dialog,
            ui.element("div").classes("asking"),
        ):
            self._draw_example(card, close_then(dialog, self._act))
            await self._draw_revisions(number, card)

    async def _act(self, action: str) -> None:
        """Runs a button; shows a note if the reply is a card, the next example of the queue."""
        reply = await self._session.click(action)
        if isinstance(reply, Card):
            await self.refresh()
            self._actions.tell(reply)
        else:
            await self._actions.show(reply)

    def _draw_example(self, card: Card, act: reply_drawing.Click) -> None:
        with ui.element("section").classes("card plain"):
            ui.label(card.title).classes("card-title").props("role=heading aria-level=2")
            for line in card.lines:
                ui.label(line).classes("warning")
            draw_exchange(card)
            reply_drawing.draw_facts(card.facts)
            reply_drawing.draw_buttons(card.buttons, act)

    async def _draw_revisions(self, number: str, card: Card) -> None:
        reply = await revisions_of(self._session, number, card)
        if reply is not None:
            reply_drawing.draw_revisions(reply)

    async def _write(self) -> None:
        await self._actions.run("teach")

    def _export_handler(self, kind: str) -> Callable[[], Awaitable[None]]:
        async def export() -> None:
            options = {"format": kind, "method": self._method}
            await self._actions.run("export", options)

        return export


def _state_token(line: ListingRow) -> str:
    """Returns the token of id, revision and state of the shown example, else its id."""
    tokens = (button.action.partition("example.drop:")[2] for button in line.buttons)
    return next(filter(None, tokens), line.id)
