"""Questions that nobody answered well: alike ones together, and which of them a model closes.

A question is left once it is taught, and once another model answers one like it later and nobody
dislikes that. It comes back where the answer of such a model is a refusal or is disliked. What the
model in use answered in an evaluation counts as what it answers to people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from bot.domain import (
    AssistantId,
    CallState,
    ChannelId,
    GapOutcome,
    GapQuestion,
    ModelName,
    TurnId,
    UnansweredTurn,
    WorkspaceId,
)
from bot.evaluation.measures import RIGHT_FROM, chrf, refusal_in, scores
from bot.ports.metered_calls import Answer
from bot.ports.store import Records, Store
from bot.text_similarity import group_alike_texts

MOST_GAPS = 50
"""Questions that an evaluation puts to its new model beside the held-out ones."""
_WINDOW = timedelta(days=90)
_MOST_MARKED = 500
_MOST_OTHERS = 1000
"""Recent answers that are read beyond those that are marked: good ones, and refusals in words."""


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


@dataclass(frozen=True, slots=True)
class RecentAnswers:
    """Those that are not good, those of them that were taught since, and the good ones."""

    bad: Sequence[UnansweredTurn]
    taught: Sequence[UnansweredTurn]
    good: Sequence[UnansweredTurn]


async def recent_answers(
    records: Records,
    workspace: WorkspaceId,
    assistant: AssistantId,
    model: ModelName,
    *,
    now: datetime,
    channel: ChannelId | None = None,
) -> RecentAnswers:
    """What is marked, the newest of all others, and what `model` answered in evaluations.

    With `channel` only what was asked there.
    """
    since = now - _WINDOW
    read = partial(
        records.answer_stats.unanswered_turns, workspace, assistant, since=since, channel=channel
    )
    marked, taught = await read(limit=_MOST_MARKED), await read(is_taught=True, limit=_MOST_MARKED)
    known = {one.id for one in marked}
    others = [one for one in await read(is_marked=False, limit=_MOST_OTHERS) if one.id not in known]
    declined = {one.id for one in others if refusal_in(one.reply)}
    bad = [*marked, *(one for one in others if one.id in declined)]
    evaluated = await records.evaluation_gaps.of_model(workspace, assistant, model, since=since)
    here = [one for one in evaluated if channel in (None, one.channel)]
    again = known | declined
    return RecentAnswers(
        bad=[*bad, *(one for one in here if one.is_refusal and one.id not in again)],
        taught=taught,
        good=[
            *(one for one in others if one.id not in declined),
            *(one for one in here if not one.is_refusal),
        ],
    )


async def find_gaps(found: RecentAnswers) -> tuple[list[TeachingGap], list[TurnId]]:
    """Returns the gaps, most asked first, and the turns that another model has answered since.

    Takes seconds for two thousand questions, so no transaction may be open.
    """
    gaps, answered = await asyncio.to_thread(_group_gaps, found)
    return sorted(gaps, key=lambda gap: -len(gap.turns)), answered


def _group_gaps(found: RecentAnswers) -> tuple[list[TeachingGap], list[TurnId]]:
    bad = sorted(found.bad, key=lambda one: one.at, reverse=True)
    turns = [*bad, *found.taught, *found.good]
    first_good = len(turns) - len(found.good)
    gaps, answered = list[TeachingGap](), list[TurnId]()
    for group in group_alike_texts([one.question for one in turns]):
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


async def questions_for(
    store: Store,
    workspace: WorkspaceId,
    assistant: AssistantId,
    model: ModelName,
    *,
    now: datetime,
) -> Sequence[UnansweredTurn]:
    """Returns the first question of each gap and those taught since that `model` was not asked."""
    own = workspace, assistant, model
    async with store.reading() as records:
        found = await recent_answers(records, *own, now=now)
        asked = await records.evaluation_gaps.of_model(
            *own, since=now - _WINDOW, outcomes=tuple(GapOutcome)
        )
    gaps, _ = await find_gaps(found)
    known = {one.id for one in asked}
    wanted = [*(gap.first for gap in gaps), *found.taught]
    fresh = [one for one in wanted if one.model != model and one.id not in known]
    return fresh[:MOST_GAPS]


def waiting_gaps(turns: Sequence[UnansweredTurn]) -> list[GapQuestion]:
    return [GapQuestion(one.id, CallState.WAITING, one.taught_by) for one in turns]


def outcome_of(answer: Answer, *, reference: str, is_taught: bool) -> GapOutcome:
    """What a whole answer is worth beside the taught reply, else beside the one that was no good.

    It is right where it comes near enough to the one, or is not the other once more.
    """
    declines = answer.is_refusal or refusal_in(answer.text)
    if declines and not (is_taught and refusal_in(reference)):
        return GapOutcome.DECLINED
    is_near = _is_near(reference, answer, is_taught=is_taught)
    return GapOutcome.ANSWERED if is_near is is_taught else GapOutcome.OTHER


def _is_near(reference: str, answer: Answer, *, is_taught: bool) -> bool:
    if not is_taught:
        return chrf(reference, answer.text) >= RIGHT_FROM
    score = scores(reference, answer.text, is_refusal=answer.is_refusal)["score"]
    return isinstance(score, float) and score >= RIGHT_FROM
