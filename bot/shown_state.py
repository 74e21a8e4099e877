"""What a button was drawn for travels with it, so that a late click decides about nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from bot.replies import Card, Listing, Refused
from bot.request import Request

_LENGTH = 8


def state_token(*state: object) -> str:
    """Short, for a button holds 78 characters; another state has another one."""
    text = "\0".join(map(str, state))
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]


def outdated_refusal(request: Request, fresh: Card | Listing) -> Refused:
    """Nothing was done; how it stands now, with buttons that are for that."""
    text = request.words("button.outdated")
    if isinstance(fresh, Listing):
        note = f"{text} {fresh.note}" if fresh.note else text
        return Refused(text, replace(fresh, note=note))
    return Refused(text, replace(fresh, lines=(text, *fresh.lines)))
