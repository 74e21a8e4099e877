"""Finds the button that a person names by its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import assert_never

from adapters.console.command_hints import LineError
from adapters.plain_text import to_single_line
from bot.replies import Button, Card, Drawn, Listing, Text


def labelled_actions(reply: Drawn) -> list[tuple[str, str]]:
    """Returns the buttons as (label, action); labels in a listing end in the id of their row."""
    return [(to_single_line(label), action) for label, action in _labels(reply)]


def find_action(reply: Drawn, label: str, *, number: int) -> str:
    """Returns the action of a button by its label or by the beginning of its label.

    Raises LineError if no button or several buttons match.
    """
    buttons = labelled_actions(reply)
    if not buttons:
        raise LineError("console.no_buttons", number=number)
    matches = _matching(buttons, label.casefold())
    details = {"label": label, "number": number}
    if not matches:
        raise LineError("console.no_button", labels=_quoted(buttons), **details)
    if len({action for _, action in matches}) > 1:
        raise LineError("console.several_buttons", labels=_quoted(matches), **details)
    return matches[0][1]


def _matching(buttons: Sequence[tuple[str, str]], label: str) -> list[tuple[str, str]]:
    exact = [button for button in buttons if button[0].casefold() == label]
    return exact or [button for button in buttons if button[0].casefold().startswith(label)]


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


def _quoted(buttons: Sequence[tuple[str, str]]) -> str:
    return ", ".join(f"“{label}”" for label, _ in buttons)
