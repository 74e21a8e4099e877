"""Stored answers of the bot: found by name, and who may see, stop or rate them."""

from __future__ import annotations

from bot.domain import Role, Turn, TurnId
from bot.errors import NotForGuests, NotFound
from bot.numerals import whole_number
from bot.ports.store import Records
from bot.request import Request

_MARK = "⋯ "
NOTE = f"\n\n{_MARK}"
"""Begins a paragraph of a shown answer that says why it ends there or which tool was called.

It stands before or after the answer and is no part of it.
"""


def strip_bot_notes(text: str) -> str:
    """An answer of ours as the model wrote it."""
    paragraphs = text.split("\n\n")
    is_ours = [one.startswith(_MARK) for one in paragraphs]
    if all(is_ours):
        return text
    first = is_ours.index(False)
    end = len(paragraphs) - is_ours[::-1].index(False)
    return "\n\n".join(paragraphs[first:end])


async def requested_turn(request: Request, records: Records) -> Turn:
    """The turn that a form or button names, for those who could read it.

    They stand in its channel, or asked, or have rated it there before. Raises NotFound.
    """
    turn = await records.turns.get(request.workspace_id, _turn_id(request))
    require_member_or_asker(request, turn)
    if _is_here(request, turn) or turn.asker == request.user_id:
        return turn
    if not any(
        vote.user == request.user_id
        for vote in await records.turns.votes(request.workspace_id, turn.id)
    ):
        raise NotFound(noun="answer", name=request.argument)
    return turn


def _is_here(request: Request, turn: Turn) -> bool:
    """A thread may have fewer readers than its channel."""
    there, here = turn.place, request.place
    is_open = there.channel == here.channel and there.thread in (None, here.thread)
    return is_open or request.role is Role.OPERATOR


def require_member_or_asker(request: Request, turn: Turn) -> None:
    """Raises NotForGuests for a stranger who did not get this answer where strangers may ask."""
    if not may_rate(request, turn):
        raise NotForGuests


def may_rate(request: Request, turn: Turn) -> bool:
    is_own = turn.asker == request.user_id and request.may_ask
    return is_own or request.role > Role.STRANGER


def _turn_id(request: Request) -> TurnId:
    try:
        return TurnId(whole_number(request.argument))
    except ValueError:
        raise NotFound(noun="answer", name=request.argument) from None
