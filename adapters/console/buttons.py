"""Which button somebody means by its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from adapters.console.hints import LineError
from adapters.text_layout import clean_line
from bot.replies import Button, Card, Drawn, Listing, Text


def labels(reply: Drawn) -> list[tuple[str, str]]:
    """Every button as (label, action); a listing's line lends its id to the label."""
    return [(clean_line(label), action) for label, action in _labels(reply)]


def find_action(reply: Drawn, label: str, *, number: int) -> str:
    """The action behind a label, or behind the one label that begins so."""
    known = labels(reply)
    if not known:
        raise LineError("console.no_buttons", number=number)
    found = _matching(known, label.casefold())
    details = {"label": label, "number": number}
    if not found:
        raise LineError("console.no_button", labels=_listed(known), **details)
    if len({action for _, action in found}) > 1:
        raise LineError("console.several_buttons", labels=_listed(found), **details)
    return found[0][1]


def _matching(known: Sequence[tuple[str, str]], wanted: str) -> list[tuple[str, str]]:
    exact = [button for button in known if button[0].casefold() == wanted]
    return exact or [button for button in known if button[0].casefold().startswith(wanted)]


def _labels(reply: Drawn) -> Iterator[tuple[str, str]]:
    match reply:
        case Text() | Card():
            yield from _plain(reply.buttons)
        case Listing():
            for line in reply.lines:
                yield from ((f"{b.label} {line.id}", b.action) for b in line.buttons)
            yield from _plain((reply.more,) if reply.more else ())
        case _:
            assert_never(reply)


def _plain(buttons: Sequence[Button]) -> Iterator[tuple[str, str]]:
    return ((button.label, button.action) for button in buttons)


def _listed(known: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"“{label}”" for label, _ in known)
