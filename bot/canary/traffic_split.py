"""Decides whether the canary or the model in use answers a question."""

from __future__ import annotations

import hashlib

from bot.domain import Canary
from bot.ports.store import Records
from bot.request import Request


async def canary_that_answers(request: Request, canary: Canary, records: Records) -> Canary | None:
    """Returns the canary if it answers this question, or None if the model in use answers it.

    Selects by the person who asks; in a thread, by the author of its first question, so that one
    model answers the whole thread.
    """
    in_use = request.deployment.id if request.deployment else 0
    if canary.deployment != in_use:
        return None
    return canary if is_in_canary_share(canary, await _selection_key(request, records)) else None


def is_in_canary_share(canary: Canary, key: str) -> bool:
    """Whether the canary answers the questions of `key`, a user id or thread id.

    The result depends only on the canary and the key; a key that is selected at a share is also
    selected at every larger share.
    """
    digest = hashlib.sha256(f"{canary.idempotency_key}/{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < canary.share * 2**64


async def _selection_key(request: Request, records: Records) -> str:
    place = request.place
    if place.thread is None:
        return request.user_id
    first_turn = await records.turns.by_question_message(
        request.workspace_id, place.channel, place.thread
    )
    return first_turn.asker if first_turn is not None else place.thread
