"""The history of a question: its newest messages verbatim, the older ones summarised."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.answer_access import strip_bot_notes
from bot.daily_token_budget import reserve
from bot.domain import Message, MessageId, Sampling, Turn
from bot.errors import HostError, NotFound, OverCap, SurfaceError
from bot.ports.dependencies import Dependencies
from bot.ports.metered_calls import Answer, read_answer
from bot.ports.store import Records
from bot.ports.surface import Surface
from bot.request import Request
from bot.rows import text_tokens
from bot.summaries import Summary
from bot.words import LANGUAGES, Words

log = logging.getLogger(__name__)

NEW = "chat.new_conversation"
"""The sentence of ours after which a conversation begins anew."""
_MOST = 20
"""So many messages go along as they are, and up to as many that no summary holds yet."""
_MOST_TOKENS = 8000
_FETCHED = 100
_SUMMARY_TOKENS = 600
_SUMMARY_SECONDS = 60.0
_LONGEST_SAID = 4000


@dataclass(frozen=True, slots=True)
class Context:
    """What goes along with a question: the newest messages, a summary of the older ones, and what
    is told of that, once.
    """

    messages: Sequence[Message] = ()
    summary: str = ""
    note: str = ""


async def fetch_history(request: Request, message: Message, surface: Surface) -> Sequence[Message]:
    """A platform that does not tell what was said still wants an answer."""
    if not request.assistant.history or not (message.place.thread or message.reply_to):
        return ()
    try:
        found = await surface.history(message.place, message.id, _FETCHED)
    except SurfaceError as error:
        log.warning("What was said before cannot be read", extra={"why": error.key})
        return ()
    return _since_new(found)


async def question_of(request: Request, turn: Turn, surface: Surface) -> Message:
    """The question of an answer, with what its platform still knows of it."""
    place = turn.place if turn.question_message else replace(turn.place, thread=None)
    asked = Message(
        place, turn.question_message or MessageId(""), request.user, turn.question, turn.at
    )
    try:
        found = await surface.fetch(place, asked.id) if asked.id else None
    except SurfaceError as error:
        log.warning("A question cannot be read again", extra={"why": error.key})
        return asked
    return replace(asked, reply_to=found.reply_to, files=found.files) if found else asked


async def build_context(request: Request, said: Sequence[Message], deps: Dependencies) -> Context:
    """Of what is too much the older part is summarised by the base model, or else left out."""
    async with deps.store.reading() as records:
        kept = await _without_older_tries(request, said, records)
    recent = _newest(kept)
    older = kept[: len(kept) - len(recent)]
    words = request.words
    if not older:
        return Context(recent)
    known = deps.summaries.find(request.place, said)
    fresh = [one for one in older if known is None or one.id not in known.covered]
    if known is None or len(fresh) >= _MOST or _tokens(fresh) > _MOST_TOKENS:
        known = await _summarised(request, known, fresh, said, deps)
        fresh = []
    if known is None:
        note = words("chat.only_last", count=len(recent))
        return Context(recent, note=_unless_told(note, said))
    deps.summaries.keep(request.place, known)
    note = words("chat.summarised")
    return Context([*fresh, *recent], known.text, _unless_told(note, said))


async def _summarised(
    request: Request,
    known: Summary | None,
    fresh: Sequence[Message],
    said: Sequence[Message],
    deps: Dependencies,
) -> Summary | None:
    """The summary so far and what came after it, in one; None where the model gives none."""
    lines = [f"{one.author.name}: {one.text[:_LONGEST_SAID]}" for one in fresh]
    if known is not None:
        lines.insert(0, known.text)
    asked = request.words("chat.summarise", text="\n\n".join(lines))
    try:
        text = await _answer(request, asked, deps)
    except (HostError, NotFound, OverCap) as error:
        log.warning("A conversation could not be summarised", extra={"why": type(error).__name__})
        return None
    texts = {one.id: one.text for one in said}
    covered = dict(known.covered) if known is not None else {}
    covered |= {one.id: hash(texts[one.id]) for one in fresh}
    return Summary(text, covered) if text.strip() else None


async def _answer(request: Request, asked: str, deps: Dependencies) -> str:
    """One answer of the base model."""
    assistant = request.assistant
    host = deps.hosts.paid(assistant.chat_host, request.workspace)
    if host.profile.keeps_words:
        raise NotFound(noun="model", name=assistant.base)  # It only repeats what it was taught.
    messages, answer = [{"role": "user", "content": asked}], Answer()
    async with reserve(request, messages, deps.token_reservations) as meter:
        sampling = Sampling(max_tokens=_SUMMARY_TOKENS)
        deltas = meter.chat(host, assistant.base, messages, sampling)
        await read_answer(deltas, answer, host=host.name, seconds=_SUMMARY_SECONDS)
    return answer.text


async def _without_older_tries(
    request: Request, said: Sequence[Message], records: Records
) -> list[Message]:
    """Of several answers to one question the last, each as the model wrote it."""
    own = [one.id for one in said if one.is_own]
    turns = (
        await records.turns.by_messages(request.workspace_id, request.place.channel, own)
        if own
        else {}
    )
    last = {turn.question_message or turn.id: turn for turn in turns.values()}
    kept: list[Message] = []
    is_replaced = False
    for one in said:
        if not one.is_own:
            kept.append(one)
            continue
        turn = turns.get(one.id)
        if turn is not None:
            newest = last[turn.question_message or turn.id]
            # A continuation holds the whole from its beginning, which stands in this message.
            is_replaced = not newest.reply.startswith(turn.reply)
        if not is_replaced:
            kept.append(replace(one, text=strip_bot_notes(one.text)))
    return kept


def _newest(said: Sequence[Message]) -> Sequence[Message]:
    """As many as may go along; the last two in any case."""
    room = _MOST_TOKENS
    for count, one in enumerate(reversed(said)):
        room -= text_tokens(one.text)
        if count >= _MOST or (room < 0 and count >= 2):
            return said[len(said) - count :]
    return said


def _tokens(said: Sequence[Message]) -> int:
    return sum(text_tokens(one.text) for one in said)


def _unless_told(note: str, said: Sequence[Message]) -> str:
    """Once in a conversation is enough."""
    return "" if any(one.is_own and note in one.text for one in said) else note


def _since_new(said: Sequence[Message]) -> Sequence[Message]:
    marks = {Words(language)(NEW) for language in LANGUAGES}
    for at in range(len(said) - 1, -1, -1):
        if said[at].is_own and said[at].text.strip() in marks:
            return said[at + 1 :]
    return said
