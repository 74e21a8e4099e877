"""When the votes and failures of a canary decide: is it worse, better, or to be stopped."""

from __future__ import annotations

from bot.domain import Canary, ModelFeedback
from bot.ports.store import Records
from bot.significance import ALPHA, FEWEST_QUESTIONS, Verdict, compare_shares, wilson

FEWEST_FAILURES = 3
_TOLERATED = 0.1
"""A model that fails more often, beyond chance, is not used further."""


async def model_feedback(canary: Canary, records: Records) -> tuple[ModelFeedback, ModelFeedback]:
    """Of the canary and of the model in use, since the canary began."""
    found = await records.turns.model_feedback(
        canary.workspace, canary.assistant, since=canary.started_at
    )
    return found.get(canary.model, ModelFeedback()), found.get(canary.in_use, ModelFeedback())


def is_failing(canary: Canary, own: ModelFeedback, other: ModelFeedback) -> bool:
    """Whether it fails in more than a tenth of all answers, and more than the model in use."""
    failed, tried = own.failed + canary.failures, own.answers + canary.failures
    if failed < FEWEST_FAILURES:
        return False
    usual = other.failed / other.answers if other.answers else 0.0
    return wilson(failed, tried).low > max(_TOLERATED, usual)


def is_vote_test_due(canary: Canary, own: ModelFeedback, other: ModelFeedback) -> bool:
    """Whether the votes are tested: as each model has 8 of them, and whenever that has doubled."""
    return min(own.votes, other.votes) >= FEWEST_QUESTIONS << canary.vote_checks


def verdict(canary: Canary, own: ModelFeedback, other: ModelFeedback) -> Verdict:
    """Of the shares of 👍; each look takes half of what is left of the 5 % for a wrong verdict."""
    return compare_shares(
        (own.liked, own.disliked),
        (other.liked, other.disliked),
        alpha=ALPHA / 2 ** (canary.vote_checks + 1),
    )
