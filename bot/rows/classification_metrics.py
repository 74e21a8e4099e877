"""Classification metrics from expected and given labels; pure functions.

Definitions: scikit-learn's `precision_recall_fscore_support` with `zero_division=0`; an answer that
is not one of the labels counts as a wrong label of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

OTHER_LABEL = "other"
"""Column of a confusion matrix for answers that are none of the labels."""

_MAX_LABELS, _MAX_LABEL_LENGTH, _MIN_PER_LABEL = 30, 40, 5

ConfusionMatrix = Mapping[str, Mapping[str, int]]
"""Confusion matrix: counts by expected label (first key) and answered label (second key)."""


@dataclass(frozen=True, slots=True)
class LabelMetrics:
    precision: float
    recall: float
    f_beta: Mapping[float, float]
    count: int
    """Number of times that the label was expected."""


def find_labels(answers: Mapping[str, int]) -> list[tuple[str, int]]:
    """Returns (answer, count), most frequent first, if the answers look like class labels.

    Class labels are few, short and repeated; otherwise the list is empty.
    """
    are_few = 2 <= len(answers) <= _MAX_LABELS
    are_repeated = sum(answers.values()) >= _MIN_PER_LABEL * len(answers)
    if not are_few or not are_repeated or max(map(len, answers)) > _MAX_LABEL_LENGTH:
        return []
    return Counter(answers).most_common()


def confusion_matrix(pairs: Iterable[tuple[str, str]], labels: Sequence[str]) -> ConfusionMatrix:
    """Returns the confusion matrix of (expected, answered) pairs; each label has a row."""
    counted = Counter(
        (expected, answered if answered in labels else OTHER_LABEL) for expected, answered in pairs
    )
    rows = {label: dict.fromkeys((*labels, OTHER_LABEL), 0) for label in labels}
    for (expected, answered), count in counted.items():
        rows[expected][answered] += count
    return rows


def accuracy(confusion: ConfusionMatrix) -> float:
    total = sum(sum(row.values()) for row in confusion.values())
    right = sum(row[label] for label, row in confusion.items())
    return right / total if total else 0.0


def label_metrics(
    confusion: ConfusionMatrix, label: str, *, betas: Sequence[float] = (1.0,)
) -> LabelMetrics:
    right = confusion[label][label]
    answered = sum(row[label] for row in confusion.values())
    expected = sum(confusion[label].values())
    precision = right / answered if answered else 0.0
    recall = right / expected if expected else 0.0
    f_beta = {beta: _f_beta(precision, recall, beta) for beta in betas}
    return LabelMetrics(precision, recall, f_beta, expected)


def _f_beta(precision: float, recall: float, beta: float) -> float:
    weighted = beta * beta * precision + recall
    return (1 + beta * beta) * precision * recall / weighted if weighted else 0.0
