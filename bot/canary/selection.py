"""Whose questions a canary answers."""

from __future__ import annotations

import hashlib

from bot.domain import Canary
from bot.ports.store import Records
from bot.request import Request


async def canary_for(request: Request, canary: Canary, records: Records) -> Canary | None:
    """The running canary, where it answers this question; None where the model in use does.

    A thread stays with one model, that of the person whose question began it; else a person does.
    """
    in_use = request.deployment.id if request.deployment else 0
    if canary.deployment != in_use:
        return None
    return canary if is_selected(canary, await _key(request, records)) else None


def is_selected(canary: Canary, key: str) -> bool:
    """Always the same for one key; who is selected at a small share is selected at a larger one."""
    drawn = hashlib.sha256(f"{canary.idempotency_key}/{key}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") < canary.share * 2**64


async def _key(request: Request, records: Records) -> str:
    place = request.place
    if place.thread is None:
        return request.user_id
    began = await records.turns.by_question(request.workspace_id, place.channel, place.thread)
    return began.asker if began is not None else place.thread
