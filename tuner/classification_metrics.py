"""Classification metrics of a job, with the names of OpenAI's first fine-tuning API.

`compute_classification_metrics`, `classification_n_classes`, `classification_positive_class` and
`classification_betas` of `POST /v1/fine-tunes` are accepted at the top level of a job or among
its hyperparameters. A label is a whole taught reply without surrounding whitespace.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from bot.rows.classification_metrics import accuracy, confusion_matrix, label_metrics
from tuner.training_interface import JobRejected, Row

COMPUTE_METRICS_FIELD = "compute_classification_metrics"
CLASS_COUNT_FIELD = "classification_n_classes"
POSITIVE_CLASS_FIELD = "classification_positive_class"
BETAS_FIELD = "classification_betas"
CLASSIFICATION_FIELDS = (
    COMPUTE_METRICS_FIELD,
    CLASS_COUNT_FIELD,
    POSITIVE_CLASS_FIELD,
    BETAS_FIELD,
)
METRIC_PREFIX = "classification/"

Messages = Sequence[Mapping[str, object]]
AnswerMessages = Callable[[Messages], str]


@dataclass(frozen=True, slots=True)
class Classification:
    """The labels, and the positive one of two; None for more than two labels."""

    labels: Sequence[str]
    positive: str | None
    betas: Sequence[float]

    @property
    def longest_label_length(self) -> int:
        """Length of the longest label in characters."""
        return max(map(len, self.labels))

    def measures(self, rows: Iterable[Row], answer: AnswerMessages) -> dict[str, float]:
        """Returns the metrics of validation rows; `answer` answers the messages of a row."""
        pairs = [(label_of(row), answer(messages_of(row)[:-1]).strip()) for row in rows]
        confusion = confusion_matrix(pairs, self.labels)
        metrics = {"accuracy": accuracy(confusion)}
        if self.positive is None:
            by_label = [label_metrics(confusion, label) for label in self.labels]
            weighted = sum(
                label_metrics.f_beta[1.0] * label_metrics.count for label_metrics in by_label
            )
            metrics["weighted_f1-score"] = weighted / len(pairs)
        else:
            positive = label_metrics(confusion, self.positive, betas=self.betas)
            metrics |= {"precision": positive.precision, "recall": positive.recall}
            metrics |= {f"f{beta:g}": value for beta, value in positive.f_beta.items()}
        return {f"{METRIC_PREFIX}{name}": value for name, value in metrics.items()}


def classification_of(
    hyperparameters: Mapping[str, object], training: Sequence[Row], validation: Sequence[Row]
) -> Classification | None:
    """Returns the classification that a job requests, or None. Raises JobRejected."""
    if hyperparameters.get(COMPUTE_METRICS_FIELD) is not True:
        return None
    labels = sorted({label_of(row) for row in (*training, *validation)})
    positive, classes = (
        hyperparameters.get(POSITIVE_CLASS_FIELD),
        hyperparameters.get(CLASS_COUNT_FIELD),
    )
    if not isinstance(positive, str):
        if len(labels) != classes:
            _reject(
                CLASS_COUNT_FIELD, f"The files have {len(labels)} different replies, not {classes}."
            )
        return Classification(labels, None, ())
    if len(labels) != 2:
        _reject(
            POSITIVE_CLASS_FIELD,
            f"A positive class is for two labels, and the files have {len(labels)}.",
        )
    if positive.strip() not in labels:
        _reject(
            POSITIVE_CLASS_FIELD,
            f"No reply in the files is '{positive}'; they are {' and '.join(labels)}.",
        )
    betas = hyperparameters.get(BETAS_FIELD)
    numbers = [float(beta) for beta in betas] if isinstance(betas, list) else []
    return Classification(labels, positive.strip(), numbers or [1.0])


def label_of(row: Row) -> str:
    content = messages_of(row)[-1].get("content")
    return content.strip() if isinstance(content, str) else ""


def messages_of(row: Row) -> Messages:
    messages = row.get("messages")
    return (
        [message for message in messages if isinstance(message, Mapping)]
        if isinstance(messages, list)
        else []
    )


def metrics_sentence(measures: Mapping[str, float]) -> str:
    """Returns the message of the event with these metrics."""
    parts = (f"{name.removeprefix(METRIC_PREFIX)}={value:.4f}" for name, value in measures.items())
    return f"Classification metrics: {', '.join(parts)}"


def _reject(param: str, message: str) -> None:
    raise JobRejected(f"invalid_{param}", message, param)
