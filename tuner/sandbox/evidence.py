"""Says how well a question is covered by what was asked in a lesson, in both directions.

The scorer tells which lesson is nearest; only the words that carry meaning can tell whether
the nearest one is near enough to be spoken. What counts is mostly whether the lesson accounts
for the question: a short question about the one thing that a long lesson is about is answered.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tuner.sandbox.features import Vocabulary
from tuner.sandbox.words import FIELD, Word, worth_of

Key = TypeVar("Key")

SAME_IDEA = 0.97
SAME_PART = 0.85
SAME_ROOT = 0.75
IN_REPLY = 0.52
MEANT_IN_REPLY = 0.45
NEAR_REPLY = 0.2
TELLS_APART = 1.0
LONG_ROOT = 6
TAUGHT_SHARE = 0.2
WEAKER_SHARE = 0.25
CLASH_SHARE = 0.2
OPPOSITE_SHARE = 0.34
SUBSTANCE = 2.0
SHORT_OF_EXACT = 0.99
TELLING = 0.3
HINT = 0.5
TINY = 1e-9


@dataclass(frozen=True, slots=True)
class Ties:
    """What a looser tie counts: to the name of a kind, and to another word of its field.

    `missing` says how dear the words without any match are.
    """

    kind: float
    field: float
    missing: float


OF_ASKED = Ties(kind=0.9, field=0.82, missing=1.19)
OF_TAUGHT = Ties(kind=0.75, field=0.52, missing=0.92)


@dataclass(frozen=True, slots=True)
class Term:
    """A word with its weights, and the ties it seeks in other questions by how rare they are."""

    word: Word
    worth: float
    cost: float
    seeks: tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Question:
    """A question ready to be compared: its distinct words, and what they offer to others."""

    terms: tuple[Term, ...]
    stems: frozenset[str]
    ideas: Mapping[int, float]
    offers: Mapping[str, float]
    acts: frozenset[int]
    against: frozenset[int]
    marks: str


def prepare(found: Sequence[Word], marks: str, vocabulary: Vocabulary) -> Question:
    """Weighs the words of a question; `marks` stands for it when it has no words."""
    distinct = {word.stem: word for word in found}
    apart = vocabulary.tells_apart(found)
    terms = tuple(_term(word, word.stem in apart, vocabulary) for word in distinct.values())
    acts = frozenset(act for word in found for act in word.links.acts)
    return Question(
        terms,
        frozenset(stem for word in found for stem in (word.stem, *word.parts)),
        _most((idea, term.worth) for term in terms for idea in term.word.ideas),
        _most((tie, term.worth) for term in terms for tie in term.word.links.offers),
        acts,
        frozenset(act for word in found for act in word.links.against) - acts,
        "" if distinct else marks,
    )


def _term(word: Word, tells_apart: bool, vocabulary: Vocabulary) -> Term:
    cost = max(vocabulary.cost(word), TELLS_APART if tells_apart else 0.0)
    seeks = tuple((tie, vocabulary.rarity(f"%{tie}")) for tie in sorted(word.links.seeks))
    return Term(word, vocabulary.worth(word), cost, seeks)


def _most(pairs: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    most: dict[Key, float] = {}
    for key, worth in pairs:
        most[key] = max(most.get(key, 0.0), worth)
    return most


def likeness(term: Term, other: Question, reply: Question | None, ties: Ties) -> float:
    """How surely the other question says this word too, between 0 and 1.

    An idea that the other one only hints at ("where" for an address) counts for as little.
    What is left open by one hint can be closed by the next.
    """
    word = term.word
    if word.stem in other.stems:
        return 1.0
    shared = max((other.ideas[idea] for idea in word.ideas if idea in other.ideas), default=0.0)
    if shared:
        return SAME_IDEA * _sure(shared, term)
    if len(word.parts) == 1 and _shares_root(word.stem, other):
        return SAME_ROOT
    found, left = 0.0, 1.0
    for share, sure in _hints(term, other, reply, ties):
        found += left * sure * share
        left *= 1 - sure
    return found


def _hints(
    term: Term, other: Question, reply: Question | None, ties: Ties
) -> Iterator[tuple[float, float]]:
    word = term.word
    if len(word.parts) > 1:
        yield SAME_PART, _parts_said(word, other)
    said = reply if reply is not None and term.worth > TELLING else None
    if term.seeks:
        yield ties.kind, _tied(term, other, is_field=False)
    if said is not None and word.stem in said.stems:
        yield IN_REPLY, 1.0
    if term.seeks:
        yield ties.field, _tied(term, other, is_field=True)
    if said is not None:
        yield from _hints_of_reply(term, said)


def _hints_of_reply(term: Term, reply: Question) -> Iterator[tuple[float, float]]:
    shared = max((reply.ideas[i] for i in term.word.ideas if i in reply.ideas), default=0.0)
    if shared:
        yield MEANT_IN_REPLY, _sure(shared, term)
    elif any(tie in reply.offers for tie, _ in term.seeks):
        yield NEAR_REPLY, 1.0


def _sure(told: float, term: Term) -> float:
    """How surely the other side means it: a word that tells little only hints at it."""
    return min(1.0, told / (HINT * term.worth))


def _parts_said(word: Word, other: Question) -> float:
    worths = [worth_of(part) for part in word.parts]
    pairs = zip(word.parts, worths, strict=True)
    said = sum(w for part, w in pairs if part in other.stems and w >= TELLING)
    return said / sum(worths)


def _tied(term: Term, other: Question, *, is_field: bool) -> float:
    """How surely a looser tie holds: less where many lessons have it, or hardly tell of it."""
    return max(
        (
            rarity * _sure(other.offers[tie], term)
            for tie, rarity in term.seeks
            if tie in other.offers and (tie[0] == FIELD) == is_field
        ),
        default=0.0,
    )


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
    `opposed` says that one wants what the other undoes: to cancel where it was to upgrade.
    """

    asked: float
    taught: float
    common: float
    clash: float
    opposed: bool
    exact: bool


def cover(asked: Question, taught: Question, reply: Question) -> Coverage:
    """Compares a question with one that was taught; words of the reply count a little."""
    if asked.stems == taught.stems:
        exact = asked.marks == taught.marks
        return Coverage(float(exact), float(exact), 1.0, 0.0, False, exact)
    common, alone = _matched(asked, taught, reply, OF_ASKED)
    also_common, left_out = _matched(taught, asked, None, OF_TAUGHT)
    return Coverage(
        common / max(common + alone, TINY),
        also_common / max(also_common + left_out, TINY),
        common,
        min(alone, left_out),
        bool(asked.against & taught.acts) and not asked.acts & taught.acts,
        False,
    )


def _matched(
    one: Question, other: Question, reply: Question | None, ties: Ties
) -> tuple[float, float]:
    common = alone = 0.0
    for term in one.terms:
        share = likeness(term, other, reply, ties)
        common += share * term.worth
        alone += (1 - share) * term.cost
    return common, alone * ties.missing


def strength(found: Coverage) -> float:
    """One number for a coverage: 1 for the same words, below 0.5 for half of them."""
    if found.exact:
        return 1.0
    substance = 1 - math.exp(-SUBSTANCE * found.common)
    both = (1 - TAUGHT_SHARE) * found.asked + TAUGHT_SHARE * found.taught
    both = (1 - WEAKER_SHARE) * both + WEAKER_SHARE * min(found.asked, found.taught)
    clash = 1 - CLASH_SHARE * min(1.0, found.clash)
    opposed = 1 - OPPOSITE_SHARE * found.opposed
    return min(SHORT_OF_EXACT, both * substance * clash * opposed)
