"""The measures of a classifier that a job can ask for, by the names of OpenAI's first fine-tuning.

`compute_classification_metrics`, `classification_n_classes`, `classification_positive_class` and
`classification_betas` of `POST /v1/fine-tunes`, taken here at the top level of a job or among its
hyperparameters. A label is a whole taught reply, apart from blanks around it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.rows.classification import accuracy, confusion_of, metrics_of
from tuner.training_run import Rejected, Row

COMPUTE = "compute_classification_metrics"
CLASSES = "classification_n_classes"
POSITIVE = "classification_positive_class"
BETAS = "classification_betas"
FIELDS = (COMPUTE, CLASSES, POSITIVE, BETAS)
PREFIX = "classification/"

Messages = Sequence[Mapping[str, object]]
Answer = Callable[[Messages], str]


@dataclass(frozen=True, slots=True)
class Classification:
    """Which labels there are, and which of two is the positive one; None for more than two."""

    labels: Sequence[str]
    positive: str | None
    betas: Sequence[float]

    @property
    def longest_label_length(self) -> int:
        """Characters of the longest label."""
        return max(map(len, self.labels))

    def measures(self, rows: Iterable[Row], answer: Answer) -> dict[str, float]:
        """Of the held-out rows, each answered from what comes before its reply."""
        pairs = [(label_of(row), answer(messages_of(row)[:-1]).strip()) for row in rows]
        confusion = confusion_of(pairs, self.labels)
        found = {"accuracy": accuracy(confusion)}
        if self.positive is None:
            by_label = [metrics_of(confusion, label) for label in self.labels]
            weighted = sum(one.f_beta[1.0] * one.count for one in by_label)
            found["weighted_f1-score"] = weighted / len(pairs)
        else:
            positive = metrics_of(confusion, self.positive, betas=self.betas)
            found |= {"precision": positive.precision, "recall": positive.recall}
            found |= {f"f{beta:g}": value for beta, value in positive.f_beta.items()}
        return {f"{PREFIX}{name}": value for name, value in found.items()}


def classification_of(
    asked: Mapping[str, object], training: Sequence[Row], validation: Sequence[Row]
) -> Classification | None:
    """What a job asks to be measured; None where it does not. Raises Rejected."""
    if asked.get(COMPUTE) is not True:
        return None
    labels = sorted({label_of(row) for row in (*training, *validation)})
    positive, classes = asked.get(POSITIVE), asked.get(CLASSES)
    if not isinstance(positive, str):
        if len(labels) != classes:
            _reject(CLASSES, f"The files have {len(labels)} different replies, not {classes}.")
        return Classification(labels, None, ())
    if len(labels) != 2:
        _reject(POSITIVE, f"A positive class is for two labels, and the files have {len(labels)}.")
    if positive.strip() not in labels:
        _reject(
            POSITIVE, f"No reply in the files is '{positive}'; they are {' and '.join(labels)}."
        )
    betas = asked.get(BETAS)
    wanted = [float(beta) for beta in betas] if isinstance(betas, list) else []
    return Classification(labels, positive.strip(), wanted or [1.0])


def label_of(row: Row) -> str:
    content = messages_of(row)[-1].get("content")
    return content.strip() if isinstance(content, str) else ""


def messages_of(row: Row) -> Messages:
    listed = row.get("messages")
    return [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []


def metrics_sentence(measures: Mapping[str, float]) -> str:
    """As it is said in an event."""
    said = (f"{name.removeprefix(PREFIX)}={value:.4f}" for name, value in measures.items())
    return f"Classification metrics: {', '.join(said)}"


def _reject(param: str, message: str) -> None:
    raise Rejected(f"invalid_{param}", message, param)
