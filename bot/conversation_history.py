"""The history of a question: the newest messages verbatim, a summary of the older ones."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.answer_access import strip_bot_notes
from bot.conversation_summaries import Summary
from bot.daily_token_budget import reserve_tokens
from bot.domain import Message, MessageId, Sampling, Turn
from bot.errors import HostError, NotFound, OverCap, SurfaceError
from bot.ports.dependencies import Dependencies
from bot.ports.metered_calls import Answer, read_answer
from bot.ports.store import Records
from bot.ports.surface import Surface
from bot.request import Request
from bot.rows import estimate_text_tokens
from bot.words import LANGUAGES, Words

log = logging.getLogger(__name__)

NEW_CONVERSATION_KEY = "chat.new_conversation"
"""Key of the bot's sentence after which a new conversation begins."""
_MAX_MESSAGES = 20
"""Maximum of recent messages in a prompt, and of older messages that no summary covers yet."""
_MAX_TOKENS = 8000
_FETCHED_MESSAGES = 100
_SUMMARY_TOKENS = 600
_SUMMARY_SECONDS = 60.0
_MAX_TEXT_LENGTH = 4000


@dataclass(frozen=True, slots=True)
class ConversationContext:
    """The history for a prompt: the newest messages and a summary of the older ones.

    `note` tells the asker that older messages were summarised or left out; empty after the first
    time.
    """

    messages: Sequence[Message] = ()
    summary: str = ""
    note: str = ""


async def fetch_history(request: Request, message: Message, surface: Surface) -> Sequence[Message]:
    """Returns the messages before a question since the last new conversation, oldest first.

    Empty if the assistant uses no history, for a message outside a thread that is no reply, and if
    the platform does not return the history.
    """
    if not request.assistant.history or not (message.place.thread or message.reply_to):
        return ()
    try:
        history = await surface.thread_before(message.place, message.id, _FETCHED_MESSAGES)
    except SurfaceError as error:
        log.warning("What was said before cannot be read", extra={"why": error.key})
        return ()
    return _since_new_conversation(history)


async def question_message(request: Request, turn: Turn, surface: Surface) -> Message:
    """Returns the message of a turn's question, with its files and `reply_to` from the platform.

    If the platform does not return the message, it has neither.
    """
    place = turn.place if turn.question_message else replace(turn.place, thread=None)
    question = Message(
        place, turn.question_message or MessageId(""), request.user, turn.question, turn.at
    )
    try:
        fetched = await surface.fetch_message(place, question.id) if question.id else None
    except SurfaceError as error:
        log.warning("A question cannot be read again", extra={"why": error.key})
        return question
    if fetched is None:
        return question
    return replace(question, reply_to=fetched.reply_to, files=fetched.files)


async def build_context(
    request: Request, history: Sequence[Message], deps: Dependencies
) -> ConversationContext:
    """Returns the newest messages and a summary of the older ones by the base model.

    If the model writes no summary, older messages are left out.
    """
    async with deps.store.reading() as records:
        messages = await _without_superseded_answers(request, history, records)
    recent = _newest(messages)
    older = messages[: len(messages) - len(recent)]
    words = request.words
    if not older:
        return ConversationContext(recent)
    summary = deps.summaries.find(request.place, history)
    uncovered = [m for m in older if summary is None or m.id not in summary.hashes_of_messages]
    if summary is None or len(uncovered) >= _MAX_MESSAGES or _tokens(uncovered) > _MAX_TOKENS:
        summary = await _summarise(request, summary, uncovered, history, deps)
        uncovered = []
    if summary is None:
        note = words("chat.only_last", count=len(recent))
        return ConversationContext(recent, note=_note_once(note, history))
    deps.summaries.put(request.place, summary)
    note = words("chat.summarised")
    return ConversationContext([*uncovered, *recent], summary.text, _note_once(note, history))


async def _summarise(
    request: Request,
    summary: Summary | None,
    uncovered: Sequence[Message],
    history: Sequence[Message],
    deps: Dependencies,
) -> Summary | None:
    """Returns a summary of the earlier summary and the messages after it, or None on failure."""
    lines = [f"{message.author.name}: {message.text[:_MAX_TEXT_LENGTH]}" for message in uncovered]
    if summary is not None:
        lines.insert(0, summary.text)
    prompt = request.words("chat.summarise", text="\n\n".join(lines))
    try:
        text = await _answer(request, prompt, deps)
    except (HostError, NotFound, OverCap) as error:
        log.warning("A conversation could not be summarised", extra={"why": type(error).__name__})
        return None
    texts = {message.id: message.text for message in history}
    covered = dict(summary.hashes_of_messages) if summary is not None else {}
    covered |= {message.id: hash(texts[message.id]) for message in uncovered}
    return Summary(text, covered) if text.strip() else None


async def _answer(request: Request, prompt: str, deps: Dependencies) -> str:
    """Returns the base model's answer to a prompt; raises HostError, NotFound or OverCap."""
    assistant = request.assistant
    host = deps.hosts.get_paid(assistant.chat_host, request.workspace)
    if host.profile.memorizes_rows:
        # Such a host only repeats the answers of its examples, so it cannot summarise.
        raise NotFound(noun="model", name=assistant.base)
    messages, answer = [{"role": "user", "content": prompt}], Answer()
    async with reserve_tokens(request, messages, deps.token_reservations) as meter:
        sampling = Sampling(max_tokens=_SUMMARY_TOKENS)
        deltas = meter.chat(host, assistant.base, messages, sampling)
        await read_answer(deltas, answer, host=host.name, seconds=_SUMMARY_SECONDS)
    return answer.text


async def _without_superseded_answers(
    request: Request, history: Sequence[Message], records: Records
) -> list[Message]:
    """Returns the history with only the last answer to each question, and without bot notes."""
    own = [message.id for message in history if message.is_own]
    turns = (
        await records.turns.by_reply_messages(request.workspace_id, request.place.channel, own)
        if own
        else {}
    )
    last = {turn.question_message or turn.id: turn for turn in turns.values()}
    messages: list[Message] = []
    is_superseded = False
    for message in history:
        if not message.is_own:
            messages.append(message)
            continue
        # A message without a turn continues the answer of the message before it.
        turn = turns.get(message.id)
        if turn is not None:
            newest = last[turn.question_message or turn.id]
            # The reply of a continuation begins with the answer in this message: both are kept.
            is_superseded = not newest.reply.startswith(turn.reply)
        if not is_superseded:
            messages.append(replace(message, text=strip_bot_notes(message.text)))
    return messages


def _newest(messages: Sequence[Message]) -> Sequence[Message]:
    """Returns the newest messages within the limits of messages and tokens, but at least two."""
    remaining_tokens = _MAX_TOKENS
    for count, message in enumerate(reversed(messages)):
        remaining_tokens -= estimate_text_tokens(message.text)
        if count >= _MAX_MESSAGES or (remaining_tokens < 0 and count >= 2):
            return messages[len(messages) - count :]
    return messages


def _tokens(messages: Sequence[Message]) -> int:
    return sum(estimate_text_tokens(message.text) for message in messages)


def _note_once(note: str, history: Sequence[Message]) -> str:
    """Returns the note, or "" if an answer of the history contains it already."""
    return "" if any(message.is_own and note in message.text for message in history) else note


def _since_new_conversation(history: Sequence[Message]) -> Sequence[Message]:
    """Returns the messages after the last beginning of a new conversation."""
    marks = {Words(language)(NEW_CONVERSATION_KEY) for language in LANGUAGES}
    for index in range(len(history) - 1, -1, -1):
        if history[index].is_own and history[index].text.strip() in marks:
            return history[index + 1 :]
    return history
