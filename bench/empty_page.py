"""The least that NiceGUI can show: a field, a button that changes a word, and a second page."""

from __future__ import annotations

import os

from nicegui import ui


@ui.page("/")
def first() -> None:
    shown = ui.label("0").classes("shown")
    ui.textarea().classes("field")
    ui.button("Next", on_click=lambda: shown.set_text(str(int(shown.text) + 1)))
    ui.link("Second", "/second")


@ui.page("/second")
def second() -> None:
    ui.label("second").classes("shown")


ui.run(
    host="127.0.0.1",
    port=int(os.environ["PORT"]),
    show=False,
    reload=False,
    show_welcome_message=False,
    tailwind=False,
)
