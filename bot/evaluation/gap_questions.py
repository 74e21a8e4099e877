"""The questions of gaps that an evaluation asks its new model, and the outcomes of its answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain import (
    AssistantId,
    CallState,
    GapOutcome,
    GapQuestion,
    ModelName,
    UnansweredTurn,
    WorkspaceId,
)
from bot.evaluation.answer_scores import MIN_RIGHT_SCORE, chrf, score_answer
from bot.ports.metered_calls import Answer
from bot.ports.store import Store
from bot.refusals import starts_with_refusal
from bot.teach_next.gaps import GAP_PERIOD, find_gaps, recent_answers

MAX_GAP_QUESTIONS = 50
"""Most questions of gaps that an evaluation asks its new model, besides the held-out ones."""


async def unasked_gap_questions(
    store: Store,
    workspace: WorkspaceId,
    assistant: AssistantId,
    model: ModelName,
    *,
    now: datetime,
) -> Sequence[UnansweredTurn]:
    """Returns the questions of gaps, and taught ones, that `model` has not been asked yet."""
    own = workspace, assistant, model
    async with store.reading() as records:
        recent = await recent_answers(records, *own, now=now)
        asked = await records.evaluation_gaps.list_by_model(
            *own, since=now - GAP_PERIOD, outcomes=tuple(GapOutcome)
        )
    gaps, _ = await find_gaps(recent)
    asked_ids = {turn.id for turn in asked}
    candidates = [*(gap.newest_turn for gap in gaps), *recent.taught]
    new = [turn for turn in candidates if turn.model != model and turn.id not in asked_ids]
    return new[:MAX_GAP_QUESTIONS]


def waiting_gap_questions(turns: Sequence[UnansweredTurn]) -> list[GapQuestion]:
    """Returns the calls for the turns, in state WAITING."""
    return [GapQuestion(turn.id, CallState.WAITING, turn.taught_by) for turn in turns]


def gap_outcome(answer: Answer, *, reference: str, is_reference_taught: bool) -> GapOutcome:
    """Returns the outcome of a complete answer.

    The answer is right if it is similar to a taught reference, or not similar to a bad one.
    """
    declines = answer.is_refusal or starts_with_refusal(answer.text)
    if declines and not (is_reference_taught and starts_with_refusal(reference)):
        return GapOutcome.DECLINED
    is_near = _is_near(reference, answer, is_reference_taught=is_reference_taught)
    return GapOutcome.ANSWERED if is_near is is_reference_taught else GapOutcome.OTHER


def _is_near(reference: str, answer: Answer, *, is_reference_taught: bool) -> bool:
    if not is_reference_taught:
        return chrf(reference, answer.text) >= MIN_RIGHT_SCORE
    score = score_answer(reference, answer.text, is_refusal=answer.is_refusal)["score"]
    return isinstance(score, float) and score >= MIN_RIGHT_SCORE
