"""Feedback: votes on answers, and better answers that become examples."""

from __future__ import annotations

from dataclasses import replace

from bot import access
from bot.answer_access import may_rate, requested_turn, require_member_or_asker
from bot.commands import Handlers
from bot.consent import request_consent
from bot.domain import (
    MUST_ANSWER_TAG,
    ExampleState,
    Exclusion,
    MessageId,
    NewExample,
    Origin,
    Role,
    Row,
    Sources,
    Turn,
    Vote,
)
from bot.errors import BadInput, NotNow
from bot.examples.better_answer_form import (
    MUST_ANSWER_FIELD,
    better_answer_form,
    offer_better_answer_form,
)
from bot.examples.message_exchange import (
    fetch_user_details,
    source_messages_of_turn,
    source_of_form,
    turn_with_reply,
)
from bot.examples.row_texts import is_unedited
from bot.examples.teach_form import lesson_form
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records, Store
from bot.replies import NoReply, Reply, Text
from bot.request import Request
from bot.rows import Method, check_row

handlers = Handlers()


GOOD, BAD = 1, -1


@handlers.reaction("👍", Role.STRANGER)
async def vote_good(request: Request, deps: Dependencies) -> Reply:
    await _vote(request, GOOD, store=deps.store)
    return NoReply()


@handlers.reaction("👎", Role.STRANGER)
async def vote_bad(request: Request, deps: Dependencies) -> Reply:
    """Stores a bad vote; the first time, offers a button for the reason and a better answer."""
    turn = await _vote(request, BAD, store=deps.store)
    return NoReply() if turn is None else offer_better_answer_form(request, turn)


@handlers.removed_reaction("👍", Role.STRANGER)
async def remove_good_vote(request: Request, deps: Dependencies) -> Reply:
    return await _unvote(request, GOOD, store=deps.store)


@handlers.removed_reaction("👎", Role.STRANGER)
async def remove_bad_vote(request: Request, deps: Dependencies) -> Reply:
    return await _unvote(request, BAD, store=deps.store)


@handlers.button("feedback.good", Role.STRANGER)
async def vote_good_by_button(request: Request, deps: Dependencies) -> Reply:
    await _click(request, GOOD, store=deps.store)
    return Text(request.words("feedback.thanks"), private=True)


@handlers.button("feedback.bad", Role.STRANGER, opens_form=True)
async def vote_bad_by_button(request: Request, deps: Dependencies) -> Reply:
    """Stores a bad vote and opens the form for the reason and a better answer."""
    return better_answer_form(request, await _click(request, BAD, store=deps.store))


@handlers.button("feedback.why", Role.STRANGER, opens_form=True)
async def feedback_form(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.reading() as records:
        turn = await requested_turn(request, records)
    return better_answer_form(request, turn)


@handlers.shortcut("improve", Role.MEMBER, opens_form=True)
async def improve_form(request: Request, deps: Dependencies) -> Reply:
    """Opens the form of the message shortcut "Improve this reply".

    Raises NotNow for a message that is not an answer of the bot.
    """
    turn = await _require_turn_at(request, request.marked_message().id, store=deps.store)
    return better_answer_form(request, turn)


@handlers.form("feedback", Role.STRANGER)
async def save_feedback(request: Request, deps: Dependencies) -> Reply:
    """Stores the vote with its reason, and the better answer as an example where permitted."""
    reason = request.options.get("reason", "").strip() or None
    better = request.options.get("better", "").strip()
    async with deps.store.writing() as records:
        turn = await requested_turn(request, records)
        await records.turns.put_vote(
            request.workspace_id, Vote(turn.id, request.user_id, BAD, reason, request.now)
        )
    if turn.is_refusal and better and is_unedited(better, turn.reply):
        raise BadInput(problem=request.words("refusal.no_lesson"))
    if not better or request.role is Role.STRANGER:
        return Text(request.words("feedback.thanks"), private=True)
    if turn.place.channel != request.place.channel and request.workspace.platform != "local":
        # Whether the turn's channel is private is only known for events of that channel.
        return Text(request.words("feedback.not_kept"), private=True)
    asker = await fetch_user_details(
        request, turn.asker, deps.surfaces.surface_of(request.workspace_id)
    )
    exclusions = access.learning_exclusions(request.place, [asker, request.user])
    if not _may_teach(request, exclusions):
        return Text(request.words("feedback.not_kept"), private=True)
    async with deps.store.writing() as records:
        reply = await _teach(request, turn, better, exclusions, records)
    await request_consent(request, (asker, request.user), store=deps.store)
    return reply


@handlers.form("prefer", Role.CURATOR, is_for_pages=True)
async def save_preference(request: Request, deps: Dependencies) -> Reply:
    """Stores the answer that a person preferred in a comparison as an example for DPO."""
    question, better, worse = (
        request.options.get(name, "") for name in ("question", "preferred", "rejected")
    )
    if request.options.get("is_refusal") == "yes":
        return lesson_form(request, title="refusal.title", question=question)
    row = _preference(question, better, worse)
    _require_valid_row(request, row, Method.DPO)
    is_curator = request.role >= Role.CURATOR
    example = NewExample(
        assistant=request.assistant.id,
        method=Method.DPO,
        state=ExampleState.APPROVED if is_curator else ExampleState.PROPOSED,
        row=row,
        origin=Origin.STUDIO,
        authors=(request.user_id,),
    )
    async with deps.store.writing() as records:
        stored, is_new = await records.examples.add(request.workspace_id, example, at=request.now)
        if is_new:
            await request.audit(records, f"example.{stored.state}", example=stored.id)
    return Text(request.words("prefer.done", id=stored.id))


async def _vote(request: Request, value: int, *, store: Store) -> Turn | None:
    """Stores a vote by reaction; returns the turn if the vote is new, else None."""
    turn = await turn_with_reply(request, request.clicked_message, store=store)
    if turn is None or not may_rate(request, turn):
        return None
    async with store.writing() as records:
        before = await records.turns.votes(request.workspace_id, turn.id)
        await records.turns.put_vote(
            request.workspace_id, Vote(turn.id, request.user_id, value, None, request.now)
        )
    is_repeated = any(vote.user == request.user_id and vote.value == value for vote in before)
    return None if is_repeated else turn


async def _unvote(request: Request, value: int, *, store: Store) -> Reply:
    turn = await turn_with_reply(request, request.clicked_message, store=store)
    if turn is not None and may_rate(request, turn):
        async with store.writing() as records:
            await records.turns.remove_vote(request.workspace_id, turn.id, request.user_id, value)
    return NoReply()


async def _click(request: Request, value: int, *, store: Store) -> Turn:
    """Stores a vote by button and returns the turn. Raises NotNow and NotForGuests."""
    turn = await _require_turn_at(request, request.clicked_message, store=store)
    require_member_or_asker(request, turn)
    async with store.writing() as records:
        await records.turns.put_vote(
            request.workspace_id, Vote(turn.id, request.user_id, value, None, request.now)
        )
    return turn


async def _require_turn_at(request: Request, message: MessageId | None, *, store: Store) -> Turn:
    turn = await turn_with_reply(request, message, store=store)
    if turn is None:
        raise NotNow(problem=request.words("feedback.not_an_answer"))
    return turn


async def _teach(
    request: Request, turn: Turn, better: str, exclusions: Exclusion, records: Records
) -> Reply:
    """Stores an example with the better answer, and a preference of it over the bot's answer.

    With the option `MUST_ANSWER_FIELD` the example is tagged as one that must be answered, and no
    preference is stored. The turn is marked as resolved; questions similar to it are found when
    the questions to teach are listed.
    """
    _require_valid_row(request, better_answer_row(turn, better), Method.SUPERVISED)
    question_messages = source_messages_of_turn(replace(turn, reply_message=None))
    new = _new_example(request, turn, better_answer_row(turn, better), Method.SUPERVISED)
    may_forbid = request.role >= Role.CURATOR
    is_never_again = may_forbid and request.yes_no_option(MUST_ANSWER_FIELD, default=False)
    tags = (MUST_ANSWER_TAG,) if is_never_again else ()
    new = replace(new, exclusions=exclusions, messages=question_messages, tags=tags)
    example, _ = await records.examples.add(request.workspace_id, new, at=request.now)
    if is_never_again:
        await records.examples.add_tag(request.workspace_id, [example.id], MUST_ANSWER_TAG)
    elif not is_unedited(better, turn.reply):
        preference = replace(new, row=preference_row(turn, better), method=Method.DPO)
        preference = replace(preference, messages=source_messages_of_turn(turn))
        await records.examples.add(request.workspace_id, preference, at=request.now)
    await request.audit(records, f"example.{example.state}", example=example.id)
    workspace, now = request.workspace_id, request.now
    await records.answer_stats.mark_taught_or_dismissed(workspace, [turn.id], example.id, at=now)
    details = {"turn": turn.id, "example": example.id}
    await records.audit.add(workspace, request.user_id, "question.taught", at=now, **details)
    key = "feedback.taught" if example.state is ExampleState.APPROVED else "feedback.proposed"
    key = "must.marked" if is_never_again else key
    return Text(request.words(key, id=example.id))


def better_answer_row(turn: Turn, better: str) -> Row:
    return {
        "messages": [
            {"role": "user", "content": turn.question},
            {"role": "assistant", "content": better},
        ]
    }


def preference_row(turn: Turn, better: str) -> Row:
    return _preference(turn.question, better, turn.reply)


def _preference(question: str, better: str, worse: str) -> Row:
    return {
        "input": {"messages": [{"role": "user", "content": question}]},
        "preferred_output": [{"role": "assistant", "content": better}],
        "non_preferred_output": [{"role": "assistant", "content": worse}],
    }


def _new_example(request: Request, turn: Turn, row: Row, method: Method) -> NewExample:
    """Returns an example of a turn by its asker and the user; approved for a curator."""
    is_local = request.workspace.platform == "local"
    is_curator = request.role >= Role.CURATOR
    return NewExample(
        assistant=turn.assistant,
        method=method,
        state=ExampleState.APPROVED if is_curator else ExampleState.PROPOSED,
        row=row,
        origin=Origin.CONSOLE if is_local else Origin.MESSAGE,
        authors=tuple(dict.fromkeys((turn.asker, request.user_id))),
        source=source_of_form(request),
    )


def _may_teach(request: Request, exclusions: Exclusion) -> bool:
    """Whether the workspace may learn from the question, which is a chat message."""
    if request.workspace.platform == "local":
        return True
    may_learn = request.workspace.sources >= Sources.MESSAGES
    return may_learn and exclusions in request.workspace.allowed


def _require_valid_row(request: Request, row: Row, method: Method) -> None:
    """Raises BadInput for a row that breaks a published rule of its training method."""
    problem = check_row(row, method)
    if problem is not None:
        raise BadInput(problem=request.words.problem_text(problem))
