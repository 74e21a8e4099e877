"""Significance tests for the comparison of two models, and agreement of raters.

Pure functions without numpy. The formulas and their sources are in
docs/understand/evaluation-numbers.md.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

SIGNIFICANCE_LEVEL = 0.05
"""Significance level."""
MIN_QUESTIONS = 8
"""Minimum of questions for a verdict."""
TEST_POWER = 0.8
_RESAMPLES = 2000
_MAX_PICKS = 1_000_000
_MAX_TRIALS = 500


class Verdict(StrEnum):
    BETTER = "better"
    WORSE = "worse"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Interval:
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class PairedResult:
    """Result of comparing a first model with a second one on the same questions.

    `win_share` is the 95 % interval of the share of wins among questions without ties,
    `difference` the 95 % interval of the mean difference of scores, None without scores.
    """

    wins: int
    losses: int
    ties: int
    p_value: float
    win_share: Interval
    verdict: Verdict
    mean_difference: float | None = None
    difference: Interval | None = None

    @property
    def questions(self) -> int:
        return self.wins + self.losses + self.ties


def compare_wins(wins: int, losses: int, ties: int = 0) -> PairedResult:
    """Returns the verdict of votes, or of other wins, losses and ties."""
    p_value = sign_test(wins, losses)
    verdict = Verdict.UNDECIDED
    if wins + losses + ties >= MIN_QUESTIONS and p_value <= SIGNIFICANCE_LEVEL:
        verdict = Verdict.BETTER if wins > losses else Verdict.WORSE
    return PairedResult(wins, losses, ties, p_value, wilson_interval(wins, wins + losses), verdict)


def compare_scores(
    differences: Sequence[float], *, margin: float = 0.0, seed: int = 0
) -> PairedResult:
    """Returns the verdict of paired scores; a difference is the first score minus the second.

    Differences of at most `margin` are ties. If wins and mean difference contradict each other
    significantly, the verdict is undecided.
    """
    wins = sum(difference > margin for difference in differences)
    losses = sum(difference < -margin for difference in differences)
    counted = compare_wins(wins, losses, len(differences) - wins - losses)
    if not differences:
        return counted
    mean, interval = (
        math.fsum(differences) / len(differences),
        bootstrap_interval(differences, seed=seed),
    )
    is_contradicted = {
        Verdict.BETTER: interval.high < 0,
        Verdict.WORSE: interval.low > 0,
        Verdict.UNDECIDED: False,
    }[counted.verdict]
    return PairedResult(
        counted.wins,
        counted.losses,
        counted.ties,
        counted.p_value,
        counted.win_share,
        Verdict.UNDECIDED if is_contradicted else counted.verdict,
        mean,
        interval,
    )


def sign_test(wins: int, losses: int) -> float:
    """Returns the exact two-sided p-value of the sign test."""
    trials = wins + losses
    tail = sum(math.comb(trials, count) for count in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / (1 << trials))


def fisher_test(first: tuple[int, int], second: tuple[int, int]) -> float:
    """Returns the exact two-sided p-value of two shares, each given as (successes, failures).

    It is the sum over all tables with the same margins that are at most as likely as this one.
    """
    trials, hits = sum(first), first[0] + second[0]
    others = sum(second)
    table_counts = [
        math.comb(trials, count) * math.comb(others, hits - count)
        for count in range(max(0, hits - others), min(trials, hits) + 1)
    ]
    observed = math.comb(trials, first[0]) * math.comb(others, second[0])
    return sum(n for n in table_counts if n <= observed) / math.comb(trials + others, hits)


def compare_shares(
    first: tuple[int, int], second: tuple[int, int], *, alpha: float = SIGNIFICANCE_LEVEL
) -> Verdict:
    """Returns the verdict of two shares of different trials, such as 👍 and 👎 on two models."""
    if min(sum(first), sum(second)) < MIN_QUESTIONS or fisher_test(first, second) > alpha:
        return Verdict.UNDECIDED
    is_better = first[0] * sum(second) > second[0] * sum(first)
    return Verdict.BETTER if is_better else Verdict.WORSE


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """Returns Cohen's kappa (1960) of two raters: 1 is full agreement, 0 is chance.

    None without pairs, and if both raters always give the same single category.
    """
    total = len(pairs)
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    by_chance = sum(first[name] * second[name] for name in first)
    if total == 0 or by_chance == total * total:
        return None
    agreed = sum(a == b for a, b in pairs)
    return (agreed * total - by_chance) / (total * total - by_chance)


def rater_agreement(verdicts: Sequence[Mapping[str, str]]) -> float | None:
    """Returns the agreement of reviewers: Cohen's kappa for two, Fleiss' kappa (1971) for more.

    `verdicts` has a mapping by person for each item, of two people or more. If not all people
    judged all items, each item counts with its own number of raters (Fleiss, Levin and Paik 2003,
    18.3). None without items, and if there is only one verdict.
    """
    people = {person for item in verdicts for person in item}
    if len(people) == 2:
        first, second = sorted(people)
        return cohens_kappa([(item[first], item[second]) for item in verdicts])
    return fleiss_kappa([Counter(item.values()) for item in verdicts])


def fleiss_kappa(counts: Sequence[Mapping[str, int]]) -> float | None:
    """Returns Fleiss' kappa from each item's number of raters by category, at least two raters."""
    totals: Counter[str] = Counter()
    for item in counts:
        totals.update(item)
    total = totals.total()
    by_chance = sum((count / total) ** 2 for count in totals.values()) if total else 1.0
    if by_chance == 1.0:
        return None
    agreed = math.fsum(_agreeing_pairs(item) for item in counts) / len(counts)
    return (agreed - by_chance) / (1 - by_chance)


def _agreeing_pairs(counts: Mapping[str, int]) -> float:
    raters = sum(counts.values())
    same = math.fsum(count * (count - 1) for count in counts.values())
    return same / (raters * (raters - 1))


def wilson_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Returns Wilson's score interval of a share; 0 to 1 without trials."""
    if trials == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, shrink = successes / trials, 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(low, high)


def bootstrap_interval(
    differences: Sequence[float], *, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Returns the percentile bootstrap interval of the mean of paired differences.

    The same numbers and seed give the same interval. Above 500 differences fewer resamples are
    drawn, at least 200. Raises ValueError without any difference.
    """
    count = len(differences)
    if count == 0:
        raise ValueError("no differences")
    resamples = min(_RESAMPLES, max(200, _MAX_PICKS // count))
    draw = random.Random(seed).choices
    means = sorted(math.fsum(draw(differences, k=count)) / count for _ in range(resamples))
    tail = (1 - confidence) / 2
    return Interval(_quantile(means, tail), _quantile(means, 1 - tail))


def questions_needed(win_share: float) -> int | None:
    """Returns the number of questions without ties that the sign test needs for the power `POWER`.

    `win_share` is the true share of questions that a model wins. None above 500 questions.
    """
    if not 0 < win_share < 1 or win_share == 0.5:
        return None
    share = max(win_share, 1 - win_share)
    tried = range(MIN_QUESTIONS, _MAX_TRIALS + 1)
    return next((trials for trials in tried if _power(share, trials) >= TEST_POWER), None)


def _power(share: float, trials: int) -> float:
    """Returns the power of the sign test for a model that wins `share` of the trials."""
    losses, tail = -1, 0
    while 2 * (tail + math.comb(trials, losses + 1)) / (1 << trials) <= SIGNIFICANCE_LEVEL:
        losses += 1
        tail += math.comb(trials, losses)
    return math.fsum(
        math.exp(_log_binomial(trials, lost) + lost * math.log(1 - share)
                 + (trials - lost) * math.log(share))
        for lost in range(losses + 1)
    )  # fmt: skip


def _log_binomial(trials: int, chosen: int) -> float:
    return math.lgamma(trials + 1) - math.lgamma(chosen + 1) - math.lgamma(trials - chosen + 1)


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Returns a quantile, interpolated linearly like numpy's default."""
    position = share * (len(ordered) - 1)
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)
