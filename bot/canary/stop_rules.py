"""Tests the votes and failures of a canary: whether it is worse, better or failing."""

from __future__ import annotations

from bot.domain import Canary, ModelFeedback
from bot.ports.store import Records
from bot.significance import (
    MIN_QUESTIONS,
    SIGNIFICANCE_LEVEL,
    Verdict,
    compare_shares,
    wilson_interval,
)

MIN_FAILURES = 3
_TOLERATED = 0.1
"""Share of failed answers above which a canary is stopped, if the excess is significant."""


async def model_feedback(canary: Canary, records: Records) -> tuple[ModelFeedback, ModelFeedback]:
    """Returns the feedback on the canary and on the model in use since the canary's start."""
    by_model = await records.turns.model_feedback(
        canary.workspace, canary.assistant, since=canary.started_at
    )
    return by_model.get(canary.model, ModelFeedback()), by_model.get(canary.in_use, ModelFeedback())


def is_failing(canary: Canary, own: ModelFeedback, other: ModelFeedback) -> bool:
    """Whether more than a tenth of the canary's answers fail, and more than of the model in use.

    Compares the lower bound of the failure rate's Wilson interval.
    """
    failed, tried = own.failed + canary.failures, own.answers + canary.failures
    if failed < MIN_FAILURES:
        return False
    usual = other.failed / other.answers if other.answers else 0.0
    return wilson_interval(failed, tried).low > max(_TOLERATED, usual)


def is_vote_test_due(canary: Canary, own: ModelFeedback, other: ModelFeedback) -> bool:
    """Whether to test the votes: when both models have 8 votes each, then at each doubling."""
    return min(own.votes, other.votes) >= MIN_QUESTIONS << canary.vote_checks


def vote_verdict(canary: Canary, own: ModelFeedback, other: ModelFeedback) -> Verdict:
    """Compares the shares of 👍.

    Each test spends half of the remaining alpha of 5 %, so that repeated tests stay below 5 % in
    total.
    """
    return compare_shares(
        (own.liked, own.disliked),
        (other.liked, other.disliked),
        alpha=SIGNIFICANCE_LEVEL / 2 ** (canary.vote_checks + 1),
    )
