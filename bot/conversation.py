"""What was said before a question, as it goes along with it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from bot.answer_access import without_note
from bot.domain import Message, MessageId, Turn
from bot.errors import SurfaceError
from bot.ports.store import Records
from bot.ports.surface import Surface
from bot.request import Request
from bot.words import LANGUAGES, Words

log = logging.getLogger(__name__)

NEW = "chat.new_conversation"
"""The sentence of ours after which a conversation begins anew."""
_MOST = 20


async def said_before(request: Request, message: Message, surface: Surface) -> Sequence[Message]:
    """A platform that does not tell what was said still wants an answer."""
    if not request.assistant.history or not (message.place.thread or message.reply_to):
        return ()
    try:
        found = await surface.history(message.place, message.id, _MOST)
    except SurfaceError as error:
        log.warning("What was said before cannot be read", extra={"why": error.key})
        return ()
    return _since_new(found)


async def question_of(request: Request, turn: Turn, surface: Surface) -> Message:
    """The question of an answer, with what its platform still knows of it."""
    place = turn.place if turn.asked_message else replace(turn.place, thread=None)
    asked = Message(
        place, turn.asked_message or MessageId(""), request.user, turn.question, turn.at
    )
    try:
        found = await surface.fetch(place, asked.id) if asked.id else None
    except SurfaceError as error:
        log.warning("A question cannot be read again", extra={"why": error.key})
        return asked
    return replace(asked, reply_to=found.reply_to, files=found.files) if found else asked


async def as_context(
    request: Request, said: Sequence[Message], records: Records
) -> Sequence[Message]:
    """What goes along: of several answers to one question the last, each as the model wrote it."""
    own = [one.id for one in said if one.is_own]
    turns = await records.turns.at(request.id, request.place.channel, own) if own else {}
    last = {turn.asked_message or turn.id: turn for turn in turns.values()}
    kept: list[Message] = []
    is_replaced = False
    for one in said:
        if not one.is_own:
            kept.append(one)
            continue
        turn = turns.get(one.id)
        if turn is not None:
            newest = last[turn.asked_message or turn.id]
            # A continuation holds the whole from its beginning, which stands in this message.
            is_replaced = not newest.reply.startswith(turn.reply)
        if not is_replaced:
            kept.append(replace(one, text=without_note(one.text)))
    return kept


def note_on(said: Sequence[Message], words: Words) -> str:
    """Once in a conversation it is told that only its end goes along; empty otherwise."""
    note = words("chat.only_last", count=_MOST)
    is_told = any(one.is_own and note in one.text for one in said)
    return note if len(said) >= _MOST and not is_told else ""


def _since_new(said: Sequence[Message]) -> Sequence[Message]:
    marks = {Words(language)(NEW) for language in LANGUAGES}
    for at in range(len(said) - 1, -1, -1):
        if said[at].is_own and said[at].text.strip() in marks:
            return said[at + 1 :]
    return said
