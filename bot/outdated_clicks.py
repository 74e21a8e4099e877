"""State tokens in button actions, with which a click on an outdated card is refused."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from bot.replies import Card, Listing, Refused
from bot.request import Request

_LENGTH = 8


def state_token(*state: object) -> str:
    """Returns a token of 8 characters that differs for another state; actions must be short."""
    text = "\0".join(map(str, state))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def outdated_refusal(request: Request, fresh: Card | Listing) -> Refused:
    """Returns the refusal of an outdated click, with the current card and its buttons."""
    text = request.words("button.outdated")
    if isinstance(fresh, Listing):
        note = f"{text} {fresh.note}" if fresh.note else text
        return Refused(text, replace(fresh, note=note))
    return Refused(text, replace(fresh, lines=(text, *fresh.lines)))
