"""Feedback: a vote on a reply, and the better answer that becomes the next lesson."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bot import access, examples
from bot.domain import (
    ExampleState,
    Exclusion,
    MessageId,
    NewExample,
    Origin,
    Role,
    Row,
    Sources,
    Turn,
    TurnId,
    Vote,
)
from bot.errors import BadInput, NotForGuests, NotFound, NotNow
from bot.events import ReactionChanged
from bot.numerals import whole_number
from bot.ports.store import Records, Store
from bot.ports.surface import Surface
from bot.replies import Button, Field, FieldKind, Form, NoReply, Reply, Text
from bot.request import Request
from bot.rows import Method, check_row

GOOD, BAD = 1, -1
_NOTE = 300
"""Characters of a question that are shown above the answer to be written."""


async def instead_of_refusal(ask: Request, message: MessageId, *, store: Store) -> Reply | None:
    """What to do where a refusal is marked as a lesson: ask for the answer; None if it is none.

    A shortcut opens the form at once; a reaction cannot, so it gets a button.
    """
    turn = await _turn_at(ask, message, store=store)
    if turn is None or not turn.is_refusal:
        return None
    if isinstance(ask.event.what, ReactionChanged):
        return _offer(ask, turn)
    return _form(ask, turn)


def _offer(ask: Request, turn: Turn) -> Text:
    title = "refusal.title" if turn.is_refusal else "feedback.tell_why"
    text = "refusal.no_lesson" if turn.is_refusal else "feedback.sorry"
    button = Button(ask.words(title), f"feedback.why:{turn.id}")
    return Text(ask.words(text), private=True, buttons=(button,))


async def vote(ask: Request, value: int, *, store: Store) -> Reply:
    """A reaction; a 👎 offers the "Tell us why" button once."""
    turn = await _turn_at(ask, ask.clicked, store=store)
    if turn is None or not _may_rate(ask, turn):
        return NoReply()
    async with store.writing() as records:
        before = await records.turns.votes(ask.id, turn.id)
        await records.turns.vote(ask.id, Vote(turn.id, ask.by, value, None, ask.now))
    if value == GOOD or any(one.user == ask.by and one.value == BAD for one in before):
        return NoReply()
    return _offer(ask, turn)


async def unvote(ask: Request, value: int, *, store: Store) -> Reply:
    """The reaction was taken off again."""
    turn = await _turn_at(ask, ask.clicked, store=store)
    if turn is not None and _may_rate(ask, turn):
        async with store.writing() as records:
            await records.turns.unvote(ask.id, turn.id, ask.by, value)
    return NoReply()


async def click(ask: Request, value: int, *, store: Store) -> Reply:
    """The feedback buttons under an answer; a click can open the form at once."""
    turn = await _turn_at(ask, ask.clicked, store=store)
    if turn is None:
        raise NotNow(problem=ask.words("feedback.not_an_answer"))
    _require_own(ask, turn)
    async with store.writing() as records:
        await records.turns.vote(ask.id, Vote(turn.id, ask.by, value, None, ask.now))
    if value == BAD:
        return _form(ask, turn)
    return Text(ask.words("feedback.thanks"), private=True)


async def why_form(ask: Request, *, store: Store) -> Reply:
    async with store.reading() as records:
        turn = await _turn_named(ask, records)
    return _form(ask, turn)


async def improve_form(ask: Request, message: MessageId, *, store: Store) -> Reply:
    """The message shortcut "Improve this reply"."""
    turn = await _turn_at(ask, message, store=store)
    if turn is None:
        raise NotNow(problem=ask.words("feedback.not_an_answer"))
    return _form(ask, turn)


async def submitted(
    ask: Request, values: Mapping[str, str], *, store: Store, surface: Surface
) -> Reply:
    """The reason stays with the vote; a better answer becomes a lesson where that is permitted."""
    reason = values.get("reason", "").strip() or None
    better = values.get("better", "").strip()
    async with store.writing() as records:
        turn = await _turn_named(ask, records)
        await records.turns.vote(ask.id, Vote(turn.id, ask.by, BAD, reason, ask.now))
    if turn.is_refusal and better and examples.is_same(better, turn.reply):
        raise BadInput(problem=ask.words("refusal.no_lesson"))
    if not better or ask.role is Role.STRANGER:
        return Text(ask.words("feedback.thanks"), private=True)
    if turn.place.channel != ask.place.channel and ask.workspace.platform != "local":
        # How open the channel is in which it was said is known only there.
        return Text(ask.words("feedback.not_kept"), private=True)
    asker = await examples.described(ask, turn.asker, surface)
    found = access.exclusions(ask.place, [asker, ask.user])
    if not _may_teach(ask, found):
        return Text(ask.words("feedback.not_kept"), private=True)
    async with store.writing() as records:
        return await _teach(ask, turn, better, found, records)


async def prefer(ask: Request, values: Mapping[str, str], *, store: Store) -> Reply:
    """Of two answers to one question the better one, picked in a comparison."""
    question, better, worse = (values.get(n, "") for n in ("question", "preferred", "rejected"))
    if values.get("is_refusal") == "yes":
        return examples.teach_form(ask.words, title="refusal.title", question=question)
    row = _preference(question, better, worse)
    _refuse_bad(ask, row, Method.DPO)
    is_curator = ask.role >= Role.CURATOR
    example = NewExample(
        assistant=ask.assistant.id,
        method=Method.DPO,
        state=ExampleState.APPROVED if is_curator else ExampleState.PROPOSED,
        row=row,
        origin=Origin.STUDIO,
        authors=(ask.by,),
    )
    async with store.writing() as records:
        kept, is_new = await records.examples.add(ask.id, example, at=ask.now)
        if is_new:
            await records.audit.add(
                ask.id, ask.by, f"example.{kept.state}", at=ask.now, example=kept.id
            )
    return Text(ask.words("prefer.done", id=kept.id))


async def _teach(
    ask: Request, turn: Turn, better: str, found: Exclusion, records: Records
) -> Reply:
    """An example of the better answer, and a preference of it over the bot's own."""
    _refuse_bad(ask, example_row(turn, better), Method.SUPERVISED)
    asked = examples.messages_of(replace(turn, message=None))
    new = _new(ask, turn, example_row(turn, better), Method.SUPERVISED)
    new = replace(new, exclusions=found, messages=asked)
    example, _ = await records.examples.add(ask.id, new, at=ask.now)
    if not examples.is_same(better, turn.reply):
        other = replace(new, row=preference_row(turn, better), method=Method.DPO)
        other = replace(other, messages=examples.messages_of(turn))
        await records.examples.add(ask.id, other, at=ask.now)
    await records.audit.add(
        ask.id, ask.by, f"example.{example.state}", at=ask.now, example=example.id
    )
    key = "feedback.taught" if example.state is ExampleState.APPROVED else "feedback.proposed"
    return Text(ask.words(key, id=example.id))


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


def _new(ask: Request, turn: Turn, row: Row, method: Method) -> NewExample:
    is_local = ask.workspace.platform == "local"
    is_curator = ask.role >= Role.CURATOR
    return NewExample(
        assistant=turn.assistant,
        method=method,
        state=ExampleState.APPROVED if is_curator else ExampleState.PROPOSED,
        row=row,
        origin=Origin.CONSOLE if is_local else Origin.MESSAGE,
        authors=tuple(dict.fromkeys((turn.asker, ask.by))),
    )


def _may_teach(ask: Request, found: Exclusion) -> bool:
    """The question came as a chat message, so its text needs the widest permission."""
    if ask.workspace.platform == "local":
        return True
    return ask.workspace.sources >= Sources.MESSAGES and found in ask.workspace.allowed


def _refuse_bad(ask: Request, row: Row, method: Method) -> None:
    problem = check_row(row, method)
    if problem is not None:
        raise BadInput(problem=ask.words.problem(problem))


def _form(ask: Request, turn: Turn) -> Form:
    """Strangers say only why: what they write is no lesson. A refusal is nothing to start from."""
    words = ask.words
    if turn.is_refusal and ask.role is not Role.STRANGER:
        return Form(
            id=f"feedback:{turn.id}",
            title=words("refusal.title"),
            fields=(Field("better", words("feedback.better"), FieldKind.TEXT),),
            submit=words("feedback.submit"),
            note=turn.question[:_NOTE],
            again=f"feedback.why:{turn.id}",
        )
    reason = Field("reason", words("feedback.reason"), FieldKind.TEXT, required=False)
    better = Field("better", words("feedback.better"), FieldKind.TEXT, turn.reply, required=False)
    return Form(
        id=f"feedback:{turn.id}",
        title=words("feedback.title"),
        fields=(reason,) if ask.role is Role.STRANGER else (reason, better),
        submit=words("feedback.submit"),
        again=f"feedback.why:{turn.id}",
    )


async def _turn_named(ask: Request, records: Records) -> Turn:
    """The turn that a form or button names, for those who could read it.

    They stand in its channel, or asked, or have rated it there before. Raises NotFound.
    """
    turn = await records.turns.get(ask.id, _turn_id(ask))
    _require_own(ask, turn)
    if _is_here(ask, turn) or turn.asker == ask.by:
        return turn
    if not any(vote.user == ask.by for vote in await records.turns.votes(ask.id, turn.id)):
        raise NotFound(noun="answer", name=ask.argument)
    return turn


def _is_here(ask: Request, turn: Turn) -> bool:
    """A thread may have fewer readers than its channel."""
    there, here = turn.place, ask.place
    is_open = there.channel == here.channel and there.thread in (None, here.thread)
    return is_open or ask.role is Role.OPERATOR


def _require_own(ask: Request, turn: Turn) -> None:
    """Raises NotForGuests for a stranger who did not get this answer where strangers may ask."""
    if not _may_rate(ask, turn):
        raise NotForGuests


def _may_rate(ask: Request, turn: Turn) -> bool:
    is_own = turn.asker == ask.by and ask.may_ask
    return is_own or ask.role > Role.STRANGER


def _turn_id(ask: Request) -> TurnId:
    try:
        return TurnId(whole_number(ask.argument))
    except ValueError:
        raise NotFound(noun="answer", name=ask.argument) from None


async def _turn_at(ask: Request, message: MessageId | None, *, store: Store) -> Turn | None:
    if message is None:
        return None
    async with store.reading() as records:
        return await records.turns.by_message(ask.id, ask.place.channel, message)
