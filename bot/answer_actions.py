"""Actions on an answer: stopping it, continuing it, asking again, editing its question."""

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
from bot.conversation_history import NEW_CONVERSATION_KEY, fetch_history, question_message
from bot.domain import MessageId, Role, Turn, TurnState
from bot.errors import NotAllowed, NotNow
from bot.events import STOP_EMOJI, MessageEdited
from bot.examples.edited_source_messages import apply_source_edit
from bot.ports.dependencies import Dependencies
from bot.ports.store import Store
from bot.replies import Listing, ListingRow, NoReply, Reply, Text
from bot.request import Request

handlers = Handlers()


@handlers.event("edited", Role.STRANGER)
async def on_message_edited(request: Request, deps: Dependencies) -> Reply:
    """Updates examples made from an edited message, and rewrites the answer to it."""
    what = request.event.what
    if not isinstance(what, MessageEdited):
        return NoReply()
    turn = await _turn_to_renew(request, what, deps.store)
    await apply_source_edit(request, what, deps)
    if turn is None:
        return NoReply()
    question = Question.from_turn(turn, what.text)
    return (await _writer(request, question, turn, deps)).to_stream(turn)


async def _writer(
    request: Request, question: Question, turn: Turn, deps: Dependencies
) -> AnswerWriter:
    """Returns a writer for a new answer to a turn's question; messages after it do not count."""
    prompt_input = await _prompt_input(request, replace(turn, question=question.text), deps)
    async with deps.store.reading() as records:
        messages = await build_question_prompt(request, prompt_input, records, deps)
    has_history = bool(prompt_input.context.messages)
    question = replace(
        question,
        has_history=has_history,
        has_text=prompt_input.has_text,
        note=prompt_input.note,
    )
    return AnswerWriter(request, question, messages, deps)


async def _prompt_input(request: Request, turn: Turn, deps: Dependencies) -> PromptInput:
    """Reads the question of a turn, its files and the messages before it."""
    surface = deps.surfaces.surface_of(request.workspace_id)
    message = await question_message(request, turn, surface)
    history = await fetch_history(request, message, surface)
    return await read_prompt_input(request, message, history, deps)


async def _turn_to_renew(request: Request, what: MessageEdited, store: Store) -> Turn | None:
    """Returns the turn whose answer is rewritten after its asker edited the question, else None.

    An answer that became an example is not rewritten. The turn's state is set to streaming, so
    that the answer is written again after a crash.
    """
    channel = request.place.channel
    async with store.writing() as records:
        turn = await records.turns.by_question_message(request.workspace_id, channel, what.message)
        if turn is None or turn.reply_message is None or turn.asker != request.user_id:
            return None
        is_same = turn.question == what.text and turn.state is not TurnState.STREAMING
        is_marked = await records.example_messages.example_ids_of_messages(
            request.workspace_id, channel, [turn.reply_message]
        )
        if is_same or is_marked or not (request.may_ask and what.text.strip()):
            return None
        await records.turns.update_fields(request.workspace_id, turn.id, state=TurnState.STREAMING)
    return turn


@handlers.button("go_on", Role.STRANGER)
async def continue_answer(request: Request, deps: Dependencies) -> Reply:
    """Continues an incomplete answer in a new message; the new turn stores the whole answer."""
    deps.running_answers.register_current_task(request.event)
    turn, earlier = await _turn_and_attempt(request, deps)
    if (reply := reply_of_earlier_attempt(request, earlier, deps, begun=turn.reply)) is not None:
        return reply
    if not turn.question or not turn.reply:
        raise NotNow(problem=request.words("message.gone"))
    prompt_input = await _prompt_input(request, turn, deps)
    async with deps.store.reading() as records:
        messages = [
            *await build_question_prompt(request, prompt_input, records, deps),
            {"role": "assistant", "content": turn.reply},
            {"role": "user", "content": request.words("chat.go_on_asked")},
        ]
    question = replace(
        Question.from_turn(turn),
        answered_before=turn.reply,
        has_history=bool(prompt_input.context.messages),
    )
    return AnswerWriter(request, question, messages, deps).to_stream(earlier)


@handlers.button("again", Role.STRANGER)
async def try_again(request: Request, deps: Dependencies) -> Reply:
    """Posts another answer to the same question; the earlier one keeps its votes and examples.

    Only the newest answer is part of the history of later questions.
    """
    deps.running_answers.register_current_task(request.event)
    turn, earlier = await _turn_and_attempt(request, deps)
    if (reply := reply_of_earlier_attempt(request, earlier, deps)) is not None:
        return reply
    if not turn.question:
        raise NotNow(problem=request.words("message.gone"))
    return (await _writer(request, Question.from_turn(turn), turn, deps)).to_stream(earlier)


async def _turn_and_attempt(request: Request, deps: Dependencies) -> tuple[Turn, Turn | None]:
    """Returns the turn that a button names, and the turn that an earlier attempt has stored."""
    async with deps.store.reading() as records:
        turn = await requested_turn(request, records)
        earlier = await records.turns.by_event(request.workspace_id, request.event.key)
    access.require_leave_to_ask(request.may_ask)
    return turn, earlier


@handlers.button("new", Role.STRANGER)
async def start_conversation_here(request: Request, deps: Dependencies) -> Reply:
    """Begins a new conversation: earlier messages are not sent to the model any more."""
    access.require_leave_to_ask(request.may_ask)
    return Text(request.words(NEW_CONVERSATION_KEY), is_for_all=True)


@handlers.command("assistant new-conversation", Role.STRANGER)
async def start_conversation(request: Request, deps: Dependencies) -> Reply:
    """Begins a new conversation in a thread; outside a thread there is no conversation to end."""
    access.require_leave_to_ask(request.may_ask)
    if request.place.thread is None:
        return Text(request.words("chat.new_already"), private=True)
    return Text(request.words(NEW_CONVERSATION_KEY), is_for_all=True)


@handlers.reaction(STOP_EMOJI, Role.STRANGER)
async def stop_answer(request: Request, deps: Dependencies) -> Reply:
    """Stops an answer after ❌ from its asker or a curator; its remaining tokens are not paid for.

    The reaction may be on the answer, or on the question while the answer has no text. A button
    names the event of the question.
    """
    name = request.argument or request.clicked_message
    answer = deps.running_answers.find_by_message_or_event(name) if name else None
    if answer is None:
        return NoReply()
    if answer.asker != request.user_id and request.role < Role.CURATOR:
        raise NotAllowed(role=request.words("role.curator"), who=request.words("role.ask.curator"))
    if answer.message is not None:
        async with deps.store.reading() as records:
            channel = request.place.channel
            turn = await records.turns.by_reply_message(
                request.workspace_id, channel, answer.message
            )
        if turn is not None and turn.state is not TurnState.STREAMING:
            return NoReply()
    answer.cancel_task()
    return NoReply()


handlers.button("stop", Role.STRANGER)(stop_answer)


@handlers.button("answers", Role.CURATOR, is_for_pages=True)
async def list_answer_models(request: Request, deps: Dependencies) -> Reply:
    """Lists the model and the duration of each answer among the given messages."""
    lines: list[ListingRow] = []
    async with deps.store.reading() as records:
        models = await records.models.all(request.workspace_id, request.assistant.id)
        names = {model.name: model.display_name for model in models}
        messages = [MessageId(message_id) for message_id in request.argument.split(",")]
        turns = await records.turns.by_reply_messages(
            request.workspace_id, request.place.channel, messages
        )
        for message in messages:
            if (turn := turns.get(message)) is not None:
                note = f"{turn.seconds:.1f} s" if turn.seconds is not None else ""
                lines.append(ListingRow(message, names.get(turn.model, turn.model), note))
    return Listing("", tuple(lines))
