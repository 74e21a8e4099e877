"""Groups similar questions without a good answer into gaps, and decides when a gap is closed.

A question leaves its gap once it is taught, or once another model answers a similar question later
without a dislike. It returns if that model's answer is a refusal or disliked. Answers of the model
in use within an evaluation count like its answers to people.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from bot.domain import (
    AssistantId,
    ChannelId,
    ModelName,
    TurnId,
    UnansweredTurn,
    WorkspaceId,
)
from bot.ports.store import Records
from bot.refusals import starts_with_refusal
from bot.text_similarity import group_similar_texts

GAP_PERIOD = timedelta(days=90)
"""Time that questions without a good answer stay in the list."""
_MAX_MARKED = 500
_MAX_OTHERS = 1000
"""Most recent unmarked answers to read, among them good ones and refusals in words."""


@dataclass(frozen=True, slots=True)
class TeachingGap:
    """Similar questions that were not answered well, newest first."""

    turns: Sequence[UnansweredTurn]

    @property
    def newest_turn(self) -> UnansweredTurn:
        return self.turns[0]

    @property
    def refusal_count(self) -> int:
        return sum(turn.is_refusal or not turn.dislikes for turn in self.turns)

    @property
    def dislike_count(self) -> int:
        return sum(turn.dislikes for turn in self.turns)


@dataclass(frozen=True, slots=True)
class RecentAnswers:
    """Recent answers: bad ones, bad ones whose question was taught since, and good ones."""

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
    """Reads marked answers, the newest others, and answers of `model` in evaluations.

    With `channel`, reads only answers to questions in that channel.
    """
    since = now - GAP_PERIOD
    read = partial(
        records.answer_stats.unanswered_turns, workspace, assistant, since=since, channel=channel
    )
    marked, taught = await read(limit=_MAX_MARKED), await read(is_taught=True, limit=_MAX_MARKED)
    marked_ids = {turn.id for turn in marked}
    others = [
        turn for turn in await read(is_marked=False, limit=_MAX_OTHERS) if turn.id not in marked_ids
    ]
    declined_ids = {turn.id for turn in others if starts_with_refusal(turn.reply)}
    bad = [*marked, *(turn for turn in others if turn.id in declined_ids)]
    evaluated = await records.evaluation_gaps.list_by_model(
        workspace, assistant, model, since=since
    )
    in_channel = [turn for turn in evaluated if channel in (None, turn.channel)]
    bad_ids = marked_ids | declined_ids
    return RecentAnswers(
        bad=[*bad, *(turn for turn in in_channel if turn.is_refusal and turn.id not in bad_ids)],
        taught=taught,
        good=[
            *(turn for turn in others if turn.id not in declined_ids),
            *(turn for turn in in_channel if not turn.is_refusal),
        ],
    )


async def find_gaps(recent: RecentAnswers) -> tuple[list[TeachingGap], list[TurnId]]:
    """Returns the gaps, most asked first, and the turns that another model has answered since.

    Takes seconds for two thousand questions, so no transaction may be open.
    """
    gaps, answered = await asyncio.to_thread(_group_gaps, recent)
    return sorted(gaps, key=lambda gap: -len(gap.turns)), answered


def _group_gaps(recent: RecentAnswers) -> tuple[list[TeachingGap], list[TurnId]]:
    bad = sorted(recent.bad, key=lambda turn: turn.at, reverse=True)
    turns = [*bad, *recent.taught, *recent.good]
    first_good = len(turns) - len(recent.good)
    gaps, answered = list[TeachingGap](), list[TurnId]()
    for group in group_similar_texts([turn.question for turn in turns]):
        good = [turns[index] for index in group if index >= first_good]
        taught = [turns[index] for index in group if len(bad) <= index < first_good]
        # A taught question stays closed for the same model, also if that model declines again.
        taught_models = {turn.model for turn in taught}
        last_taught_at = max((turn.taught_at for turn in taught if turn.taught_at), default=None)
        bad_turns = [turns[index] for index in group if index < len(bad)]
        closed = {
            turn.id
            for turn in bad_turns
            if any(other.model != turn.model and other.at > turn.at for other in good)
        }
        answered += closed
        untaught = [
            turn
            for turn in bad_turns
            if turn.model not in taught_models
            and not (last_taught_at and turn.at <= last_taught_at)
        ]
        remaining = [turn for turn in untaught if turn.id not in closed]
        gaps += [TeachingGap(remaining)] if remaining else []
    return gaps, answered
