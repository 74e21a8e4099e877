"""Access to stored answers of the bot: who may see and rate them."""

from __future__ import annotations

from bot.domain import ChannelId, MessageId, Role, Turn, TurnId
from bot.errors import NotForGuests, NotFound
from bot.number_formats import parse_number_argument
from bot.ports.store import Records
from bot.request import Request

_MARK = "⋯ "
BOT_NOTE_PREFIX = f"\n\n{_MARK}"
"""Prefix of a bot's note: a paragraph before or after an answer that is not part of the answer.

A note says why the answer is incomplete or which tool was called.
"""


def strip_bot_notes(text: str) -> str:
    """Returns a posted answer as the model wrote it, without the notes at its beginning and end."""
    paragraphs = text.split("\n\n")
    is_note = [paragraph.startswith(_MARK) for paragraph in paragraphs]
    if all(is_note):
        return text
    first = is_note.index(False)
    end = len(paragraphs) - is_note[::-1].index(False)
    return "\n\n".join(paragraphs[first:end])


async def requested_turn(request: Request, records: Records) -> Turn:
    """Returns the turn that a form or button names.

    Raises NotFound unless the user is in the turn's channel, asked the question, or has rated the
    answer before. Raises NotForGuests for strangers without access.
    """
    turn = await records.turns.get(request.workspace_id, turn_id(request))
    require_member_or_asker(request, turn)
    place = turn.place
    if is_visible_here(request, place.channel, place.thread) or turn.asker == request.user_id:
        return turn
    if not any(
        vote.user == request.user_id
        for vote in await records.turns.votes(request.workspace_id, turn.id)
    ):
        raise NotFound(noun="answer", name=request.argument)
    return turn


def is_visible_here(request: Request, channel: ChannelId, thread: MessageId | None) -> bool:
    """Whether the messages of a channel or thread are visible in the place of the request.

    Messages of another thread of the channel are not, as a thread may have fewer members.
    """
    place = request.place
    is_visible = channel == place.channel and thread in (None, place.thread)
    return is_visible or request.role is Role.OPERATOR


def require_member_or_asker(request: Request, turn: Turn) -> None:
    """Raises NotForGuests for a stranger, except for the asker where strangers may ask."""
    if not may_rate(request, turn):
        raise NotForGuests


def may_rate(request: Request, turn: Turn) -> bool:
    """Whether the user is a member, or the asker in a place where strangers may ask."""
    is_own = turn.asker == request.user_id and request.may_ask
    return is_own or request.role > Role.STRANGER


def turn_id(request: Request) -> TurnId:
    """Returns the id that a form or button names. Raises NotFound."""
    return TurnId(parse_number_argument(request.argument, "answer"))
