"""Whose questions go to a canary, and what people say of its answers and of the others."""

from __future__ import annotations

import hashlib

from bot.domain import Canary, Reception
from bot.ports.store import Records
from bot.request import Request
from bot.significance import ALPHA, FEWEST_QUESTIONS, Verdict, compare_shares, wilson

FEWEST_FAILURES = 3
_TOLERATED = 0.1
"""A model that fails more often, beyond chance, is not used further."""


async def canary_for(request: Request, canary: Canary, records: Records) -> Canary | None:
    """The running canary, where it answers this question; None where the model in use does.

    A thread stays with one model, that of the person whose question began it; else a person does.
    """
    in_use = request.deployment.id if request.deployment else 0
    if canary.deployment != in_use:
        return None
    return canary if is_drawn(canary, await _key(request, records)) else None


def is_drawn(canary: Canary, key: str) -> bool:
    """Always the same for one key; who is drawn at a small share is drawn at a larger one."""
    drawn = hashlib.sha256(f"{canary.start}/{key}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") < canary.share * 2**64


async def _key(request: Request, records: Records) -> str:
    place = request.place
    if place.thread is None:
        return request.by
    began = await records.turns.by_question(request.id, place.channel, place.thread)
    return began.asker if began is not None else place.thread


async def receptions(canary: Canary, records: Records) -> tuple[Reception, Reception]:
    """Of the canary and of the model in use, since the canary began."""
    found = await records.turns.receptions(
        canary.workspace, canary.assistant, since=canary.started_at
    )
    return found.get(canary.model, Reception()), found.get(canary.in_use, Reception())


def is_failing(canary: Canary, own: Reception, other: Reception) -> bool:
    """Whether it fails in more than a tenth of all answers, and more than the model in use."""
    failed, tried = own.failed + canary.failures, own.answers + canary.failures
    if failed < FEWEST_FAILURES:
        return False
    usual = other.failed / other.answers if other.answers else 0.0
    return wilson(failed, tried).low > max(_TOLERATED, usual)


def is_due(canary: Canary, own: Reception, other: Reception) -> bool:
    """Whether the votes are tested: as each model has 8 of them, and whenever that has doubled."""
    return min(own.votes, other.votes) >= FEWEST_QUESTIONS << canary.looks


def verdict(canary: Canary, own: Reception, other: Reception) -> Verdict:
    """Of the shares of 👍; each look takes half of what is left of the 5 % for a wrong verdict."""
    return compare_shares(
        (own.liked, own.disliked),
        (other.liked, other.disliked),
        alpha=ALPHA / 2 ** (canary.looks + 1),
    )
