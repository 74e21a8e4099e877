"""The measures of a classifier, against scikit-learn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.rows import classification_metrics
from bot.rows.classification_metrics import OTHER_LABEL, accuracy, label_metrics

LABELS = ["ham", "spam", "unsure"]
PAIRS = st.lists(
    st.tuples(st.sampled_from(LABELS), st.sampled_from([*LABELS, "nonsense"])), min_size=1
)


@settings(deadline=None, max_examples=30)
@given(PAIRS, st.sampled_from([0.5, 1.0, 2.0]))
def test_they_are_as_scikit_learn_reckons_them(pairs: list[tuple[str, str]], beta: float) -> None:
    from sklearn.metrics import (  # takes two seconds, in each process that collects tests
        accuracy_score,
        confusion_matrix,
        precision_recall_fscore_support,
    )

    expected = [one for one, _ in pairs]
    said = [two if two in LABELS else OTHER_LABEL for _, two in pairs]
    known = [*LABELS, OTHER_LABEL]
    precision, recall, f_beta, count = precision_recall_fscore_support(
        expected, said, beta=beta, labels=LABELS, zero_division=0
    )

    confusion = classification_metrics.confusion_matrix(pairs, LABELS)

    assert accuracy(confusion) == pytest.approx(accuracy_score(expected, said))
    table = confusion_matrix(expected, said, labels=known)
    assert [list(confusion[label].values()) for label in LABELS] == table[:3].tolist()
    for at, label in enumerate(LABELS):
        found = label_metrics(confusion, label, betas=(beta,))
        assert (found.precision, found.recall, found.f_beta[beta], found.count) == pytest.approx(
            (precision[at], recall[at], f_beta[at], count[at])
        )
