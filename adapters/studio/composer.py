"""The composer: sends with Enter, completes commands, and can write as another user."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import islice

from nicegui import events as browser
from nicegui import ui

from adapters.local_room import ASSISTANT_USER
from adapters.studio.notifications import notify
from adapters.studio.page_session import (
    PEOPLE_FIELD_CLASS,
    STUDIO_OWNER,
    PageSession,
    set_browser_cookie,
)
from adapters.studio.reply_drawing import draw_option
from adapters.studio.safe_html import quoted_prop
from adapters.studio.uploads import MessageFiles
from bot.domain import Attachment

_MAX_SUGGESTIONS = 7

# Enter sends the field's current text; arrows and Tab choose a completion.
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
    """The input field below a room or a thread, with files and completions of commands."""

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
        self._suggestions: list[str] = []
        self._chosen_index = -1
        with ui.element("div").classes("composer") as self._frame:
            self._suggestion_list = ui.element("div").classes("offers").props("role=listbox")
            self._suggestion_list.set_visibility(False)
            self._files = MessageFiles(session, self._frame)
            with ui.element("div").classes("composer-line"):
                if can_speak_as:
                    self._draw_speaker()
                self._files.draw_button()
                self._field = ui.textarea(placeholder=hint, on_change=self._on_typed)
                self._field.props("outlined autogrow dense rows=1 input-style='max-height:160px'")
                self._field.props(f"aria-label={quoted_prop(hint)}").classes("composer-field").mark(
                    "composer"
                )
                self._field.on("keydown", self._on_key, js_handler=_KEYS)
                button = ui.button(icon="send", on_click=self._on_click).props("round unelevated")
                button.props(f"aria-label={quoted_prop(session.translate('studio.send'))}").mark(
                    "send"
                )

    def write(self, text: str) -> None:
        """Sets the text of the field, which the person can then send."""
        self._field.set_value(text)
        # By element instead of by selector, as an open thread has a composer of its own.
        self._field.run_method("focus")

    def _draw_speaker(self) -> None:
        name = self._session.speaker.name
        with (
            ui.button(name, icon="person", color=None)
            .props("flat dense no-caps")
            .classes("speaker quiet") as button
        ):
            self._speaker = button
            button.props(
                f"aria-label={quoted_prop(self._session.translate('studio.speak_as'))}"
            ).mark("speaker")
            with ui.menu().props("no-refocus") as menu, ui.column().classes("q-pa-md"):
                ui.label(self._session.translate("studio.speak_as")).classes("fine")
                other = ui.input(self._session.translate("studio.name"), value="").props(
                    "dense outlined"
                )
                other.classes(PEOPLE_FIELD_CLASS).mark("speak-as")

                def use() -> None:
                    self._speak_as(str(other.value or "").strip()[:80])
                    menu.close()
                    ui.run_javascript("attune.focus('.bottom textarea')")

                other.on("keydown.enter", use)
                ui.button(self._session.translate("studio.take"), on_click=use).props(
                    "unelevated no-caps"
                )

    def _speak_as(self, name: str) -> None:
        if name.casefold() == ASSISTANT_USER.name:
            notify(self._session.translate("console.name_taken", name=name), kind="warning")
            return
        self._session.speak_as(name)
        self._speaker.set_text(self._session.speaker.name)
        set_browser_cookie("speaker", "" if self._session.speaker == STUDIO_OWNER else name)

    async def _on_click(self) -> None:
        text = str(self._field.value or "")
        if not text.strip() and not self._files.chosen:
            self._field.run_method("focus")
        await self._send_text(text)

    async def _on_key(self, event: browser.GenericEventArguments) -> None:
        kind, value = event.args
        if kind == "move":
            self._choose((self._chosen_index + int(value)) % max(1, len(self._suggestions)))
        elif kind == "take":
            self._accept_suggestion(self._suggestions[max(0, self._chosen_index)])
        elif kind == "drop":
            self._suggest([])
        elif self._chosen_index >= 0 and self._suggestions:
            self._accept_suggestion(self._suggestions[self._chosen_index])
        else:
            await self._send_text(str(value))

    async def _send_text(self, text: str) -> None:
        self._suggest([])
        if not text.strip() and not self._files.chosen:
            return
        self._field.set_value("")
        await self._send(text.strip(), await self._files.claim())

    def _on_typed(self, change: browser.ValueChangeEventArguments[str | None]) -> None:
        text = change.value or ""
        self._suggest(self._completions(text) if text.startswith("/") and "\n" not in text else [])

    def _completions(self, text: str) -> list[str]:
        head, _, rest = text[1:].partition(" ")
        typed = rest if head == "tune" else text[1:]
        found = self._session.studio.catalogue.completions(typed)
        lines = [f"/tune {words}" for words in islice(found, _MAX_SUGGESTIONS)]
        return [line for line in lines if line != text]

    def _suggest(self, lines: list[str]) -> None:
        if lines == self._suggestions:
            return
        self._suggestions, self._chosen_index = lines, -1
        self._suggestion_list.set_visibility(bool(lines))
        self._frame.props(f"data-choosing={'1' if lines else '0'}")
        self._draw_suggestions()

    def _choose(self, index: int) -> None:
        self._chosen_index = index
        self._draw_suggestions()

    def _draw_suggestions(self) -> None:
        self._suggestion_list.clear()
        with self._suggestion_list:
            for index, line in enumerate(self._suggestions):
                self._draw_suggestion(index, line)

    def _draw_suggestion(self, index: int, line: str) -> None:
        row = draw_option(is_chosen=index == self._chosen_index)
        row.on("click", lambda: self._accept_suggestion(line))
        with row:
            ui.label(line).classes("offer-words")
            ui.label(self._description(line)).classes("fine")

    def _description(self, line: str) -> str:
        """Returns the description of a completed command or option."""
        words = line.removeprefix("/tune ")
        for command in self._session.studio.catalogue.commands:
            if command.path == words:
                return self._session.translate(command.summary_key)
        name = words.rpartition(" ")[2].partition(":")[0]
        options = {o.name for c in self._session.studio.catalogue.commands for o in c.options}
        return self._session.translate(f"option.{name}") if name in options else ""

    def _accept_suggestion(self, line: str) -> None:
        self.write(line if line.endswith(":") else f"{line} ")
