"""Short notes to the person at the window, where they cover nothing."""

from __future__ import annotations

from typing import Literal

from nicegui import ui

from bot.replies import Card, Refused, Reply, Text

Kind = Literal["positive", "warning"]


def notify(text: str, *, kind: Kind = "positive") -> None:
    """Shows a toast: slate for success, amber for a warning."""
    icon = "check_circle" if kind == "positive" else "info"
    color = "blue-grey-10" if kind == "positive" else "amber-9"
    ui.notification(text, position="top", timeout=3, icon=icon, color=color)


def tell(reply: Reply) -> bool:
    """Say in short what came of a click; False where it was refused."""
    match reply:
        case Refused():
            notify(reply.text, kind="warning")
            return False
        case Text():
            notify(reply.text)
        case Card() if reply.replaces or not reply.facts:
            notify(" · ".join([reply.title, *reply.lines[:1]]))
        case Card():
            facts = ", ".join(f"{fact.label}: {fact.value}" for fact in reply.facts)
            notify(f"{reply.title} · {facts}")
    return True
