"""Decides what is said: one of the taught replies, or that nothing fitting was taught."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

NOT_TAUGHT = "I have not been taught that."
NOTHING_TAUGHT = "I have not been taught anything yet."

COVERAGE_SHARE = 15.0
LEAST_LOG = -6.0
IDENTICAL = 3.0
STILL_CLOSE = 0.7
TORN = 1.25
SURE = 0.7


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said, how sure the sandbox is of it (0 to 1), and whether it is a refusal."""

    text: str
    confidence: float
    refused: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A taught reply: its log probability, and how well its best lesson covers the question.

    `asked_as` holds the words of that lesson's question; `identical` counts what is letter for
    letter as it was taught: the question, and what was said before it.
    """

    number: int
    log: float
    strength: float
    asked_as: frozenset[str] = frozenset()
    identical: int = 0

    @property
    def total(self) -> float:
        """Coverage first; where two replies are covered alike, the scorer decides."""
        known = IDENTICAL * self.identical
        return COVERAGE_SHARE * self.strength + max(self.log, LEAST_LOG) + known


def choose(
    candidates: Sequence[Candidate],
    replies: Sequence[str],
    *,
    limit: float,
    temperature: float,
    seed: int | None,
) -> Reply:
    """Picks the best candidate.

    Chance only decides between replies that were taught for the same words and are about as
    probable, so that a temperature never turns a sure answer into another one.
    """
    ranked = rank(candidates)
    best = ranked[0] if ranked else Candidate(-1, -math.inf, 0.0)
    if best.strength < limit or is_torn(ranked):
        return Reply(NOT_TAUGHT, max(0.0, min(1.0, 1 - best.strength)), True)
    if temperature > 0:
        best = _drawn(ranked, best, temperature=temperature, seed=seed)
    return Reply(replies[best.number], min(1.0, best.strength), False)


def rank(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The best candidate first; of equals, the one that was taught first."""
    return sorted(candidates, key=lambda found: (-found.total, found.number))


def is_torn(ranked: Sequence[Candidate]) -> bool:
    """Whether another lesson, asked otherwise, fits about as well as the best one."""
    best = ranked[0]
    rivals = (found for found in ranked[1:] if found.asked_as != best.asked_as)
    return best.strength < SURE and any(best.total - found.total < TORN for found in rivals)


def _drawn(
    ranked: Sequence[Candidate], best: Candidate, *, temperature: float, seed: int | None
) -> Candidate:
    least = best.total - STILL_CLOSE * temperature
    alike = (found for found in ranked if found.asked_as == best.asked_as)
    close = [found for found in alike if found.total >= least]
    weights = [math.exp((found.total - best.total) / temperature) for found in close]
    return random.Random(seed).choices(close, weights)[0]
