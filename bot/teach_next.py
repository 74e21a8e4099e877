"""What to teach next: questions that nobody answered well, alike ones together, the most first.

A question leaves the list once it is taught, and once another model answers one like it later and
nobody dislikes that. It comes back where the answer of such a model is a refusal or is disliked.
What was asked in one channel is shown in that channel alone; the operator sees all, as in every
list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from bot import references
from bot.commands import Handlers
from bot.domain import Role, TurnId, UnansweredTurn
from bot.errors import NotFound
from bot.evaluation.measures import refusal_in
from bot.likeness import groups
from bot.numerals import whole_number
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Button, Fact, Listing, ListingRow, Reply, Text, one_line
from bot.request import Request

handlers = Handlers()

_PAGE = 10
_DAYS = timedelta(days=90)
_MARKED = 500
_LOOKED_AT = 1000
"""Recent answers that are read beyond those that are marked: good ones, and refusals in words."""
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class TeachingGap:
    """Alike questions that were not answered well, newest first."""

    turns: Sequence[UnansweredTurn]

    @property
    def first(self) -> UnansweredTurn:
        return self.turns[0]

    @property
    def refused(self) -> int:
        return sum(one.is_refusal or not one.dislikes for one in self.turns)

    @property
    def dislikes(self) -> int:
        return sum(one.dislikes for one in self.turns)


@handlers.command("assistant teach-next", Role.CURATOR)
async def list_gaps(request: Request, deps: Dependencies) -> Reply:
    """The questions that most people did not get a good answer to."""
    return await _page(request, deps, first=0)


@handlers.button("unanswered.more", Role.CURATOR)
async def more(request: Request, deps: Dependencies) -> Reply:
    return await _page(request, deps, first=_number(request))


@handlers.button("unanswered.dismiss", Role.CURATOR)
async def dismiss(request: Request, deps: Dependencies) -> Reply:
    """Nothing is to be taught about it; the questions leave the list for good."""
    turn = _number(request)
    gaps = await _gaps(request, deps)
    closed = next((g for gap in gaps if turn in (g := [one.id for one in gap.turns])), None)
    if closed is None:
        raise NotFound(noun="answer", name=request.argument)
    async with deps.store.writing() as records:
        await records.answer_stats.mark_resolved(request.id, closed, None, at=request.now)
        facts = {"turn": turn, "count": len(closed)}
        await records.audit.add(
            request.id, request.by, "question.dismissed", at=request.now, **facts
        )
    return Text(request.words("unanswered.dismissed", count=len(closed)), private=True)


async def _page(request: Request, deps: Dependencies, *, first: int) -> Reply:
    gaps, words = await _gaps(request, deps), request.words
    shown = gaps[first : first + _PAGE]
    last = first + len(shown)
    more_button = Button(words("list.more"), f"unanswered.more:{last}")
    return Listing(
        words("unanswered.title"),
        tuple(_row(request, gap) for gap in shown),
        empty=words("unanswered.empty"),
        note="" if _sees_all(request) else words("unanswered.here"),
        more=more_button if last < len(gaps) else None,
        total=len(gaps),
        private=True,
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """Those that are not good, those of them that were taught since, and the good ones."""

    bad: Sequence[UnansweredTurn]
    taught: Sequence[UnansweredTurn]
    good: Sequence[UnansweredTurn]


async def _answers(request: Request, records: Records) -> _Answers:
    """What is marked, and the newest of all others, some of which decline in words."""
    read = partial(
        records.answer_stats.unanswered_turns,
        request.id,
        request.assistant.id,
        since=request.now - _DAYS,
        channel=None if _sees_all(request) else request.place.channel,
    )
    marked, taught = await read(limit=_MARKED), await read(is_taught=True, limit=_MARKED)
    known = {one.id for one in marked}
    others = [one for one in await read(is_marked=False, limit=_LOOKED_AT) if one.id not in known]
    declined = {one.id for one in others if refusal_in(one.reply)}
    bad = [*marked, *(one for one in others if one.id in declined)]
    return _Answers(
        bad=[one for one in bad if _may_see(request, one)],
        taught=[one for one in taught if _may_see(request, one)],
        good=[one for one in others if one.id not in declined and _may_see(request, one)],
    )


def _sees_all(request: Request) -> bool:
    return request.role is Role.OPERATOR or request.workspace.platform == "local"


def _may_see(request: Request, turn: UnansweredTurn) -> bool:
    """A thread may have fewer readers than its channel."""
    return _sees_all(request) or turn.thread in (None, request.place.thread)


async def _gaps(request: Request, deps: Dependencies) -> list[TeachingGap]:
    """Most asked first. What another model has answered since is over for good."""
    async with deps.store.reading() as records:
        found = await _answers(request, records)
    # Two thousand questions take seconds, so a thread computes.
    gaps, answered = await asyncio.to_thread(_sorted_out, found)
    if answered:
        async with deps.store.writing() as records:
            await records.answer_stats.mark_resolved(request.id, answered, None, at=request.now)
    return sorted(gaps, key=lambda gap: -len(gap.turns))


def _sorted_out(found: _Answers) -> tuple[list[TeachingGap], list[TurnId]]:
    """The gaps there are, and the questions that another model has answered since."""
    bad = sorted(found.bad, key=lambda one: one.at, reverse=True)
    turns = [*bad, *found.taught, *found.good]
    first_good = len(turns) - len(found.good)
    gaps, answered = list[TeachingGap](), list[TurnId]()
    for group in groups([one.question for one in turns]):
        good = [turns[at] for at in group if at >= first_good]
        taught = [turns[at] for at in group if len(bad) <= at < first_good]
        # What was taught waits for another model; that the same one declines again is no news.
        waiting = {one.model for one in taught}
        until = max((one.taught_at for one in taught if one.taught_at), default=None)
        own = [turns[at] for at in group if at < len(bad)]
        over = {
            one.id
            for one in own
            if any(other.model != one.model and other.at > one.at for other in good)
        }
        answered += over
        fresh = [one for one in own if one.model not in waiting and not (until and one.at <= until)]
        left = [one for one in fresh if one.id not in over]
        gaps += [TeachingGap(left)] if left else []
    return gaps, answered


def _row(request: Request, gap: TeachingGap) -> ListingRow:
    words, first = request.words, gap.first
    notes = [words("unanswered.asked", count=len(gap.turns))]
    notes += [words("unanswered.refused", count=gap.refused)] if gap.refused else []
    notes += [words("unanswered.disliked", count=gap.dislikes)] if gap.dislikes else []
    notes.append(words("unanswered.last", at=references.moment(first.at)))
    dismiss_button = Button(words("button.dismiss"), f"unanswered.dismiss:{first.id}")
    answer = Button(words("button.write_answer"), f"feedback.why:{first.id}", is_primary=True)
    is_here = request.workspace.platform == "local" or first.channel == request.place.channel
    if not is_here:
        notes.append(words("unanswered.elsewhere", channel=references.channel(first.channel)))
    return ListingRow(
        str(first.id),
        one_line(first.question, _LONGEST),
        " · ".join(notes),
        buttons=(answer, dismiss_button) if is_here else (dismiss_button,),
        facts=(
            Fact(words("unanswered.count"), str(len(gap.turns)), "count"),
            Fact(words("part.answer"), one_line(first.reply, _LONGEST), "reply"),
        ),
    )


def _number(request: Request) -> int:
    try:
        return whole_number(request.argument)
    except ValueError:
        raise NotFound(noun="answer", name=request.argument) from None
