"""The numbers of a verdict, against scipy and against simulated models."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bot.significance import (
    MIN_QUESTIONS,
    Verdict,
    bootstrap_interval,
    compare_scores,
    compare_wins,
    questions_needed,
    sign_test,
    wilson_interval,
)

COUNTS = st.integers(min_value=0, max_value=400)


@given(COUNTS, COUNTS)
def test_the_sign_test_is_scipys_binomial_test(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0

    assert sign_test(wins, losses) == pytest.approx(expected, abs=1e-9)


@given(COUNTS, COUNTS, st.sampled_from([0.8, 0.95, 0.99]))
def test_the_interval_of_a_share_is_scipys_wilson(
    wins: int, losses: int, confidence: float
) -> None:
    found = wilson_interval(wins, wins + losses, confidence=confidence)

    if wins + losses:
        of_scipy = stats.binomtest(wins, wins + losses).proportion_ci(confidence, "wilson")
        assert (found.low, found.high) == pytest.approx((of_scipy.low, of_scipy.high), abs=1e-9)
    else:
        assert (found.low, found.high) == (0.0, 1.0)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32), st.integers(12, 90))
def test_the_bootstrap_of_paired_scores_is_scipys(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    differences = rng.normal(0.1, 0.4, count)
    of_scipy = stats.bootstrap(
        (differences,), np.mean, method="percentile", n_resamples=4000, random_state=1
    )
    scale = float(np.std(differences)) / count**0.5

    found = bootstrap_interval(differences.tolist(), seed=7)

    assert found == bootstrap_interval(differences.tolist(), seed=7)
    assert found.low == pytest.approx(of_scipy.confidence_interval.low, abs=0.5 * scale)
    assert found.high == pytest.approx(of_scipy.confidence_interval.high, abs=0.5 * scale)


def simulated(seed: int, questions: int, win_share: float, tie_share: float = 0.0) -> Verdict:
    rng = random.Random(seed)
    differences = [
        0.0
        if rng.random() < tie_share
        else (1 if rng.random() < win_share else -1) * rng.uniform(0.1, 0.9)
        for _ in range(questions)
    ]
    return compare_scores(differences, margin=0.05, seed=seed).verdict


@pytest.mark.parametrize(
    ("questions", "win_share", "tie_share", "expected", "least"),
    [
        (60, 0.5, 0.0, Verdict.UNDECIDED, 95),
        (60, 0.5, 0.6, Verdict.UNDECIDED, 95),
        (12, 0.5, 0.3, Verdict.UNDECIDED, 95),
        (60, 0.7, 0.0, Verdict.BETTER, 80),
        (60, 0.3, 0.0, Verdict.WORSE, 80),
    ],
)
def test_of_a_hundred_simulated_models_so_many_get_the_right_verdict(
    questions: int, win_share: float, tie_share: float, expected: Verdict, least: int
) -> None:
    verdicts = [simulated(seed, questions, win_share, tie_share) for seed in range(100)]

    assert sum(verdict is expected for verdict in verdicts) >= least


@pytest.mark.parametrize("win_share", [0.7, 0.25, 0.95])
def test_so_many_questions_are_needed_as_scipys_binomial_says(
    win_share: float,
) -> None:
    needed = questions_needed(win_share)

    assert needed is not None
    assert _power_by_scipy(max(win_share, 1 - win_share), needed) >= 0.8
    fewer = range(MIN_QUESTIONS, needed)
    assert all(_power_by_scipy(max(win_share, 1 - win_share), count) < 0.8 for count in fewer)


def _power_by_scipy(share: float, trials: int) -> float:
    losses = np.arange(trials + 1)
    is_seen = 2 * stats.binom.cdf(losses, trials, 0.5) <= 0.05
    return float(stats.binom.pmf(losses[is_seen], trials, 1 - share).sum())


def test_an_even_chance_can_never_be_seen() -> None:
    assert questions_needed(0.5) is None


def test_few_questions_decide_nothing_however_they_end() -> None:
    assert compare_wins(MIN_QUESTIONS - 1, 0).verdict is Verdict.UNDECIDED
    assert compare_wins(MIN_QUESTIONS, 0).verdict is Verdict.BETTER
    assert compare_wins(0, 0).verdict is Verdict.UNDECIDED


def test_many_small_wins_against_a_few_large_losses_decide_nothing() -> None:
    result = compare_scores([0.06] * 30 + [-1.0] * 10, margin=0.05)

    assert result.p_value < 0.05
    assert result.difference is not None
    assert result.difference.high < 0
    assert result.verdict is Verdict.UNDECIDED


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
def test_changing_sides_changes_the_sign_and_the_verdict(differences: list[float]) -> None:
    one = compare_scores(differences, margin=0.05)
    other = compare_scores([-each for each in differences], margin=0.05)

    assert (one.wins, one.losses, one.ties) == (other.losses, other.wins, other.ties)
    opposite = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    assert other.verdict is opposite.get(one.verdict, Verdict.UNDECIDED)
