"""The composer: Enter sends, a slash completes commands, and one may write as another user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from nicegui import events as browser
from nicegui import ui

from adapters.room import ASSISTANT
from adapters.studio.drawing import draw_option
from adapters.studio.markup import quoted
from adapters.studio.notifications import notify
from adapters.studio.page_session import OF_PEOPLE, OWNER, PageSession, remember
from adapters.studio.uploads import MessageFiles
from bot.domain import Attachment

_MOST_OFFERED = 7

# Enter sends, with what stands in the field at that moment; arrows and Tab choose a completion.
_KEYS = """(e) => {
  if (e.isComposing) return;
  const isChoosing = e.target.closest('.composer').dataset.choosing === '1';
  const moves = { ArrowDown: 1, ArrowUp: -1 };
  if (isChoosing && (e.key in moves)) { e.preventDefault(); emit('move', moves[e.key]); }
  else if (isChoosing && e.key === 'Tab') { e.preventDefault(); emit('take', e.target.value); }
  else if (isChoosing && e.key === 'Escape') { e.preventDefault(); emit('drop', ''); }
  else if (e.key === 'Enter' && !e.shiftKey) { e.preventDefault(); emit('send', e.target.value); }
}"""


class Composer:
    """The line at the bottom of the room or of a thread."""

    def __init__(
        self,
        session: PageSession,
        send: Callable[[str, Sequence[Attachment]], Awaitable[None]],
        *,
        hint: str,
        can_speak_as: bool = False,
    ) -> None:
        self._session = session
        self._send = send
        self._offered: list[str] = []
        self._chosen = -1
        with ui.element("div").classes("composer") as self._frame:
            self._offers = ui.element("div").classes("offers").props("role=listbox")
            self._offers.set_visibility(False)
            self._files = MessageFiles(session, self._frame)
            with ui.element("div").classes("composer-line"):
                if can_speak_as:
                    self._draw_speaker()
                self._files.draw_button()
                self._field = ui.textarea(placeholder=hint, on_change=self._typed)
                self._field.props("outlined autogrow dense rows=1 input-style='max-height:160px'")
                self._field.props(f"aria-label={quoted(hint)}").classes("composer-field").mark(
                    "composer"
                )
                self._field.on("keydown", self._pressed, js_handler=_KEYS)
                button = ui.button(icon="send", on_click=self._clicked).props("round unelevated")
                button.props(f"aria-label={quoted(session.translate('studio.send'))}").mark("send")

    def write(self, text: str) -> None:
        """Put words into the field, for the person to send."""
        self._field.set_value(text)
        # This field and no other: a thread beside the room has one too.
        self._field.run_method("focus")

    def _draw_speaker(self) -> None:
        name = self._session.speaker.name
        with (
            ui.button(name, icon="person", color=None)
            .props("flat dense no-caps")
            .classes("speaker quiet") as button
        ):
            self._speaker = button
            button.props(f"aria-label={quoted(self._session.translate('studio.speak_as'))}").mark(
                "speaker"
            )
            with ui.menu().props("no-refocus") as menu, ui.column().classes("q-pa-md"):
                ui.label(self._session.translate("studio.speak_as")).classes("fine")
                other = ui.input(self._session.translate("studio.name"), value="").props(
                    "dense outlined"
                )
                other.classes(OF_PEOPLE).mark("speak-as")

                def use() -> None:
                    self._speak_as(str(other.value or "").strip()[:80])
                    menu.close()
                    ui.run_javascript("attune.focus('.bottom textarea')")

                other.on("keydown.enter", use)
                ui.button(self._session.translate("studio.take"), on_click=use).props(
                    "unelevated no-caps"
                )

    def _speak_as(self, name: str) -> None:
        if name.casefold() == ASSISTANT.name:
            notify(self._session.translate("console.name_taken", name=name), kind="warning")
            return
        self._session.speak_as(name)
        self._speaker.set_text(self._session.speaker.name)
        remember("speaker", "" if self._session.speaker == OWNER else name)

    async def _clicked(self) -> None:
        text = str(self._field.value or "")
        if not text.strip() and not self._files.chosen:
            self._field.run_method("focus")
        await self._finish(text)

    async def _pressed(self, event: browser.GenericEventArguments) -> None:
        kind, value = event.args
        if kind == "move":
            self._choose((self._chosen + int(value)) % max(1, len(self._offered)))
        elif kind == "take":
            self._write_offer(self._offered[max(0, self._chosen)])
        elif kind == "drop":
            self._offer([])
        elif self._chosen >= 0 and self._offered:
            self._write_offer(self._offered[self._chosen])
        else:
            await self._finish(str(value))

    async def _finish(self, text: str) -> None:
        self._offer([])
        if not text.strip() and not self._files.chosen:
            return
        self._field.set_value("")
        await self._send(text.strip(), await self._files.claim())

    def _typed(self, change: browser.ValueChangeEventArguments[str | None]) -> None:
        text = change.value or ""
        self._offer(self._completions(text) if text.startswith("/") and "\n" not in text else [])

    def _completions(self, text: str) -> list[str]:
        head, _, rest = text[1:].partition(" ")
        typed = rest if head == "tune" else text[1:]
        found = self._session.studio.catalogue.complete(typed)
        lines = [f"/tune {words}" for words in islice(found, _MOST_OFFERED)]
        return [line for line in lines if line != text]

    def _offer(self, lines: list[str]) -> None:
        if lines == self._offered:
            return
        self._offered, self._chosen = lines, -1
        self._offers.set_visibility(bool(lines))
        self._frame.props(f"data-choosing={'1' if lines else '0'}")
        self._draw_offers()

    def _choose(self, chosen: int) -> None:
        self._chosen = chosen
        self._draw_offers()

    def _draw_offers(self) -> None:
        self._offers.clear()
        with self._offers:
            for index, line in enumerate(self._offered):
                self._draw_offer(index, line)

    def _draw_offer(self, index: int, line: str) -> None:
        row = draw_option(is_chosen=index == self._chosen)
        row.on("click", lambda: self._write_offer(line))
        with row:
            ui.label(line).classes("offer-words")
            ui.label(self._about(line)).classes("fine")

    def _about(self, line: str) -> str:
        """What a command or its option is for."""
        words = line.removeprefix("/tune ")
        for command in self._session.studio.catalogue.commands:
            if command.path == words:
                return self._session.translate(command.summary_key)
        name = words.rpartition(" ")[2].partition(":")[0]
        options = {o.name for c in self._session.studio.catalogue.commands for o in c.options}
        return self._session.translate(f"option.{name}") if name in options else ""

    def _write_offer(self, line: str) -> None:
        self.write(line if line.endswith(":") else f"{line} ")
