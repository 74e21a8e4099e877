"""Ctrl-K: pages, channels, assistants, models, commands, and examples by their text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from nicegui import events as browser
from nicegui import ui

from adapters.studio.dialogs import in_page, open_dialog
from adapters.studio.drawing import draw_option, facts_by_name
from adapters.studio.markup import quoted
from adapters.studio.navigation import GROUPS, channel_title, ordered_channels
from adapters.studio.page_session import PageSession, remember
from bot.domain import ChannelId
from bot.replies import Listing, ListingRow

_MOST = 12
_EXAMPLES = "6"
_KEYS = """(e) => {
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (e.isComposing) return;
  if (e.key in moves) { e.preventDefault(); emit('move', moves[e.key]); }
  else if (e.key === 'Enter') { e.preventDefault(); emit('go', 0); }
}"""


@dataclass(frozen=True, slots=True)
class Destination:
    """Somewhere to go: what it is called, of which kind it is, and its address.

    An `assistant` becomes the one that the pages are about.
    """

    title: str
    kind: str
    address: str
    note: str = ""
    assistant: str = ""


class CommandPalette:
    """The button in the bar, and the dialog that it and Ctrl-K open."""

    def __init__(self, session: PageSession, channels: Sequence[ChannelId]) -> None:
        self._session = session
        self._channels = channels
        self._known: list[Destination] = []
        self._found: list[Destination] = []
        self._chosen = 0
        name = session.translate("studio.find")
        button = ui.button(icon="search", on_click=in_page(self._open))
        button.props(f"flat round dense aria-label={quoted(name)} title={quoted(name)}")
        button.props("aria-keyshortcuts='Control+K Meta+K'").classes("find").mark("find")

    async def _open(self) -> None:
        self._known = [place async for place in self._places()]
        name = self._session.translate("studio.find")
        with (
            open_dialog(f"position=top aria-label={quoted(name)}") as self._dialog,
            ui.element("div").classes("asking palette"),
        ):
            field = ui.input(placeholder=self._session.translate("studio.find.hint"))
            field.props("outlined dense autofocus debounce=120 role=combobox aria-expanded=true")
            field.props(f"aria-label={quoted(name)} aria-controls=found aria-autocomplete=list")
            field.on_value_change(self._typed).on("keydown", self._pressed, js_handler=_KEYS)
            self._field = field.classes("w-full").mark("find-field")
            self._list = ui.element("div").classes("found")
            self._list.props(f"id=found role=listbox aria-label={quoted(name)}")
            self._told = ui.label().classes("fine found-none").props("role=status")
        await self._look("")

    async def _places(self) -> AsyncIterator[Destination]:
        say = self._session.translate
        for place in self._pages():
            yield place
        for line in await self._lines("assistant list"):
            yield Destination(line.text, say("noun.assistant"), "/examples", line.note, line.text)
        for line in await self._lines("models"):
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
        for _, names in GROUPS:
            for name in names:
                yield Destination(say(f"studio.{name}"), say("studio.find.page"), f"/{name}")

    async def _lines(self, words: str, **options: str) -> Sequence[ListingRow]:
        told = await self._session.query_command(words, options)
        return told.lines if isinstance(told, Listing) else ()

    async def _typed(self, change: browser.ValueChangeEventArguments[str | None]) -> None:
        await self._look((change.value or "").strip())

    async def _look(self, text: str) -> None:
        """Those whose name begins so, then those that hold it, then examples that say it."""
        wanted = text.casefold()
        held = [
            one for one in self._known if wanted in f"{one.title} {one.note} {one.kind}".casefold()
        ]
        held.sort(key=lambda one: not one.title.casefold().lstrip("#/ ").startswith(wanted))
        found = held[: _MOST if wanted else 2 * _MOST]
        if wanted:
            kind = self._session.translate("noun.example")
            for line in await self._lines("examples", search=text, limit=_EXAMPLES):
                facts = facts_by_name(line)
                title = facts.get("question") or line.text
                address = f"/examples?open={line.id}"
                found.append(
                    Destination(title, f"{kind} {line.id}", address, facts.get("answer", ""))
                )
        self._found, self._chosen = found, 0
        self._draw()

    def _draw(self) -> None:
        self._list.clear()
        with self._list:
            for index, place in enumerate(self._found):
                self._draw_destination(index, place)
        self._told.set_text("" if self._found else self._session.translate("studio.nothing_found"))
        active = f"found-{self._chosen}" if self._found else ""
        self._field.props(f"aria-activedescendant={quoted(active)}")
        # A list of its own, which NiceGUI names for every input, would make it another combobox.
        ui.run_javascript("document.querySelector('.palette input')?.removeAttribute('list')")
        ui.run_javascript(
            f"document.getElementById('found-{self._chosen}')?.scrollIntoView({{block:'nearest'}})"
        )

    def _draw_destination(self, index: int, place: Destination) -> None:
        row = draw_option(is_chosen=index == self._chosen).props(f"id=found-{index}")
        row.on("click", lambda: self._go(place))
        with row:
            ui.label(place.title).classes("found-title")
            ui.label(place.note).classes("fine found-note")
            ui.label(place.kind).classes("fine")

    async def _pressed(self, event: browser.GenericEventArguments) -> None:
        kind, by = event.args
        if not self._found:
            return
        if kind == "go":
            self._go(self._found[self._chosen])
            return
        self._chosen = (self._chosen + int(by)) % len(self._found)
        self._draw()

    def _go(self, place: Destination) -> None:
        if place.assistant:
            remember("assistant", place.assistant)
        self._dialog.close()
        ui.navigate.to(place.address)
