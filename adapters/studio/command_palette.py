"""The command palette (Ctrl-K) over pages, channels, assistants, models, commands, examples."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from nicegui import events as browser
from nicegui import ui

from adapters.studio.dialogs import in_page, open_dialog
from adapters.studio.navigation import PAGE_GROUPS, channel_title, ordered_channels
from adapters.studio.page_session import PageSession, set_browser_cookie
from adapters.studio.reply_drawing import draw_option, facts_by_name
from adapters.studio.safe_html import quoted_prop
from bot.domain import ChannelId
from bot.replies import Listing, ListingRow

_MAX_PLACES_SHOWN = 12
_EXAMPLES = "6"
_KEYS = """(e) => {
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (e.isComposing) return;
  if (e.key in moves) { e.preventDefault(); emit('move', moves[e.key]); }
  else if (e.key === 'Enter') { e.preventDefault(); emit('go', 0); }
}"""


@dataclass(frozen=True, slots=True)
class Destination:
    """An entry of the palette: title, kind and address.

    Choosing an entry with an `assistant` selects that assistant for all pages.
    """

    title: str
    kind: str
    address: str
    note: str = ""
    assistant: str = ""


class CommandPalette:
    """The search button in the bar, and the dialog that the button and Ctrl-K open."""

    def __init__(self, session: PageSession, channels: Sequence[ChannelId]) -> None:
        self._session = session
        self._channels = channels
        self._destinations: list[Destination] = []
        self._matches: list[Destination] = []
        self._active_index = 0
        name = session.translate("studio.find")
        button = ui.button(icon="search", on_click=in_page(self._open))
        button.props(f"flat round dense aria-label={quoted_prop(name)} title={quoted_prop(name)}")
        button.props("aria-keyshortcuts='Control+K Meta+K'").classes("find").mark("find")

    async def _open(self) -> None:
        self._destinations = [place async for place in self._all_destinations()]
        name = self._session.translate("studio.find")
        with (
            open_dialog(f"position=top aria-label={quoted_prop(name)}") as self._dialog,
            ui.element("div").classes("asking palette"),
        ):
            field = ui.input(placeholder=self._session.translate("studio.find.hint"))
            field.props("outlined dense autofocus debounce=120 role=combobox aria-expanded=true")
            field.props(
                f"aria-label={quoted_prop(name)} aria-controls=found aria-autocomplete=list"
            )
            field.on_value_change(self._on_typed).on("keydown", self._on_key, js_handler=_KEYS)
            self._field = field.classes("w-full").mark("find-field")
            self._list = ui.element("div").classes("found")
            self._list.props(f"id=found role=listbox aria-label={quoted_prop(name)}")
            self._status = ui.label().classes("fine found-none").props("role=status")
        await self._search("")

    async def _all_destinations(self) -> AsyncIterator[Destination]:
        say = self._session.translate
        for place in self._pages():
            yield place
        for line in await self._rows_of("assistant list"):
            yield Destination(line.text, say("noun.assistant"), "/examples", line.note, line.text)
        for line in await self._rows_of("models"):
            yield Destination(line.id, say("noun.model"), "/models", line.note)
        for command in self._session.studio.catalogue.commands:
            words = f"/tune {command.path}"
            address = f"/?say={quote(words)}"
            yield Destination(words, say("noun.command"), address, say(command.summary_key))

    def _pages(self) -> Iterator[Destination]:
        say = self._session.translate
        for channel in ordered_channels(self._channels):
            title = channel_title(self._session, channel)
            yield Destination(title, say("noun.channel"), f"/room/{quote(channel)}")
        for _, names in PAGE_GROUPS:
            for name in names:
                yield Destination(say(f"studio.{name}"), say("studio.find.page"), f"/{name}")

    async def _rows_of(self, words: str, **options: str) -> Sequence[ListingRow]:
        reply = await self._session.query_command(words, options)
        return reply.lines if isinstance(reply, Listing) else ()

    async def _on_typed(self, change: browser.ValueChangeEventArguments[str | None]) -> None:
        await self._search((change.value or "").strip())

    async def _search(self, text: str) -> None:
        """Shows entries whose title begins with the text, then others with it, then examples."""
        needle = text.casefold()
        matches = [
            place
            for place in self._destinations
            if needle in f"{place.title} {place.note} {place.kind}".casefold()
        ]
        matches.sort(key=lambda place: not place.title.casefold().lstrip("#/ ").startswith(needle))
        shown = matches[: _MAX_PLACES_SHOWN if needle else 2 * _MAX_PLACES_SHOWN]
        if needle:
            kind = self._session.translate("noun.example")
            for line in await self._rows_of("examples", search=text, limit=_EXAMPLES):
                facts = facts_by_name(line)
                title = facts.get("question") or line.text
                address = f"/examples?open={line.id}"
                shown.append(
                    Destination(title, f"{kind} {line.id}", address, facts.get("answer", ""))
                )
        self._matches, self._active_index = shown, 0
        self._draw()

    def _draw(self) -> None:
        self._list.clear()
        with self._list:
            for index, place in enumerate(self._matches):
                self._draw_destination(index, place)
        self._status.set_text(
            "" if self._matches else self._session.translate("studio.nothing_found")
        )
        active = f"found-{self._active_index}" if self._matches else ""
        self._field.props(f"aria-activedescendant={quoted_prop(active)}")
        # NiceGUI sets the attribute `list` on every input, which changes the role of the combobox.
        ui.run_javascript("document.querySelector('.palette input')?.removeAttribute('list')")
        ui.run_javascript(
            f"document.getElementById('found-{self._active_index}')?.scrollIntoView({{block:'nearest'}})"
        )

    def _draw_destination(self, index: int, place: Destination) -> None:
        row = draw_option(is_chosen=index == self._active_index).props(f"id=found-{index}")
        row.on("click", lambda: self._go_to(place))
        with row:
            ui.label(place.title).classes("found-title")
            ui.label(place.note).classes("fine found-note")
            ui.label(place.kind).classes("fine")

    async def _on_key(self, event: browser.GenericEventArguments) -> None:
        kind, step = event.args
        if not self._matches:
            return
        if kind == "go":
            self._go_to(self._matches[self._active_index])
            return
        self._active_index = (self._active_index + int(step)) % len(self._matches)
        self._draw()

    def _go_to(self, place: Destination) -> None:
        if place.assistant:
            set_browser_cookie("assistant", place.assistant)
        self._dialog.close()
        ui.navigate.to(place.address)
