"""Reads a judge's replies; a contender wins a question if the judge prefers it in both orders."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from bot.domain import CallState, JudgedPair, Preferred
from bot.significance import (
    MIN_QUESTIONS,
    SIGNIFICANCE_LEVEL,
    PairedResult,
    cohens_kappa,
    compare_wins,
    sign_test,
)

_WORD = re.compile(r"\b(?:(tie)|([ab]))\b", re.IGNORECASE)
_MARKS = " \n\t*_#(['\"“"
FIRST, SECOND, EVEN = "first", "second", "even"


@dataclass(frozen=True, slots=True)
class JudgeReport:
    """The result of the first contender against the second, and the judge's reliability.

    `first_shown` and `second_shown` count questions on which the judge preferred the same position
    in both orders. `missing` counts questions without two readable replies, `unreadable` replies
    that name neither A nor B nor TIE. `kappa` is Cohen's kappa of the judge and the people over the
    `voted` questions; None if it is undefined.
    """

    result: PairedResult
    first_shown: int
    second_shown: int
    missing: int
    voted: int
    kappa: float | None
    unreadable: int = 0

    @property
    def is_biased(self) -> bool:
        """Whether the judge prefers a position significantly often (sign test)."""
        held = self.first_shown + self.second_shown
        p_value = sign_test(self.first_shown, self.second_shown)
        return held >= MIN_QUESTIONS and p_value <= SIGNIFICANCE_LEVEL


_REPORT = TypeAdapter(JudgeReport)


def dump_report(report: JudgeReport) -> Mapping[str, object]:
    values: dict[str, object] = _REPORT.dump_python(report, mode="json")
    return values


def load_report(stored: Mapping[str, object]) -> JudgeReport | None:
    """Returns a dumped report; None for an empty mapping, as of a judging that is not over."""
    return _REPORT.validate_python(stored) if stored else None


def parse_preference(text: str, *, is_cut: bool = False) -> Preferred | None:
    """Returns the first separate word A, B or TIE of a judge's reply, or None if it has none.

    In a truncated reply (`is_cut`) only its first word counts, as the rest may be reasoning that
    was cut off before the verdict.
    """
    match = _WORD.match(text.lstrip(_MARKS)) if is_cut else _WORD.search(text)
    if match is None:
        return None
    return Preferred.TIE if match[1] else Preferred(match[2].lower())


def make_report(pairs: Sequence[JudgedPair], votes: Mapping[int, str]) -> JudgeReport:
    """Returns the report; `votes` maps a question to FIRST, SECOND or EVEN, as people chose."""
    by_question: dict[int, dict[bool, Preferred]] = defaultdict(dict)
    for pair in pairs:
        if pair.state is CallState.DONE and pair.preferred is not None:
            by_question[pair.number][pair.is_swapped] = pair.preferred
    complete = {number: orders for number, orders in by_question.items() if len(orders) == 2}
    verdicts = {number: _verdict(orders) for number, orders in complete.items()}
    same_position = [
        orders[False]
        for orders in complete.values()
        if orders[False] is orders[True] is not Preferred.TIE
    ]
    both = [(verdicts[number], votes[number]) for number in sorted(verdicts.keys() & votes.keys())]
    counts = {kind: list(verdicts.values()).count(kind) for kind in (FIRST, SECOND, EVEN)}
    return JudgeReport(
        compare_wins(counts[FIRST], counts[SECOND], counts[EVEN]),
        same_position.count(Preferred.A),
        same_position.count(Preferred.B),
        len({pair.number for pair in pairs}) - len(complete),
        len(both),
        cohens_kappa(both),
        sum(pair.state is CallState.DONE and pair.preferred is None for pair in pairs),
    )


def _verdict(orders: Mapping[bool, Preferred]) -> str:
    """Returns the contender that the judge prefers in both orders, else EVEN."""
    plain, swapped = orders[False], orders[True]
    if (plain, swapped) == (Preferred.A, Preferred.B):
        return FIRST
    return SECOND if (plain, swapped) == (Preferred.B, Preferred.A) else EVEN
