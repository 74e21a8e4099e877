"""`/tune assistant teach-next`: lists similar questions without a good answer, most asked first.

What was asked in one channel is shown in that channel alone; the operator sees all, as in every
list.
"""

from __future__ import annotations

from bot.answer_access import is_visible_here, turn_id
from bot.commands import Handlers
from bot.domain import ChannelId, MessageId, Role
from bot.errors import NotFound
from bot.mentions_and_times import channel_reference, time_reference
from bot.number_formats import parse_number_argument
from bot.ports.dependencies import Dependencies
from bot.replies import Button, Fact, Listing, ListingRow, Reply, Text, one_line
from bot.request import Request
from bot.teach_next.gaps import RecentAnswers, TeachingGap, find_gaps, recent_answers

handlers = Handlers()

_PAGE = 10
_MAX_TEXT_LENGTH = 300


@handlers.command("assistant teach-next", Role.CURATOR)
async def list_gaps(request: Request, deps: Dependencies) -> Reply:
    """The questions that most people did not get a good answer to."""
    return await _page(request, deps, first=0)


@handlers.button("unanswered.more", Role.CURATOR)
async def list_more_gaps(request: Request, deps: Dependencies) -> Reply:
    return await _page(request, deps, first=parse_number_argument(request.argument, "button"))


@handlers.button("unanswered.dismiss", Role.CURATOR)
async def dismiss_gap(request: Request, deps: Dependencies) -> Reply:
    """Nothing is to be taught about it; the questions leave the list for good."""
    turn = turn_id(request)
    gaps = await _gaps(request, deps)
    closed = next((g for gap in gaps if turn in (g := [one.id for one in gap.turns])), None)
    if closed is None:
        raise NotFound(noun="answer", name=request.argument)
    async with deps.store.writing() as records:
        await records.answer_stats.mark_taught_or_dismissed(
            request.workspace_id, closed, None, at=request.now
        )
        facts = {"turn": turn, "count": len(closed)}
        await request.audit(records, "question.dismissed", **facts)
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
        note="" if sees_all_channels(request) else words("unanswered.here"),
        more=more_button if last < len(gaps) else None,
        total=len(gaps),
        private=True,
    )


def sees_all_channels(request: Request) -> bool:
    return request.role is Role.OPERATOR or request.workspace.platform == "local"


def may_see_question(request: Request, channel: ChannelId, thread: MessageId | None) -> bool:
    return sees_all_channels(request) or is_visible_here(request, channel, thread)


async def _gaps(request: Request, deps: Dependencies) -> list[TeachingGap]:
    """Most asked first. What another model has answered since is over for good."""
    assistant = request.assistant
    async with deps.store.reading() as records:
        current = await records.deployments.current(request.workspace_id, assistant.id)
        found = await recent_answers(
            records,
            request.workspace_id,
            assistant.id,
            current.model if current else assistant.base,
            now=request.now,
            channel=None if sees_all_channels(request) else request.place.channel,
        )
    bad, taught, good = (
        [one for one in part if may_see_question(request, one.channel, one.thread)]
        for part in (found.bad, found.taught, found.good)
    )
    gaps, answered = await find_gaps(RecentAnswers(bad, taught, good))
    if answered:
        async with deps.store.writing() as records:
            await records.answer_stats.mark_taught_or_dismissed(
                request.workspace_id, answered, None, at=request.now
            )
    return gaps


def _row(request: Request, gap: TeachingGap) -> ListingRow:
    words, first = request.words, gap.newest_turn
    notes = [words("unanswered.asked", count=len(gap.turns))]
    notes += [words("unanswered.refused", count=gap.refusal_count)] if gap.refusal_count else []
    notes += [words("unanswered.disliked", count=gap.dislike_count)] if gap.dislike_count else []
    notes.append(words("unanswered.last", at=time_reference(first.at)))
    dismiss_button = Button(words("button.dismiss"), f"unanswered.dismiss:{first.id}")
    answer = Button(words("button.write_answer"), f"feedback.why:{first.id}", is_primary=True)
    is_here = request.workspace.platform == "local" or first.channel == request.place.channel
    if not is_here:
        notes.append(words("unanswered.elsewhere", channel=channel_reference(first.channel)))
    return ListingRow(
        str(first.id),
        one_line(first.question, _MAX_TEXT_LENGTH),
        " · ".join(notes),
        buttons=(answer, dismiss_button) if is_here else (dismiss_button,),
        facts=(
            Fact(words("unanswered.count"), str(len(gap.turns)), "count"),
            Fact(words("part.answer"), one_line(first.reply, _MAX_TEXT_LENGTH), "reply"),
        ),
    )
