"""Feedback: a vote on a reply, and the better answer that becomes the next lesson."""

from __future__ import annotations

from dataclasses import replace

from bot import access
from bot.answer_access import may_rate, requested_turn, require_member_or_asker
from bot.commands import Handlers
from bot.domain import (
    MUST_ANSWER,
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
from bot.examples.better_answer import NEVER_AGAIN, better_answer_form, offer_form
from bot.examples.exchange import described_by_platform, form_source, messages_of, turn_at
from bot.examples.states import ask_authors
from bot.examples.texts import is_same
from bot.examples.typed_examples import lesson_form
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
    """Offers the "Tell us why" button once."""
    turn = await _vote(request, BAD, store=deps.store)
    return NoReply() if turn is None else offer_form(request, turn)


@handlers.unreaction("👍", Role.STRANGER)
async def unvote_good(request: Request, deps: Dependencies) -> Reply:
    return await _unvote(request, GOOD, store=deps.store)


@handlers.unreaction("👎", Role.STRANGER)
async def unvote_bad(request: Request, deps: Dependencies) -> Reply:
    return await _unvote(request, BAD, store=deps.store)


@handlers.button("feedback.good", Role.STRANGER)
async def click_good(request: Request, deps: Dependencies) -> Reply:
    await _click(request, GOOD, store=deps.store)
    return Text(request.words("feedback.thanks"), private=True)


@handlers.button("feedback.bad", Role.STRANGER, opens_form=True)
async def click_bad(request: Request, deps: Dependencies) -> Reply:
    """A click can open the form at once."""
    return better_answer_form(request, await _click(request, BAD, store=deps.store))


@handlers.button("feedback.why", Role.STRANGER, opens_form=True)
async def feedback_form(request: Request, deps: Dependencies) -> Reply:
    async with deps.store.reading() as records:
        turn = await requested_turn(request, records)
    return better_answer_form(request, turn)


@handlers.shortcut("improve", Role.MEMBER, opens_form=True)
async def improve_form(request: Request, deps: Dependencies) -> Reply:
    """The message shortcut "Improve this reply". Raises NotNow where it is no answer."""
    turn = await _answer_at(request, request.marked_message().id, store=deps.store)
    return better_answer_form(request, turn)


@handlers.form("feedback", Role.STRANGER)
async def save_feedback(request: Request, deps: Dependencies) -> Reply:
    """The reason stays with the vote; a better answer becomes a lesson where that is permitted."""
    reason = request.options.get("reason", "").strip() or None
    better = request.options.get("better", "").strip()
    async with deps.store.writing() as records:
        turn = await requested_turn(request, records)
        await records.turns.vote(
            request.workspace_id, Vote(turn.id, request.user_id, BAD, reason, request.now)
        )
    if turn.is_refusal and better and is_same(better, turn.reply):
        raise BadInput(problem=request.words("refusal.no_lesson"))
    if not better or request.role is Role.STRANGER:
        return Text(request.words("feedback.thanks"), private=True)
    if turn.place.channel != request.place.channel and request.workspace.platform != "local":
        # How open the channel is in which it was said is known only there.
        return Text(request.words("feedback.not_kept"), private=True)
    asker = await described_by_platform(request, turn.asker, deps.surfaces.of(request.workspace_id))
    found = access.exclusions(request.place, [asker, request.user])
    if not _may_teach(request, found):
        return Text(request.words("feedback.not_kept"), private=True)
    async with deps.store.writing() as records:
        reply = await _teach(request, turn, better, found, records)
    await ask_authors(request, (asker, request.user), store=deps.store)
    return reply


@handlers.form("prefer", Role.CURATOR, is_for_pages=True)
async def save_preference(request: Request, deps: Dependencies) -> Reply:
    """Of two answers to one question the better one, picked in a comparison."""
    question, better, worse = (
        request.options.get(n, "") for n in ("question", "preferred", "rejected")
    )
    if request.options.get("is_refusal") == "yes":
        return lesson_form(request, title="refusal.title", question=question)
    row = _preference(question, better, worse)
    _refuse_bad(request, row, Method.DPO)
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
        kept, is_new = await records.examples.add(request.workspace_id, example, at=request.now)
        if is_new:
            await request.audit(records, f"example.{kept.state}", example=kept.id)
    return Text(request.words("prefer.done", id=kept.id))


async def _vote(request: Request, value: int, *, store: Store) -> Turn | None:
    """Stores a vote by reaction; the answer, where this vote on it is new."""
    turn = await turn_at(request, request.clicked_message, store=store)
    if turn is None or not may_rate(request, turn):
        return None
    async with store.writing() as records:
        before = await records.turns.votes(request.workspace_id, turn.id)
        await records.turns.vote(
            request.workspace_id, Vote(turn.id, request.user_id, value, None, request.now)
        )
    is_known = any(one.user == request.user_id and one.value == value for one in before)
    return None if is_known else turn


async def _unvote(request: Request, value: int, *, store: Store) -> Reply:
    turn = await turn_at(request, request.clicked_message, store=store)
    if turn is not None and may_rate(request, turn):
        async with store.writing() as records:
            await records.turns.unvote(request.workspace_id, turn.id, request.user_id, value)
    return NoReply()


async def _click(request: Request, value: int, *, store: Store) -> Turn:
    """Stores a vote by button and returns the answer that was voted on."""
    turn = await _answer_at(request, request.clicked_message, store=store)
    require_member_or_asker(request, turn)
    async with store.writing() as records:
        await records.turns.vote(
            request.workspace_id, Vote(turn.id, request.user_id, value, None, request.now)
        )
    return turn


async def _answer_at(request: Request, message: MessageId | None, *, store: Store) -> Turn:
    turn = await turn_at(request, message, store=store)
    if turn is None:
        raise NotNow(problem=request.words("feedback.not_an_answer"))
    return turn


async def _teach(
    request: Request, turn: Turn, better: str, found: Exclusion, records: Records
) -> Reply:
    """An example of the better answer, and a preference of it over the bot's own.

    The question is taught; what is alike is found when the questions to teach are listed.
    """
    _refuse_bad(request, example_row(turn, better), Method.SUPERVISED)
    asked = messages_of(replace(turn, reply_message=None))
    new = _new(request, turn, example_row(turn, better), Method.SUPERVISED)
    may_forbid = request.role >= Role.CURATOR
    is_never_again = may_forbid and request.yes_no_option(NEVER_AGAIN, default=False)
    tags = (MUST_ANSWER,) if is_never_again else ()
    new = replace(new, exclusions=found, messages=asked, tags=tags)
    example, _ = await records.examples.add(request.workspace_id, new, at=request.now)
    if is_never_again:
        await records.examples.add_tag(request.workspace_id, [example.id], MUST_ANSWER)
    elif not is_same(better, turn.reply):
        other = replace(new, row=preference_row(turn, better), method=Method.DPO)
        other = replace(other, messages=messages_of(turn))
        await records.examples.add(request.workspace_id, other, at=request.now)
    await request.audit(records, f"example.{example.state}", example=example.id)
    own, at = request.workspace_id, request.now
    await records.answer_stats.mark_resolved(own, [turn.id], example.id, at=at)
    taught = {"turn": turn.id, "example": example.id}
    await records.audit.add(own, request.user_id, "question.taught", at=at, **taught)
    key = "feedback.taught" if example.state is ExampleState.APPROVED else "feedback.proposed"
    key = "must.marked" if is_never_again else key
    return Text(request.words(key, id=example.id))


def example_row(turn: Turn, better: str) -> Row:
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


def _new(request: Request, turn: Turn, row: Row, method: Method) -> NewExample:
    is_local = request.workspace.platform == "local"
    is_curator = request.role >= Role.CURATOR
    return NewExample(
        assistant=turn.assistant,
        method=method,
        state=ExampleState.APPROVED if is_curator else ExampleState.PROPOSED,
        row=row,
        origin=Origin.CONSOLE if is_local else Origin.MESSAGE,
        authors=tuple(dict.fromkeys((turn.asker, request.user_id))),
        source=form_source(request),
    )


def _may_teach(request: Request, found: Exclusion) -> bool:
    """The question came as a chat message, so its text needs the widest permission."""
    if request.workspace.platform == "local":
        return True
    return request.workspace.sources >= Sources.MESSAGES and found in request.workspace.allowed


def _refuse_bad(request: Request, row: Row, method: Method) -> None:
    problem = check_row(row, method)
    if problem is not None:
        raise BadInput(problem=request.words.problem(problem))
