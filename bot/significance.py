"""Whether two models differ by more than chance, from results on the same questions.

Pure functions, without numpy, so that every use-case may call them. The formulas and their sources
are in docs/understand/evaluation-numbers.md.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

ALPHA = 0.05
"""The share of equal models that may be called different."""
FEWEST_QUESTIONS = 8
"""With fewer questions no verdict is given."""
POWER = 0.8
_RESAMPLES = 2000
_MOST_PICKS = 1_000_000
_MOST_TRIALS = 500


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
    """Of the first model against the second, question by question.

    `win_share` is the 95 % interval of wins among the questions that are no tie; `difference` that
    of the mean difference of scores, None where there are only wins and losses.
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
    """The verdict of votes, or of anything that is won, lost or a tie."""
    p_value = sign_test(wins, losses)
    verdict = Verdict.UNDECIDED
    if wins + losses + ties >= FEWEST_QUESTIONS and p_value <= ALPHA:
        verdict = Verdict.BETTER if wins > losses else Verdict.WORSE
    return PairedResult(wins, losses, ties, p_value, wilson(wins, wins + losses), verdict)


def compare_scores(
    differences: Sequence[float], *, margin: float = 0.0, seed: int = 0
) -> PairedResult:
    """The verdict of paired scores: each the first model's score minus the second's.

    Differences of at most `margin` are ties. Where wins and mean scores contradict each other
    beyond chance, the verdict is undecided.
    """
    wins = sum(one > margin for one in differences)
    losses = sum(one < -margin for one in differences)
    counted = compare_wins(wins, losses, len(differences) - wins - losses)
    if not differences:
        return counted
    mean, interval = math.fsum(differences) / len(differences), bootstrap(differences, seed=seed)
    is_denied = {
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
        Verdict.UNDECIDED if is_denied else counted.verdict,
        mean,
        interval,
    )


def sign_test(wins: int, losses: int) -> float:
    """The exact two-sided p-value of so many wins and losses, were both equally likely."""
    trials = wins + losses
    tail = sum(math.comb(trials, count) for count in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / (1 << trials))


def fisher_test(first: tuple[int, int], second: tuple[int, int]) -> float:
    """The exact two-sided p-value of two shares, each given as how many did and did not.

    The sum over all tables with the same margins that are at most as likely as this one.
    """
    trials, hits = sum(first), first[0] + second[0]
    others = sum(second)
    ways = [
        math.comb(trials, count) * math.comb(others, hits - count)
        for count in range(max(0, hits - others), min(trials, hits) + 1)
    ]
    seen = math.comb(trials, first[0]) * math.comb(others, second[0])
    return sum(one for one in ways if one <= seen) / math.comb(trials + others, hits)


def compare_shares(
    first: tuple[int, int], second: tuple[int, int], *, alpha: float = ALPHA
) -> Verdict:
    """The verdict of two shares of different trials, such as 👍 and 👎 on two models' answers."""
    if min(sum(first), sum(second)) < FEWEST_QUESTIONS or fisher_test(first, second) > alpha:
        return Verdict.UNDECIDED
    is_better = first[0] * sum(second) > second[0] * sum(first)
    return Verdict.BETTER if is_better else Verdict.WORSE


def cohens_kappa(pairs: Sequence[tuple[str, str]]) -> float | None:
    """How far two judges agree beyond chance, 1 for always (Cohen 1960).

    None without any pair, and where both always say the same one thing, as chance agrees then too.
    """
    total = len(pairs)
    ours, theirs = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    by_chance = sum(ours[name] * theirs[name] for name in ours)
    if total == 0 or by_chance == total * total:
        return None
    agreed = sum(one == other for one, other in pairs)
    return (agreed * total - by_chance) / (total * total - by_chance)


def agreement(verdicts: Sequence[Mapping[str, str]]) -> float | None:
    """How far reviewers agree beyond chance: for two Cohen's kappa, for more Fleiss' (1971).

    One mapping for each thing that was judged: who said what, two people or more. Where not all
    judged everything, each thing counts with its own number of raters (Fleiss, Levin and Paik
    2003, 18.3). None where there is nothing, or nothing but one verdict.
    """
    people = {person for one in verdicts for person in one}
    if len(people) == 2:
        first, second = sorted(people)
        return cohens_kappa([(one[first], one[second]) for one in verdicts])
    return fleiss_kappa([Counter(one.values()) for one in verdicts])


def fleiss_kappa(counts: Sequence[Mapping[str, int]]) -> float | None:
    """Of how many raters put each thing into which category; two raters or more of each thing."""
    whole: Counter[str] = Counter()
    for one in counts:
        whole.update(one)
    total = whole.total()
    by_chance = sum((count / total) ** 2 for count in whole.values()) if total else 1.0
    if by_chance == 1.0:
        return None
    agreed = math.fsum(_agreeing_pairs(one) for one in counts) / len(counts)
    return (agreed - by_chance) / (1 - by_chance)


def _agreeing_pairs(counts: Mapping[str, int]) -> float:
    raters = sum(counts.values())
    same = math.fsum(count * (count - 1) for count in counts.values())
    return same / (raters * (raters - 1))


def wilson(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a share; 0 to 1 where nothing was tried."""
    if trials == 0:
        return Interval(0.0, 1.0)
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, shrink = successes / trials, 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / shrink
    half = z / shrink * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(low, high)


def bootstrap(differences: Sequence[float], *, confidence: float = 0.95, seed: int = 0) -> Interval:
    """The percentile bootstrap interval of the mean of paired differences.

    The same numbers and seed give the same interval. Above 500 differences fewer resamples are
    drawn, at least 200. Raises ValueError without any difference.
    """
    count = len(differences)
    if count == 0:
        raise ValueError("no differences")
    resamples = min(_RESAMPLES, max(200, _MOST_PICKS // count))
    draw = random.Random(seed).choices
    means = sorted(math.fsum(draw(differences, k=count)) / count for _ in range(resamples))
    tail = (1 - confidence) / 2
    return Interval(_quantile(means, tail), _quantile(means, 1 - tail))


def questions_needed(win_share: float) -> int | None:
    """The smallest number of questions without ties on which the sign test would probably see it.

    A model that wins `win_share` of the questions gets the right verdict with the probability
    `POWER`. None where that takes more than 500.
    """
    if not 0 < win_share < 1 or win_share == 0.5:
        return None
    share = max(win_share, 1 - win_share)
    tried = range(FEWEST_QUESTIONS, _MOST_TRIALS + 1)
    return next((trials for trials in tried if _power(share, trials) >= POWER), None)


def _power(share: float, trials: int) -> float:
    """How likely the sign test is to call a model better that wins `share` of the trials."""
    losses, tail = -1, 0
    while 2 * (tail + math.comb(trials, losses + 1)) / (1 << trials) <= ALPHA:
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
    """Linear between the two nearest values, as numpy's default."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
