"""Says how well a question is covered by what was asked in a lesson, in both directions.

The scorer tells which lesson is nearest; only the words that carry meaning can tell whether
the nearest one is near enough to be spoken.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuner.sandbox.features import Vocabulary
from tuner.sandbox.words import Word

SAME_IDEA = 0.88
SAME_PART = 0.85
SAME_ROOT = 0.75
LONG_ROOT = 6
IN_REPLY = 0.35


@dataclass(frozen=True, slots=True)
class Question:
    """A question ready to be compared: its distinct words with their weights."""

    words: tuple[Word, ...]
    weights: tuple[float, ...]
    stems: frozenset[str]
    ideas: frozenset[int]
    marks: str

    @property
    def total(self) -> float:
        return sum(self.weights)


def prepare(found: Sequence[Word], marks: str, vocabulary: Vocabulary) -> Question:
    """Weighs the words of a question; `marks` stands for it when it has no words."""
    distinct = {word.stem: word for word in found}
    return Question(
        tuple(distinct.values()),
        tuple(vocabulary.weight(word) for word in distinct.values()),
        frozenset(stem for word in found for stem in (word.stem, *word.parts)),
        frozenset(idea for word in found for idea in word.ideas),
        "" if distinct else marks,
    )


def likeness(word: Word, other: Question) -> float:
    """How surely the other question says this word too, between 0 and 1."""
    if word.stem in other.stems:
        return 1.0
    if word.ideas & other.ideas:
        return SAME_IDEA
    if any(part in other.stems for part in word.parts):
        return SAME_PART
    return SAME_ROOT if _shares_root(word.stem, other) else 0.0


def _shares_root(stem: str, other: Question) -> bool:
    if len(stem) < LONG_ROOT or not stem.isascii():
        return False
    return any(
        len(known) >= LONG_ROOT
        and known[:LONG_ROOT] == stem[:LONG_ROOT]
        and abs(len(known) - len(stem)) <= 3
        for known in other.stems
    )


@dataclass(frozen=True, slots=True)
class Coverage:
    """Shares of informative weight: of the question, of the lesson; and the weight in common."""

    asked: float
    taught: float
    common: float
    exact: bool


def cover(asked: Question, taught: Question) -> Coverage:
    """Compares a question with one that was taught."""
    if asked.stems == taught.stems:
        exact = asked.marks == taught.marks
        return Coverage(float(exact), float(exact), asked.total, exact)
    common = _matched(asked, taught)
    return Coverage(
        common / asked.total if asked.total else 0.0,
        _matched(taught, asked) / taught.total if taught.total else 0.0,
        common,
        False,
    )


def _matched(one: Question, other: Question) -> float:
    pairs = zip(one.words, one.weights, strict=True)
    return sum(weight * likeness(word, other) for word, weight in pairs)


def strength(found: Coverage) -> float:
    """One number for a coverage: 1 for the same words, below 0.5 for half of them."""
    if found.exact:
        return 1.0
    both = 0.62 * found.asked + 0.38 * found.taught
    floor = min(found.asked, found.taught)
    substance = 1 - math.exp(-3.0 * found.common)
    return (0.75 * both + 0.25 * floor) * substance
