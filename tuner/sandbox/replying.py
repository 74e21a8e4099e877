"""Decides what is said: one of the taught replies, or that nothing fitting was taught."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

NOT_TAUGHT = "I have not been taught that."
NOTHING_TAUGHT = "I have not been taught anything yet."

COVERAGE_SHARE = 12.0
LEAST_LOG = -6.0
STILL_CLOSE = 0.7


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said, how sure the sandbox is of it (0 to 1), and whether it is a refusal."""

    text: str
    confidence: float
    refused: bool


@dataclass(frozen=True, slots=True)
class Candidate:
    """A taught reply: its log probability, and how well its lessons cover the question."""

    number: int
    log: float
    strength: float

    @property
    def total(self) -> float:
        """Coverage first; where two replies are covered alike, the scorer decides."""
        return COVERAGE_SHARE * self.strength + max(self.log, LEAST_LOG)


def choose(
    candidates: Sequence[Candidate],
    replies: Sequence[str],
    *,
    limit: float,
    temperature: float,
    seed: int | None,
) -> Reply:
    """Picks the best candidate; only replies about as good as the best are drawn from."""
    ranked = sorted(candidates, key=lambda found: (-found.total, found.number))
    best = ranked[0] if ranked else Candidate(-1, -math.inf, 0.0)
    if best.strength < limit:
        return Reply(NOT_TAUGHT, max(0.0, min(1.0, 1 - best.strength)), True)
    if temperature > 0:
        best = _drawn(ranked, best, temperature=temperature, seed=seed)
    return Reply(replies[best.number], min(1.0, best.strength), False)


def _drawn(
    ranked: Sequence[Candidate], best: Candidate, *, temperature: float, seed: int | None
) -> Candidate:
    close = [found for found in ranked if found.total >= best.total - STILL_CLOSE * temperature]
    weights = [math.exp((found.total - best.total) / temperature) for found in close]
    return random.Random(seed).choices(close, weights)[0]
