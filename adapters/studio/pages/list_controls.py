"""Search, sorting and paging of lists, whose settings are parameters of the page's address."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from urllib.parse import urlencode

from fastapi import Request
from nicegui import events as browser
from nicegui import ui

from adapters.studio.page_session import PageSession
from adapters.studio.safe_html import quoted_prop
from bot.replies import ListingRow

SEARCH, SORT = "search", "sort"
_MAX_PARAMETER_LENGTH = 200
_DIGITS = re.compile(r"(\d{1,300})")

Changed = Callable[[], Awaitable[None]]
Change = browser.ValueChangeEventArguments[str | None]


class ListAddress:
    """The filters of a list in the address, so that they survive a reload and bookmarks.

    `known` maps the parameters to their allowed values; None allows any text.
    """

    def __init__(
        self, request: Request, known: Mapping[str, Collection[str] | None], *, path: str = ""
    ) -> None:
        self._path = path or request.url.path
        self._number = ""
        requested = {
            name: request.query_params.get(name, "")[:_MAX_PARAMETER_LENGTH] for name in known
        }
        self.values = {
            name: text
            for name, text in requested.items()
            if text and ((values := known[name]) is None or text in values)
        }

    def __str__(self) -> str:
        path = f"{self._path}/{self._number}" if self._number else self._path
        return f"{path}{'?' if self.values else ''}{urlencode(self.values)}"

    def get(self, name: str) -> str:
        return self.values.get(name, "")

    def set(self, name: str, value: str | None) -> None:
        """Sets a parameter and replaces the address in the browser."""
        self.values = {**self.values, name: value or ""}
        self.values = {known: text for known, text in self.values.items() if text}
        self.show()

    def choose(self, number: str) -> str:
        """Puts the number of the selected row at the end of the path, and returns the number."""
        self._number = number
        self.show()
        return number

    def show(self) -> None:
        ui.navigate.history.replace(str(self))

    def field_handler(self, name: str, changed: Changed) -> Callable[[Change], Awaitable[None]]:
        """Returns the handler that sets the parameter to the value of its field."""

        async def set_value(change: Change) -> None:
            self.set(name, change.value)
            await changed()

        return set_value


class ListControls:
    """The search field and the sort buttons of a list, which is filtered when it is drawn.

    `columns` maps a fact of the rows, "id", "text" or "note" to the key of its label.
    """

    def __init__(
        self, session: PageSession, request: Request, columns: Mapping[str, str], *, path: str = ""
    ) -> None:
        self._session = session
        self._columns = columns
        sorts = {*columns, *(f"-{name}" for name in columns)}
        self.address = ListAddress(request, {SEARCH: None, SORT: sorts}, path=path)

    @property
    def is_unfiltered(self) -> bool:
        """Whether the list is neither filtered nor sorted."""
        return not self.address.values

    def draw(self, changed: Changed) -> None:
        say = self._session.translate
        with ui.element("div").classes("bar controls").props("role=search") as self._bar:
            search = ui.input(
                placeholder=say("studio.search"),
                value=self.address.get(SEARCH),
                on_change=self.address.field_handler(SEARCH, changed),
            )
            search.props("outlined dense debounce=250 clearable").classes("grow").mark(SEARCH)
            search.props(f"aria-label={quoted_prop(say('studio.search'))}")
            label = quoted_prop(say("studio.sort"))
            with ui.element("div").classes("sorters").props(f"role=group aria-label={label}"):
                ui.label(say("studio.sort")).classes("fine only-wide")
                self._buttons = {name: self._sort_button(name, changed) for name in self._columns}
        self._mark_sorted()
        self._bar.set_visibility(False)

    def filter_and_sort(self, lines: Sequence[ListingRow]) -> Sequence[ListingRow]:
        """Returns the rows that match the search, sorted; hides the bar for one row or none."""
        self._bar.set_visibility(len(lines) > 1 or not self.is_unfiltered)
        needle = self.address.get(SEARCH).casefold()
        matches = [line for line in lines if needle in "\n".join(_texts(line)).casefold()]
        return sort_rows(matches, self.address.get(SORT))

    def _sort_button(self, name: str, changed: Changed) -> ui.button:
        async def sort() -> None:
            following = {"": name, name: f"-{name}"}
            current = self.address.get(SORT)
            is_current = current.removeprefix("-") == name
            self.address.set(SORT, following.get(current if is_current else "", ""))
            self._mark_sorted()
            await changed()

        label = self._session.translate(self._columns[name])
        return ui.button(label, on_click=sort, color=None).mark(f"sort-{name}")

    def _mark_sorted(self) -> None:
        sort = self.address.get(SORT)
        for name, button in self._buttons.items():
            is_chosen = sort.removeprefix("-") == name
            icon = "arrow_downward" if sort.startswith("-") else "arrow_upward"
            button.props(remove="icon-right").classes(remove="chosen")
            button.props("flat dense no-caps size=sm")
            button.props(f"aria-pressed={'true' if is_chosen else 'false'}")
            if is_chosen:
                button.props(f"icon-right={icon}").classes("chosen")


def sort_rows(lines: Iterable[ListingRow], sort: str) -> list[ListingRow]:
    """Returns the rows sorted by a column; a minus before its name means descending.

    An empty `sort` keeps the order.
    """
    if not sort:
        return list(lines)
    name = sort.removeprefix("-")
    is_down = sort.startswith("-")
    return sorted(lines, key=lambda line: _natural(_cell(line, name)), reverse=is_down)


def _cell(line: ListingRow, name: str) -> str:
    own = {"id": line.id, "text": line.text, "note": line.note}
    facts = {fact.name.partition(".")[0]: fact.value for fact in line.facts}
    return own.get(name) or facts.get(name, "")


def _natural(text: str) -> list[str | int]:
    """Returns a sort key that compares numbers by value, so that 9 is before 10."""
    parts = _DIGITS.split(text.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def _texts(line: ListingRow) -> list[str]:
    return [line.id, line.text, line.note, *(fact.value for fact in line.facts)]


class Pager:
    """The range of the shown rows, with buttons for the previous and the next page."""

    def __init__(self, session: PageSession, *, back: Changed, on: Changed) -> None:
        self._session = session
        with ui.element("div").classes("bar pager") as self.frame:
            self._range = ui.label().classes("fine").props("aria-live=polite")
            ui.space()
            self._previous = self._page_button("chevron_left", "previous", back)
            self._next = self._page_button("chevron_right", "next", on)

    def show(self, first: int, count: int, total: int, *, has_more: bool) -> None:
        """Shows the range; `first` is the number of the page's first row, from 1."""
        last = first + count - 1
        text = self._session.translate(
            "studio.range", first=min(first, last), last=last, count=f"{total:,}"
        )
        self._range.set_text(text)
        self._previous.set_enabled(first > 1)
        self._next.set_enabled(has_more)

    def _page_button(self, icon: str, name: str, turn: Changed) -> ui.button:
        button = ui.button(icon=icon, on_click=turn).props("flat round dense")
        label = quoted_prop(self._session.translate(f"studio.{name}"))
        return button.props(f"aria-label={label}").mark(name)
