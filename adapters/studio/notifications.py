"""Short notes below the page, one at a time, which do not cover the page's content."""

from __future__ import annotations

from typing import Literal
from weakref import WeakKeyDictionary

from nicegui import Client, ui

from adapters.studio.reply_drawing import Click, draw_button
from bot.replies import Button, Card, Refused, Reply, Text

NoteKind = Literal["positive", "warning"]

_SECONDS, _UNDO_SECONDS = 5.0, 10.0
_CHARACTERS_PER_SECOND = 15
_UNDO = "undo:"

_note_lines: WeakKeyDictionary[Client, NoteLine] = WeakKeyDictionary()


class NoteLine:
    """The line at the foot of a window; a new note replaces the previous one."""

    def __init__(self, foot: ui.footer, *, stays: bool) -> None:
        """Draws the line; unless `stays`, the footer is hidden together with the note."""
        self._foot = foot
        self._stays = stays
        self._line = ui.element("div").classes("note-line").props("aria-live=polite")
        self._line.set_visibility(False)
        _note_lines[ui.context.client] = self

    def show(
        self, text: str, kind: NoteKind, buttons: tuple[Button, ...], click: Click | None
    ) -> None:
        """Shows a note for the time it takes to read it, or for `_UNDO_SECONDS` with buttons."""
        seconds = _UNDO_SECONDS if buttons else _SECONDS + len(text) / _CHARACTERS_PER_SECOND
        self._line.clear()
        with self._line, ui.element("div").classes(f"note {kind}"):
            ui.icon("check_circle" if kind == "positive" else "info").props("aria-hidden=true")
            ui.label(text).classes("note-text").props("role=alert" if kind == "warning" else "")
            if click is not None:
                for button in buttons:
                    draw_button(button, click, is_small=True)
            ui.timer(seconds, self._hide, once=True)
        self._line.set_visibility(True)
        self._foot.set_value(True)

    def _hide(self) -> None:
        self._line.set_visibility(False)
        self._foot.set_value(self._stays)
        self._line.clear()


def notify(
    text: str,
    *,
    kind: NoteKind = "positive",
    buttons: tuple[Button, ...] = (),
    click: Click | None = None,
) -> None:
    """Shows a note in the window whose handler runs."""
    _note_lines[ui.context.client].show(text, kind, buttons, click)


def notify_reply(reply: Reply, click: Click | None = None) -> bool:
    """Shows a reply as a note with its undo button; returns False if it is a refusal."""
    buttons = reply.buttons if isinstance(reply, Text | Card) else ()
    undo = tuple(button for button in buttons if button.action.startswith(_UNDO))
    match reply:
        case Refused():
            notify(reply.text, kind="warning")
            return False
        case Text():
            notify(reply.text, buttons=undo, click=click)
        case Card() if reply.replaces or not reply.facts:
            notify(" · ".join([reply.title, *reply.lines[:1]]), buttons=undo, click=click)
        case Card():
            facts = ", ".join(f"{fact.label}: {fact.value}" for fact in reply.facts)
            notify(f"{reply.title} · {facts}", buttons=undo, click=click)
    return True
