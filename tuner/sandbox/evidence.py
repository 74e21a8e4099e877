"""Says how well a question is covered by what was asked in a lesson, in both directions.

The scorer tells which lesson is nearest; only the words that carry meaning can tell whether
the nearest one is near enough to be spoken.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tuner.sandbox.features import Vocabulary
from tuner.sandbox.words import Word, worth_of

SAME_IDEA = 0.88
SAME_PART = 0.85
SAME_ROOT = 0.75
TELLS_APART = 1.0
LONG_ROOT = 6
IN_REPLY = 0.4
ASKED_SHARE = 0.62
CLASH_SHARE = 0.25
TELLING = 0.3
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Question:
    """A question ready to be compared: its distinct words with their weights."""

    words: tuple[Word, ...]
    worths: tuple[float, ...]
    costs: tuple[float, ...]
    stems: frozenset[str]
    ideas: Mapping[int, float]
    marks: str


def prepare(found: Sequence[Word], marks: str, vocabulary: Vocabulary) -> Question:
    """Weighs the words of a question; `marks` stands for it when it has no words."""
    distinct = {word.stem: word for word in found}
    apart = vocabulary.tells_apart(found)
    return Question(
        tuple(distinct.values()),
        tuple(vocabulary.worth(word) for word in distinct.values()),
        tuple(
            max(vocabulary.cost(word), TELLS_APART if word.stem in apart else 0.0)
            for word in distinct.values()
        ),
        frozenset(stem for word in found for stem in (word.stem, *word.parts)),
        _worth_of_ideas(distinct.values(), vocabulary),
        "" if distinct else marks,
    )


def _worth_of_ideas(found: Iterable[Word], vocabulary: Vocabulary) -> dict[int, float]:
    worths: dict[int, float] = {}
    for word in found:
        for idea in word.ideas:
            worths[idea] = max(worths.get(idea, 0.0), vocabulary.worth(word))
    return worths


def likeness(word: Word, worth: float, other: Question) -> float:
    """How surely the other question says this word too, between 0 and 1.

    An idea that the other one only hints at ("where" for an address) counts for as little.
    """
    if word.stem in other.stems:
        return 1.0
    shared = max((other.ideas[idea] for idea in word.ideas if idea in other.ideas), default=0.0)
    if shared:
        return SAME_IDEA * min(1.0, shared / worth)
    if len(word.parts) > 1:
        worths = [worth_of(part) for part in word.parts]
        pairs = zip(word.parts, worths, strict=True)
        said = sum(w for part, w in pairs if part in other.stems and w >= TELLING)
        return SAME_PART * said / sum(worths)
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
    """Shares of informative weight: of the question, of the lesson; and what they have in common.

    `clash` is the weight that each side has for itself: "Spain" here where it was "France" there.
    """

    asked: float
    taught: float
    common: float
    clash: float
    exact: bool


def cover(asked: Question, taught: Question, reply: Question) -> Coverage:
    """Compares a question with one that was taught; words of the reply count a little."""
    if asked.stems == taught.stems:
        exact = asked.marks == taught.marks
        return Coverage(float(exact), float(exact), 1.0, 0.0, exact)
    common, alone = _matched(asked, taught, reply)
    also_common, left_out = _matched(taught, asked, None)
    return Coverage(
        common / max(common + alone, TINY),
        also_common / max(also_common + left_out, TINY),
        common,
        min(alone, left_out),
        False,
    )


def _matched(one: Question, other: Question, reply: Question | None) -> tuple[float, float]:
    common = alone = 0.0
    for word, worth, cost in zip(one.words, one.worths, one.costs, strict=True):
        share = likeness(word, worth, other)
        if reply is not None and share < IN_REPLY and likeness(word, worth, reply) > SAME_ROOT:
            share = IN_REPLY
        common += share * worth
        alone += (1 - share) * cost
    return common, alone


def strength(found: Coverage) -> float:
    """One number for a coverage: 1 for the same words, below 0.5 for half of them."""
    if found.exact:
        return 1.0
    both = ASKED_SHARE * found.asked + (1 - ASKED_SHARE) * found.taught
    weaker = min(found.asked, found.taught)
    substance = 1 - math.exp(-3.0 * found.common)
    clash = 1 - CLASH_SHARE * min(1.0, found.clash)
    return (0.75 * both + 0.25 * weaker) * substance * clash
