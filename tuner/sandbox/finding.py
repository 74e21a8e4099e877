"""Finds lessons that have to do with a question although they may share none of its words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuner.sandbox.evidence import Question, Term
from tuner.sandbox.words import FIELD

SAME_WORD = 1.0
SAME_IDEA = 0.9
SAME_KIND = 0.6
SAME_FIELD = 0.4
IN_REPLY = 0.4


@dataclass(frozen=True, slots=True)
class Finder:
    """Which lessons have which words, ideas and ties, and how much each of them tells."""

    lessons: dict[str, dict[int, float]]

    @classmethod
    def of(cls, lessons: Sequence[tuple[Question, Question]]) -> "Finder":
        """Reads lessons as pairs of a question and its reply."""
        found: dict[str, dict[int, float]] = {}
        for number, (question, reply) in enumerate(lessons):
            for source, share in ((reply, IN_REPLY), (question, 1.0)):
                for key in {key for term in source.terms for key in _offered(term)}:
                    found.setdefault(key, {})[number] = share
        return cls(found)

    def nearest(self, asked: Question, *, count: int) -> list[int]:
        """The lessons that most of the question's words have to do with."""
        totals: dict[int, float] = {}
        for term in asked.terms:
            most: dict[int, float] = {}
            for key, share in _sought(term):
                for number, told in self.lessons.get(key, {}).items():
                    most[number] = max(most.get(number, 0.0), share * told)
            for number, share in most.items():
                totals[number] = totals.get(number, 0.0) + share * term.worth
        return sorted(totals, key=lambda number: (-totals[number], number))[:count]


def _offered(term: Term) -> Iterator[str]:
    yield term.word.stem
    yield from (f"#{idea}" for idea in term.word.ideas)
    yield from (f"%{tie}" for tie in term.word.links.offers)


def _sought(term: Term) -> Iterator[tuple[str, float]]:
    yield term.word.stem, SAME_WORD
    yield from ((f"#{idea}", SAME_IDEA) for idea in sorted(term.word.ideas))
    for tie, rarity in term.seeks:
        yield f"%{tie}", rarity * (SAME_FIELD if tie[0] == FIELD else SAME_KIND)
