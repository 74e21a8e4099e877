"""What to teach next: questions that nobody answered well, alike ones together, the most first.

What was asked in one channel is shown in that channel alone; the operator sees all, as in every
list.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot import references
from bot.commands import Handlers
from bot.domain import ExampleId, Role, TurnId, UnansweredTurn
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
_LOOKED_AT = 500
"""Recent answers that are read for words of refusal, beyond those that are marked as such."""
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


@handlers.command("assistant teach-next", Role.CURATOR, is_private=True)
async def listing(request: Request, deps: Dependencies) -> Reply:
    """The questions that most people did not get a good answer to."""
    return await _page(request, deps, first=0)


@handlers.button("unanswered.more", Role.CURATOR, is_private=True)
async def more(request: Request, deps: Dependencies) -> Reply:
    return await _page(request, deps, first=_number(request))


@handlers.button("unanswered.dismiss", Role.CURATOR)
async def dismiss(request: Request, deps: Dependencies) -> Reply:
    """Nothing is to be taught about it; the questions leave the list for good."""
    closed = await close_alike(request, TurnId(_number(request)), None, deps)
    if not closed:
        raise NotFound(noun="answer", name=request.argument)
    return Text(request.words("unanswered.dismissed", count=closed), private=True)


async def close_alike(
    request: Request, turn: TurnId, example: ExampleId | None, deps: Dependencies
) -> int:
    """The question of a turn and those alike leave the list; how many there were in it.

    They come back where the example that answers them is rejected or withdrawn.
    """
    async with deps.store.reading() as records:
        found = await _unanswered(request, records)
    gap = next((one for one in await _gaps(found) if turn in {t.id for t in one.turns}), None)
    if gap is None:
        return 0
    async with deps.store.writing() as records:
        closed = [one.id for one in gap.turns]
        await records.answer_stats.mark_resolved(request.id, closed, example, at=request.now)
        what = "question.dismissed" if example is None else "question.taught"
        facts = {"turn": turn, "count": len(closed), "example": example}
        await records.audit.add(request.id, request.by, what, at=request.now, **facts)
    return len(closed)


async def _page(request: Request, deps: Dependencies, *, first: int) -> Reply:
    async with deps.store.reading() as records:
        found = await _unanswered(request, records)
    gaps, words = await _gaps(found), request.words
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


async def _unanswered(request: Request, records: Records) -> Sequence[UnansweredTurn]:
    """What is marked, and of the newest answers those that decline in words."""
    read, since = records.answer_stats.unanswered, request.now - _DAYS
    channel = None if _sees_all(request) else request.place.channel
    where = (request.id, request.assistant.id)
    marked = await read(*where, since=since, channel=channel, limit=_MARKED)
    recent = await read(*where, since=since, channel=channel, is_marked=False, limit=_LOOKED_AT)
    known = {one.id for one in marked}
    said = [one for one in recent if one.id not in known and refusal_in(one.reply)]
    return [one for one in (*marked, *said) if _may_see(request, one)]


def _sees_all(request: Request) -> bool:
    return request.role is Role.OPERATOR or request.workspace.platform == "local"


def _may_see(request: Request, turn: UnansweredTurn) -> bool:
    """A thread may have fewer readers than its channel."""
    return _sees_all(request) or turn.thread in (None, request.place.thread)


async def _gaps(found: Sequence[UnansweredTurn]) -> list[TeachingGap]:
    """Most asked first. A thousand questions take a second or two, so a thread reckons."""
    newest = sorted(found, key=lambda one: one.at, reverse=True)
    together = await asyncio.to_thread(groups, [one.question for one in newest])
    gaps = [TeachingGap([newest[at] for at in group]) for group in together]
    return sorted(gaps, key=lambda gap: -len(gap.turns))


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
