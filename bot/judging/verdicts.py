"""What a judge's words come to: each question counts once, and only where both orders agree."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from bot.domain import CallState, JudgedPair, Preferred
from bot.significance import (
    ALPHA,
    FEWEST_QUESTIONS,
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
    """Of the first contender against the second. `first_shown` and `second_shown` count questions
    on which the judge held to a place, whoever's answer stood there, `unreadable` the answers of
    the judge that name neither A nor B nor a tie. `kappa` is the agreement with
    the people who voted on `voted` of the questions; None where that cannot be said.
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
        """Whether the judge prefers a place more often than chance would."""
        held = self.first_shown + self.second_shown
        p_value = sign_test(self.first_shown, self.second_shown)
        return held >= FEWEST_QUESTIONS and p_value <= ALPHA


_REPORT = TypeAdapter(JudgeReport)


def dump(report: JudgeReport) -> Mapping[str, object]:
    values: dict[str, object] = _REPORT.dump_python(report, mode="json")
    return values


def load(kept: Mapping[str, object]) -> JudgeReport | None:
    """None of one that is not over."""
    return _REPORT.validate_python(kept) if kept else None


def preferred_in(text: str, *, is_cut: bool = False) -> Preferred | None:
    """The first of A, B and TIE that stands alone in a judge's answer; None without any.

    What would have followed a cut answer is not known, so there it has to be the first word.
    """
    found = _WORD.match(text.lstrip(_MARKS)) if is_cut else _WORD.search(text)
    if found is None:
        return None
    return Preferred.TIE if found[1] else Preferred(found[2].lower())


def report_of(pairs: Sequence[JudgedPair], votes: Mapping[int, str]) -> JudgeReport:
    """`votes` are what people chose by question: FIRST, SECOND or EVEN."""
    said: dict[int, dict[bool, Preferred]] = defaultdict(dict)
    for pair in pairs:
        if pair.state is CallState.DONE and pair.preferred is not None:
            said[pair.number][pair.is_swapped] = pair.preferred
    whole = {number: one for number, one in said.items() if len(one) == 2}
    verdicts = {number: _verdict(one) for number, one in whole.items()}
    held = [one[False] for one in whole.values() if one[False] is one[True] is not Preferred.TIE]
    both = [(verdicts[number], votes[number]) for number in sorted(verdicts.keys() & votes.keys())]
    counts = {kind: list(verdicts.values()).count(kind) for kind in (FIRST, SECOND, EVEN)}
    return JudgeReport(
        compare_wins(counts[FIRST], counts[SECOND], counts[EVEN]),
        held.count(Preferred.A),
        held.count(Preferred.B),
        len({pair.number for pair in pairs}) - len(whole),
        len(both),
        cohens_kappa(both),
        sum(one.state is CallState.DONE and one.preferred is None for one in pairs),
    )


def _verdict(said: Mapping[bool, Preferred]) -> str:
    """A contender wins where the judge prefers its answer in both places; all else is even."""
    plain, swapped = said[False], said[True]
    if (plain, swapped) == (Preferred.A, Preferred.B):
        return FIRST
    return SECOND if (plain, swapped) == (Preferred.B, Preferred.A) else EVEN
