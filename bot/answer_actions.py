"""What people do with an answer: stop it, go on with it, ask again, edit its question."""

from __future__ import annotations

from dataclasses import replace

from bot import access
from bot.answer_access import requested_turn
from bot.chat import (
    AnswerWriter,
    PromptInput,
    Question,
    build_question_prompt,
    read_prompt_input,
    reply_of_earlier_attempt,
)
from bot.commands import Handlers
from bot.conversation import NEW, fetch_history, question_of
from bot.domain import MessageId, Role, Turn, TurnState
from bot.errors import NotAllowed, NotNow
from bot.events import STOP, MessageEdited
from bot.examples.source_changes import source_edited
from bot.ports.dependencies import Dependencies
from bot.ports.store import Store
from bot.replies import Listing, ListingRow, NoReply, Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.event("edited", Role.STRANGER)
async def on_message_edited(request: Request, deps: Dependencies) -> Reply:
    """What was learned follows an edited message; its answer is written anew in its place."""
    what = request.event.what
    if not isinstance(what, MessageEdited):
        return NoReply()
    turn = await _turn_to_renew(request, what, deps.store)
    await source_edited(request, what, deps)
    if turn is None:
        return NoReply()
    question = Question.from_turn(turn, what.text)
    return (await _writer(request, question, turn, deps)).stream(turn)


async def _writer(
    request: Request, question: Question, turn: Turn, deps: Dependencies
) -> AnswerWriter:
    """Answers the question of a turn as if nothing had been said after it."""
    asked = await _asked(request, replace(turn, question=question.text), deps)
    async with deps.store.reading() as records:
        messages = await build_question_prompt(request, asked, records)
    return AnswerWriter(
        request,
        replace(question, has_history=bool(asked.context.messages), note=asked.note),
        messages,
        deps,
    )


async def _asked(request: Request, turn: Turn, deps: Dependencies) -> PromptInput:
    surface = deps.surfaces.of(request.workspace_id)
    message = await question_of(request, turn, surface)
    said = await fetch_history(request, message, surface)
    return await read_prompt_input(request, message, said, deps)


async def _turn_to_renew(request: Request, what: MessageEdited, store: Store) -> Turn | None:
    """The answer to one's own question; one that somebody has marked stays as it was marked.

    It counts as being written from now on, so that a crash does not end it half renewed.
    """
    channel = request.place.channel
    async with store.writing() as records:
        turn = await records.turns.by_question(request.workspace_id, channel, what.message)
        if turn is None or turn.reply_message is None or turn.asker != request.user_id:
            return None
        is_same = turn.question == what.text and turn.state is not TurnState.STREAMING
        is_marked = await records.example_messages.examples(
            request.workspace_id, channel, [turn.reply_message]
        )
        if is_same or is_marked or not (request.may_ask and what.text.strip()):
            return None
        await records.turns.change(request.workspace_id, turn.id, state=TurnState.STREAMING)
    return turn


@handlers.button("go_on", Role.STRANGER)
async def continue_answer(request: Request, deps: Dependencies) -> Reply:
    """Continues an answer that was cut off; what is kept of it is the whole, from its beginning."""
    deps.running_answers.begin(request.event)
    turn, known = await _named(request, deps)
    if (said := reply_of_earlier_attempt(request, known, deps, begun=turn.reply)) is not None:
        return said
    if not turn.question or not turn.reply:
        raise NotNow(problem=request.words("message.gone"))
    asked = await _asked(request, turn, deps)
    async with deps.store.reading() as records:
        messages = [
            *await build_question_prompt(request, asked, records),
            {"role": "assistant", "content": turn.reply},
            {"role": "user", "content": request.words("chat.go_on_asked")},
        ]
    question = replace(
        Question.from_turn(turn),
        answered_before=turn.reply,
        has_history=bool(asked.context.messages),
    )
    return AnswerWriter(request, question, messages, deps).stream(known)


@handlers.button("again", Role.STRANGER)
async def try_again(request: Request, deps: Dependencies) -> Reply:
    """Another answer to the same question, below; the older one keeps its votes and examples.

    From then on the newer one alone goes along with what is asked next.
    """
    deps.running_answers.begin(request.event)
    turn, known = await _named(request, deps)
    if (said := reply_of_earlier_attempt(request, known, deps)) is not None:
        return said
    if not turn.question:
        raise NotNow(problem=request.words("message.gone"))
    return (await _writer(request, Question.from_turn(turn), turn, deps)).stream(known)


async def _named(request: Request, deps: Dependencies) -> tuple[Turn, Turn | None]:
    """The answer that a button names, and what an earlier attempt at this click has kept."""
    async with deps.store.reading() as records:
        turn = await requested_turn(request, records)
        known = await records.turns.by_event(request.workspace_id, request.event.key)
    access.require_leave_to_ask(request.may_ask)
    return turn, known


@handlers.button("new", Role.STRANGER)
async def start_conversation_here(request: Request, deps: Dependencies) -> Reply:
    """What was said until here no longer goes along."""
    access.require_leave_to_ask(request.may_ask)
    return Text(request.words(NEW), is_for_all=True)


@handlers.command("assistant new-conversation", Role.STRANGER)
async def start_conversation(request: Request, deps: Dependencies) -> Reply:
    """As the button; outside a thread nothing goes along anyway but what a message answers."""
    access.require_leave_to_ask(request.may_ask)
    if request.place.thread is None:
        return Text(request.words("chat.new_already"), private=True)
    return Text(request.words(NEW), is_for_all=True)


@handlers.reaction(STOP, Role.STRANGER)
async def stop_answer(request: Request, deps: Dependencies) -> Reply:
    """❌ from the asker, a curator or an admin stops the answer; nothing more is paid for.

    On the question too, before the first words; a button may name the event that asks for it.
    """
    name = request.argument or request.clicked_message
    answer = deps.running_answers.find_by_name(name) if name else None
    if answer is None:
        return NoReply()
    if answer.asker != request.user_id and request.role < Role.CURATOR:
        raise NotAllowed(role=request.words("role.curator"), who=request.words("role.ask.curator"))
    if answer.message is not None:
        async with deps.store.reading() as records:
            channel = request.place.channel
            turn = await records.turns.by_message(request.workspace_id, channel, answer.message)
        if turn is not None and turn.state is not TurnState.STREAMING:
            return NoReply()
    answer.stop()
    return NoReply()


handlers.button("stop", Role.STRANGER)(stop_answer)


@handlers.button("answers", Role.CURATOR, is_for_pages=True)
async def list_answer_models(request: Request, deps: Dependencies) -> Reply:
    """Which model wrote each of these messages, and in what time."""
    lines: list[ListingRow] = []
    async with deps.store.reading() as records:
        models = await records.models.all(request.workspace_id, request.assistant.id)
        names = {model.name: model.display_name for model in models}
        messages = [MessageId(one) for one in request.argument.split(",")]
        turns = await records.turns.by_messages(
            request.workspace_id, request.place.channel, messages
        )
        for message in messages:
            if (turn := turns.get(message)) is not None:
                note = f"{turn.seconds:.1f} s" if turn.seconds is not None else ""
                lines.append(ListingRow(message, names.get(turn.model, turn.model), note))
    return Listing("", tuple(lines))
