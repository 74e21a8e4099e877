"""A minimal NiceGUI app: a field, a button that changes a label, and a second page."""

from __future__ import annotations

import os

from nicegui import ui


@ui.page("/")
def first() -> None:
    counter = ui.label("0").classes("shown")
    ui.textarea().classes("field")
    ui.button("Next", on_click=lambda: counter.set_text(str(int(counter.text) + 1)))
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
