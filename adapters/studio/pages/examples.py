"""Examples and preferences: found, read, edited, changed in bulk, brought in and taken out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from urllib.parse import urlencode

from fastapi import Request
from nicegui import events as browser
from nicegui import ui

from adapters.studio import drawing
from adapters.studio.actions import PageActions
from adapters.studio.dialogs import closing, open_dialog
from adapters.studio.forms import open_form
from adapters.studio.markup import quoted
from adapters.studio.notes import tell
from adapters.studio.page_session import OF_PEOPLE, PageSession, Studio
from adapters.studio.pages.importing import ImportDialog
from adapters.studio.pages.review import draw_exchange
from adapters.studio.pages.table import draw_table, fill
from adapters.studio.pages.views import SavedViews
from adapters.studio.shell import empty, follow, lead, middle, page_session_of, shell, title_of
from bot import events
from bot.domain import ExampleState, Origin
from bot.replies import Card, Field, Form, Listing, ListingRow, Refused, Reply

_PAGE = 25
_FILTERS = ("search", "state", "origin", "author", "tag", "order")
_LONGEST = 200


async def examples_page(studio: Studio, request: Request, *, method: str) -> None:
    session = page_session_of(studio, request)
    here = "examples" if method == "supervised" else "preferences"
    title = session.say(f"studio.{here}")
    channels = await studio.room.channels()
    with shell(session, request, here=here, title=title, channels=channels) as frame:
        page = _Examples(session, here, method, filters=_filters(request))
        with frame.top:
            title_of(title)
            page.draw_top()
        with middle("page"):
            lead(session, here)
            page.draw(request)
    await page.refresh()
    follow(session, page.refresh)
    if "import" in request.query_params:
        page.open_import()
    await page.open_named(request.query_params.get("open", ""))


def _filters(request: Request) -> dict[str, str]:
    """What the address looks for; a reload, a bookmark and the way back keep it."""
    asked = {name: request.query_params.get(name, "")[:_LONGEST] for name in _FILTERS}
    known: Mapping[str, Container[str]] = {
        "state": set(ExampleState),
        "origin": set(Origin),
        "order": {"oldest"},
    }
    return {name: text for name, text in asked.items() if text in known.get(name, (text,))}


class _Examples:
    def __init__(
        self, session: PageSession, here: str, method: str, *, filters: Mapping[str, str]
    ) -> None:
        self._session = session
        self._here = here
        self._filters = {"method": method, **filters}
        # Where each page began: the way back, as the store only goes forward.
        self._began: list[str] = [""]
        self._listed: Listing | None = None
        self._actions = PageActions(session, self.refresh)

    def draw_top(self) -> None:
        say = self._session.say
        ui.space()
        bring = ui.button(say("studio.import"), icon="upload_file", on_click=self.open_import)
        bring.props("flat").classes("only-icon-on-phones").mark("import")
        with ui.button(say("studio.export"), icon="download").props("flat") as button:
            button.classes("only-icon-on-phones")
            with ui.menu():
                ui.menu_item(say("studio.export_jsonl"), self._exporting("jsonl"))
                ui.menu_item(say("studio.export_csv"), self._exporting("csv"))
                ui.menu_item(say("studio.export_dataset"), self._exporting("dataset"))
        write = ui.button(say("studio.write"), icon="add", on_click=self._write)
        write.props("unelevated").classes("only-icon-on-phones").mark("write")

    def draw(self, request: Request) -> None:
        self._draw_filters(request)
        self._bulk = ui.element("div").classes("bar bulk").props("role=toolbar")
        with self._bulk:
            self._draw_bulk()
        self._bulk.set_visibility(False)
        self._table = draw_table(
            self._session,
            is_preferences=self._here == "preferences",
            selected=self._selected,
            opened=self._opened,
        )
        self._nothing = ui.element("div").classes("stack")
        with ui.element("div").classes("bar pager") as self._pager:
            self._range = ui.label().classes("fine").props("aria-live=polite")
            ui.space()
            self._back = self._turner("chevron_left", "studio.previous", self._previous)
            self._on = self._turner("chevron_right", "studio.next", self._next)

    async def refresh(self) -> None:
        """This page as it is now."""
        options = {**self._filters, "limit": str(_PAGE), "after": self._began[-1]}
        told = await self._session.list("examples", options)
        if isinstance(told, Listing) and told != self._listed:
            self._listed = told
            self._show(told)

    def open_import(self) -> None:
        """A place to drop a file, and what came of it."""
        ImportDialog(self._session, self._from_the_start).open()

    async def open_named(self, number: str) -> None:
        """The example that an address names."""
        if number.isdecimal():
            await self._opened(number)

    async def _from_the_start(self) -> None:
        self._began = [""]
        await self.refresh()

    def _draw_filters(self, request: Request) -> None:
        say = self._session.say
        with ui.element("div").classes("bar").props("role=search"):
            search = ui.input(
                placeholder=say("studio.search"),
                value=self._filters.get("search", ""),
                on_change=self._filtering("search"),
            )
            search.props("outlined dense debounce=250 clearable").classes("grow").mark("search")
            search.props(f"aria-label={quoted(say('studio.search'))}")
            anything = {"": say("studio.any")}
            states = {one.value: say(f"state.{one}") for one in ExampleState}
            origins = {one.value: say(f"origin.{one}") for one in Origin}
            self._choice("state", anything | states)
            self._choice("origin", anything | origins)
            orders = {"": say("studio.order.newest"), "oldest": say("studio.order.oldest")}
            self._choice("order", orders)
            for name, key in (("author", "studio.author"), ("tag", "studio.tags")):
                known = self._filters.get(name, "")
                field = ui.input(say(key), value=known, on_change=self._filtering(name))
                field.props("outlined dense debounce=250 clearable").classes("narrow").mark(name)
                if name == "author":
                    field.classes(OF_PEOPLE)
            SavedViews(self._session, request, self._here, self._address)

    def _choice(self, name: str, offered: dict[str, str]) -> None:
        field = ui.select(
            offered,
            label=self._session.say(f"studio.{name}"),
            value=self._filters.get(name, ""),
            on_change=self._filtering(name),
        )
        field.props("outlined dense").classes("narrow").mark(f"filter-{name}")

    def _filtering(
        self, name: str
    ) -> Callable[[browser.ValueChangeEventArguments[str | None]], Awaitable[None]]:
        async def filtered(change: browser.ValueChangeEventArguments[str | None]) -> None:
            self._filters[name] = change.value or ""
            self._began = [""]
            ui.navigate.history.replace(self._address())
            await self.refresh()

        return filtered

    def _address(self) -> str:
        """Of this list, with what it looks for."""
        asked = {one: text for one, text in self._filters.items() if text and one in _FILTERS}
        return f"/{self._here}{'?' if asked else ''}{urlencode(asked)}"

    def _draw_bulk(self) -> None:
        say = self._session.say
        self._count = ui.label().classes("fine")
        self._everything = ui.checkbox()
        for key, state in (
            ("studio.approve", "approved"),
            ("studio.reject", "rejected"),
            ("studio.withdraw", "withdrawn"),
        ):
            button = ui.button(say(key), on_click=self._changing(state)).props("outline dense")
            button.mark(f"bulk-{state}")
        ui.button(say("studio.tag"), on_click=self._tag).props("outline dense").mark("bulk-tag")
        ui.button(say("studio.clear"), on_click=self._clear).props("flat dense")

    def _turner(self, icon: str, key: str, turn: Callable[[], Awaitable[None]]) -> ui.button:
        button = ui.button(icon=icon, on_click=turn).props("flat round dense")
        return button.props(f"aria-label={quoted(self._session.say(key))}").mark(key)

    def _show(self, listed: Listing) -> None:
        fill(self._table, listed.lines)
        self._tell_selected()
        first = (len(self._began) - 1) * _PAGE + 1
        last, count = first + len(listed.lines) - 1, listed.total or 0
        self._range.set_text(
            self._session.say("studio.range", first=first, last=last, count=f"{count:,}")
        )
        self._back.set_enabled(len(self._began) > 1)
        self._on.set_enabled(listed.more is not None)
        self._table.set_visibility(bool(listed.lines))
        self._pager.set_visibility(bool(listed.lines))
        self._nothing.clear()
        if not listed.lines:
            with self._nothing:
                self._draw_nothing()

    def _draw_nothing(self) -> None:
        say = self._session.say
        if any(text for name, text in self._filters.items() if name not in ("method", "order")):
            empty("search_off", say("studio.nothing_found"))
        elif self._here == "examples":
            empty("school", say("studio.examples.empty"), say("studio.examples.empty.note"))
        else:
            empty(
                "thumbs_up_down",
                say("studio.preferences.empty"),
                say("studio.preferences.empty.note"),
                ways={"/compare": say("studio.compare")},
            )

    async def _next(self) -> None:
        if self._listed and self._listed.lines:
            self._began.append(self._listed.lines[-1].id)
            await self.refresh()

    async def _previous(self) -> None:
        if len(self._began) > 1:
            self._began.pop()
            await self.refresh()

    def _selected(self, event: browser.TableSelectionEventArguments) -> None:
        self._tell_selected()

    def _tell_selected(self) -> None:
        count = len(self._table.selected)
        self._bulk.set_visibility(count > 0)
        self._count.set_text(self._session.say("studio.selected", count=count))
        total = self._listed.total if self._listed else 0
        self._everything.set_text(self._session.say("studio.all_found", count=f"{total or 0:,}"))
        self._everything.set_visibility((total or 0) > count)
        if not count:
            self._everything.set_value(False)

    def _clear(self) -> None:
        self._table.selected = []
        self._table.update()
        self._tell_selected()

    def _changing(self, what: str) -> Callable[[], Awaitable[None]]:
        async def change() -> None:
            self._actions.tell(await self._change(what, {}))

        return change

    async def _change(self, what: str, values: Mapping[str, str]) -> Reply:
        lines = {line.id: line for line in self._listed.lines} if self._listed else {}
        ids = ",".join(_as_shown(lines[str(row["id"])]) for row in self._table.selected)
        chosen = {**self._filters, "all": "yes"} if self._everything.value else {"ids": ids}
        reply = await self._session.ask(
            events.FormSubmitted(f"examples:{what}", {**chosen, **values})
        )
        if not isinstance(reply, Refused):
            self._clear()
            await self.refresh()
        return reply

    def _tag(self) -> None:
        say = self._session.say
        field = Field("name", say("studio.tags"), max_length=40)
        form = Form("tag", say("studio.tag"), (field,), say("example.save"))

        async def submit(values: Mapping[str, str]) -> str:
            reply = await self._change("tag", values)
            if isinstance(reply, Refused):
                return reply.text
            self._actions.tell(reply)
            return ""

        open_form(self._session, form, submit)

    async def _opened(self, number: str) -> None:
        card = await self._session.see(f"example.show:{number}")
        if not isinstance(card, Card):
            tell(card)
            return
        with (
            open_dialog(f"aria-label={quoted(card.title)}") as dialog,
            ui.element("div").classes("asking"),
        ):
            self._draw_example(card, closing(dialog, self._act))
            await self._draw_revisions(number, card)

    async def _act(self, action: str) -> None:
        """A judgement answers with the next in the queue, which nobody asked for here."""
        reply = await self._session.click(action)
        if isinstance(reply, Card):
            await self.refresh()
            self._actions.tell(reply)
        else:
            await self._actions.show(reply)

    def _draw_example(self, card: Card, act: drawing.Click) -> None:
        with ui.element("section").classes("card plain"):
            ui.label(card.title).classes("card-title").props("role=heading aria-level=2")
            for line in card.lines:
                ui.label(line).classes("warning")
            draw_exchange(card)
            drawing.draw_facts(card.facts)
            drawing.draw_buttons(card.buttons, act)

    async def _draw_revisions(self, number: str, card: Card) -> None:
        revision = next((f.value for f in card.facts if f.name == "revision"), "1")
        if revision == "1":
            return
        told = await self._session.see(f"example.revisions:{number}")
        if isinstance(told, Card):
            drawing.draw_revisions(told)

    async def _write(self) -> None:
        await self._actions.run("teach")

    def _exporting(self, kind: str) -> Callable[[], Awaitable[None]]:
        async def export() -> None:
            options = {"format": kind, "method": self._filters["method"]}
            await self._actions.run("export", options)

        return export


def _as_shown(line: ListingRow) -> str:
    """The example with the revision and state that its buttons are for."""
    shown = (button.action.partition("example.drop:")[2] for button in line.buttons)
    return next(filter(None, shown), line.id)
