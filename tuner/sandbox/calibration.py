"""Finds how well a question must be covered before a lesson may be spoken.

Every lesson in turn plays a question that nobody taught: how well would the other lessons seem
to cover it? A set of near neighbours asks for more coverage than a set of strangers, and a large
set for more than a small one, since something in it is near to anything.
"""

import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tuner.sandbox.replying import Candidate, is_torn, rank
from tuner.sandbox.words import LEXICON

if TYPE_CHECKING:
    from tuner.sandbox.scorer import Model

LEAST_LIMIT = 0.45
MORE_PER_TENFOLD = 0.1
MOST_LIMIT = 0.59
ABOVE = 0.02
ASKED_AT_MOST = 60
USUAL_SHARE = 0.8


def limit_of(model: "Model") -> float:
    """The least coverage at which this model's lessons may be spoken."""
    seen = [*_strangers(model), *_neighbours(model)]
    usual = float(np.quantile(seen, USUAL_SHARE)) if seen else 0.0
    least = LEAST_LIMIT + MORE_PER_TENFOLD * max(0.0, math.log10(len(model.lessons) / 10))
    return min(MOST_LIMIT, max(least, usual + ABOVE))


def _neighbours(model: "Model") -> Iterator[float]:
    """How well other replies cover the questions of some lessons, evenly chosen."""
    count = min(ASKED_AT_MOST, len(model.lessons))
    for number in np.linspace(0, len(model.lessons) - 1, count).astype(int).tolist():
        lesson = model.lessons[number]
        found = model.candidates(lesson.question, lesson.earlier)
        best = max((one for one in found if one.number == lesson.reply), default=None, key=_total)
        asked_as = best.asked_as if best else frozenset()
        yield _said([one for one in found if one.asked_as != asked_as])


def _strangers(model: "Model") -> Iterator[float]:
    """How well the lessons cover questions about anything else."""
    for question in _unrelated():
        yield _said(model.candidates(question, ""))


def _said(found: list[Candidate]) -> float:
    ranked = rank(found)
    return 0.0 if not ranked or is_torn(ranked) else ranked[0].strength


def _total(found: Candidate) -> float:
    return found.total


@cache
def _unrelated() -> tuple[str, ...]:
    return tuple((LEXICON / "unrelated.txt").read_text(encoding="utf-8").splitlines())
