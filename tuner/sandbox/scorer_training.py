"""Trains the scorer with one gradient step per mini-batch.

One BLAS thread is faster than several for products this small: start a training process with
`OPENBLAS_NUM_THREADS=1`.
"""

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from tuner.sandbox.features import Floats
from tuner.sandbox.model import Model, TrainingExample, log_total
from tuner.sandbox.text_terms import accuracy_tokens, normalise
from tuner.sandbox.training_pairs import TrainingPair, read_training_pairs

Method = Literal["supervised", "dpo"]
LossAndAccuracy = tuple[float, float]
"""Mean loss and mean token accuracy."""

NO_REPLY_INDEX = -1
SUPERVISED_LEARNING_RATE = 3.0
MIN_TRAINING_STEPS = 30
# Maximum number of rows, epochs, batch size.
AUTO_HYPERPARAMETERS = (
    (50, 30, 4),
    (300, 25, 8),
    (1_000, 15, 16),
    (5_000, 8, 32),
    (math.inf, 3, 32),
)


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """The resolved hyperparameters of a job."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    beta: float = 0.1


@dataclass(frozen=True, slots=True)
class Metrics:
    """Metrics of a step, computed before the step; the `full_` ones at the end of an epoch.

    Token accuracy is the share of words of the right reply that are at the same position in the
    picked reply. For preferences it is the share of pairs in which the preferred reply gained on
    the other one.
    """

    step: int
    total_steps: int
    epoch: int
    train_loss: float
    train_mean_token_accuracy: float
    valid_loss: float | None = None
    valid_mean_token_accuracy: float | None = None
    full_valid_loss: float | None = None
    full_valid_mean_token_accuracy: float | None = None


def resolve_hyperparameters(requested: Mapping[str, object], *, rows: int) -> Hyperparameters:
    """Replaces "auto" and missing hyperparameters by numbers."""
    rows = max(rows, 1)
    epochs, batch = _number(requested, "n_epochs"), _number(requested, "batch_size")
    auto_epochs, auto_batch = next(auto for most, *auto in AUTO_HYPERPARAMETERS if rows <= most)
    if epochs is not None:
        auto_batch = max(1, min(auto_batch, math.floor(epochs * rows / MIN_TRAINING_STEPS)))
    size = max(1, min(rows, int(batch or auto_batch)))
    auto_epochs = max(auto_epochs, math.ceil(MIN_TRAINING_STEPS / math.ceil(rows / size)))
    return Hyperparameters(
        n_epochs=max(1, int(epochs or auto_epochs)),
        batch_size=size,
        learning_rate_multiplier=_number(requested, "learning_rate_multiplier") or 1.0,
        beta=_number(requested, "beta") or 0.1,
    )


def _number(requested: Mapping[str, object], name: str) -> float | None:
    value = requested.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


@dataclass(frozen=True, slots=True)
class _Batch:
    """B examples: features [B, F] at the rows `indices` [F] of the weights, and their targets.

    `right` and `rejected` [B] are reply numbers; NO_REPLY_INDEX for a reply that was never
    taught.
    """

    indices: npt.NDArray[np.int32]
    features: Floats
    right: npt.NDArray[np.int64]
    rejected: npt.NDArray[np.int64] | None
    texts: list[str]


class _Dataset:
    """The pairs of a split as feature vectors and reply numbers of a model."""

    def __init__(self, model: Model, targets: Sequence[TrainingPair]) -> None:
        numbers = {reply: number for number, reply in enumerate(model.replies)}
        self._vectors = [model.features(pair.question, pair.earlier) for pair in targets]
        self._right = np.array([numbers.get(pair.reply, NO_REPLY_INDEX) for pair in targets])
        rejected = [pair.rejected for pair in targets if pair.rejected is not None]
        self._rejected = np.array([numbers.get(reply, NO_REPLY_INDEX) for reply in rejected])
        self._texts = [pair.reply for pair in targets]

    def __len__(self) -> int:
        return len(self._vectors)

    def batch(self, numbers: Sequence[int]) -> _Batch:
        selected = list(numbers)
        indices = np.unique(np.concatenate([self._vectors[n].indices for n in selected]))
        features = np.zeros((len(selected), len(indices)), dtype=np.float32)
        for row, number in enumerate(selected):
            vector = self._vectors[number]
            features[row, np.searchsorted(indices, vector.indices)] = vector.values
        rejected = self._rejected[selected] if len(self._rejected) else None
        texts = [self._texts[n] for n in selected]
        return _Batch(indices, features, self._right[selected], rejected, texts)

    def match_rejected_scores(self, model: Model, known_count: int) -> None:
        """Sets the score of new preferred replies to that of their known rejected reply."""
        pairs = zip(self._vectors, self._right.tolist(), self._rejected.tolist(), strict=True)
        for vector, right, rejected in pairs:
            if right >= known_count > rejected:
                weights = model.weights
                difference = weights[vector.indices, rejected] - weights[vector.indices, right]
                weights[vector.indices, right] += (vector.values @ difference) * vector.values

    def figures(self, model: Model, numbers: Sequence[int]) -> LossAndAccuracy:
        """Returns loss and accuracy over some examples, computed 64 at a time."""
        totals = np.zeros(2)
        for first in range(0, len(numbers), 64):
            part = numbers[first : first + 64]
            totals += np.array(_gradient(model, self.batch(part))[0]) * len(part)
        mean_loss, accuracy = (totals / len(numbers)).tolist()
        return mean_loss, accuracy


class Training:
    """A training that can be stopped after any step and resumed with identical results.

    Raises ValueError if no row has anything to learn.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, object]],
        validation: Sequence[Mapping[str, object]],
        *,
        method: Method,
        hyperparameters: Hyperparameters,
        seed: int,
        start_from: Model | None = None,
    ) -> None:
        targets = read_training_pairs(rows, method)
        self.method: Method = method
        self.hyperparameters = hyperparameters
        self.step = 0
        self._model = _initial_model(targets, start_from)
        self._train = _Dataset(self._model, targets)
        validation_targets = read_training_pairs(validation, method) if validation else []
        self._validation = _Dataset(self._model, validation_targets)
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(targets))
        self._steps_per_epoch = math.ceil(len(targets) / hyperparameters.batch_size)
        self.total_steps = self._steps_per_epoch * hyperparameters.n_epochs
        if method == "dpo":
            self._model.beta = hyperparameters.beta
        if method == "dpo" and start_from is not None:
            self._train.match_rejected_scores(self._model, len(start_from.replies))
            self._model.reference = self._model.weights.copy()

    def advance(self) -> Metrics:
        """Does one gradient step on the next mini-batch."""
        position, size = self.step % self._steps_per_epoch, self.hyperparameters.batch_size
        if position == 0 and self.step:
            self._order = self._random.permutation(len(self._order))
        batch = self._train.batch(self._order[position * size : (position + 1) * size].tolist())
        train_figures = self._descend(batch)
        epoch = self.step // self._steps_per_epoch + 1
        valid_figures = self._validation_figures(range(self.step * size, (self.step + 1) * size))
        self.step += 1
        is_last = self.step % self._steps_per_epoch == 0
        full_figures = self._validation_figures(range(len(self._validation)) if is_last else ())
        return Metrics(
            self.step, self.total_steps, epoch, *train_figures, *valid_figures, *full_figures
        )

    def _descend(self, batch: _Batch) -> LossAndAccuracy:
        """Updates the weights against the gradient; returns the metrics before the update.

        The step is divided by the largest row sum of the batch's Gram matrix, an upper bound of
        its largest eigenvalue, so that similar questions do not move their common terms too far
        at once.
        """
        gram = np.abs(batch.features @ batch.features.T).sum(axis=1).max(initial=1.0)
        model = self._model
        figures, gradient = _gradient(model, batch)
        step = SUPERVISED_LEARNING_RATE if batch.rejected is None else 1.0 / model.beta**2
        rate = np.float32(step * self.hyperparameters.learning_rate_multiplier / float(gram))
        model.weights[batch.indices] -= batch.features.T @ (gradient * rate)
        return figures

    def _validation_figures(self, positions: Sequence[int]) -> LossAndAccuracy | tuple[None, None]:
        """Returns the metrics of validation examples; positions wrap around."""
        count = len(self._validation)
        if not count or not positions:
            return None, None
        return self._validation.figures(self._model, [position % count for position in positions])

    def model(self) -> Model:
        """Returns a copy of the current model."""
        return replace(self._model, weights=self._model.weights.copy())

    def state(self) -> bytes:
        """Returns weights, progress and random state, for `restore` with the same rows."""
        progress = {
            "step": self.step,
            "random": self._random.bit_generator.state,
            "hyperparameters": asdict(self.hyperparameters),
        }
        file = io.BytesIO()
        packed = np.frombuffer(json.dumps(progress).encode(), dtype=np.uint8)
        np.savez(file, progress=packed, order=self._order, weights=self._model.weights)
        return file.getvalue()

    def restore(self, state: bytes) -> None:
        """Resumes from a state. Raises ValueError if its rows or settings were different."""
        with np.load(io.BytesIO(state), allow_pickle=False) as file:
            progress = json.loads(file["progress"].tobytes())
            order, weights = file["order"], file["weights"]
        has_same_shape = weights.shape == self._model.weights.shape and len(order) == len(
            self._order
        )
        if not has_same_shape or progress["hyperparameters"] != asdict(self.hyperparameters):
            raise ValueError("This saved training was begun with other rows or other settings.")
        self.step = progress["step"]
        self._random.bit_generator.state = progress["random"]
        self._order, self._model.weights = order, weights


def loss_and_accuracy(model: Model, rows: Sequence[Mapping[str, object]]) -> LossAndAccuracy:
    """Returns loss and accuracy of a model on rows. Raises ValueError without targets."""
    is_dpo = any("preferred_output" in row for row in rows)
    dataset = _Dataset(model, read_training_pairs(rows, "dpo" if is_dpo else "supervised"))
    return dataset.figures(model, range(len(dataset)))


def _gradient(model: Model, batch: _Batch) -> tuple[LossAndAccuracy, Floats]:
    """Returns the metrics of a batch, and the gradient [B, C] of its summed loss by the scores."""
    scores = _with_none(batch.features @ model.weights[batch.indices])
    if batch.rejected is None:
        return _cross_entropy_gradient(model, batch, scores)
    if model.reference is not None:
        scores = scores - _with_none(batch.features @ model.reference[batch.indices])
    return _dpo_gradient(model.beta, batch.right, batch.rejected, scores)


def _cross_entropy_gradient(
    model: Model, batch: _Batch, scores: Floats
) -> tuple[LossAndAccuracy, Floats]:
    rows = np.arange(len(scores))
    totals = log_total(scores[:, :-1].astype(np.float64))
    losses = totals - scores[rows, batch.right]
    gradient = np.exp(scores - totals[:, None]).astype(np.float32)
    gradient[rows, batch.right] -= 1
    pairs = zip(scores.argmax(axis=1).tolist(), batch.right.tolist(), batch.texts, strict=True)
    accuracy = [_token_accuracy(model.replies, pick, right, text) for pick, right, text in pairs]
    return (float(losses.mean()), sum(accuracy) / len(accuracy)), gradient[:, :-1]


def _dpo_gradient(
    beta: float, right: npt.NDArray[np.int64], rejected: npt.NDArray[np.int64], scores: Floats
) -> tuple[LossAndAccuracy, Floats]:
    """Returns metrics and gradient of DPO (equation 7).

    Rafailov et al., "Direct preference optimization", 2023.
    """
    rows = np.arange(len(scores))
    margins = (scores[rows, right] - scores[rows, rejected]).astype(np.float64)
    pull = (beta / (1 + np.exp(np.minimum(beta * margins, 700)))).astype(np.float32)
    gradient = np.zeros_like(scores)
    np.add.at(gradient, (rows, right), -pull)
    np.add.at(gradient, (rows, rejected), pull)
    losses = np.logaddexp(0.0, -beta * margins)
    return (float(losses.mean()), float((margins > 0).mean())), gradient[:, :-1]


def _with_none(scores: Floats) -> Floats:
    """Adds the column of "none of these", whose score is always 0 and whose number is -1."""
    return np.concatenate([scores, np.zeros((len(scores), 1), dtype=np.float32)], axis=1)


def _token_accuracy(replies: Sequence[str], pick: int, right: int, text: str) -> float:
    if pick == right or pick == len(replies):
        return float(pick == right)
    picked_tokens, right_tokens = accuracy_tokens(replies[pick]), accuracy_tokens(text)
    return sum(a == b for a, b in zip(picked_tokens, right_tokens, strict=False)) / len(
        right_tokens
    )


def _initial_model(targets: Sequence[TrainingPair], start_from: Model | None) -> Model:
    """Returns the model before the first step; new replies have zero weights."""
    replies = list(start_from.replies) if start_from else []
    for target in targets:
        replies += [reply for reply in (target.reply, target.rejected) if reply is not None]
    replies = list(dict.fromkeys(replies))
    size = 2048 if len(replies) > 2000 else 4096
    weights = np.zeros((size, len(replies)), dtype=np.float32)
    if start_from:
        earlier_weights = start_from.weights
        weights = np.zeros((len(earlier_weights), len(replies)), dtype=np.float32)
        weights[:, : earlier_weights.shape[1]] = earlier_weights
    return Model(replies, weights, _examples(targets, replies, start_from))


def _examples(
    targets: Sequence[TrainingPair], replies: Sequence[str], start_from: Model | None
) -> list[TrainingExample]:
    """Returns the new examples, and those of the earlier model that were not taught again."""
    numbers = {reply: number for number, reply in enumerate(replies)}
    taught = [
        TrainingExample(target.question, target.earlier, numbers[target.reply])
        for target in targets
    ]
    taught_keys = {_key(example) for example in taught}
    earlier = start_from.examples if start_from else []
    unchanged = [example for example in earlier if _key(example) not in taught_keys]
    return list(dict.fromkeys([*unchanged, *taught]))


def _key(example: TrainingExample) -> tuple[str, str]:
    return normalise(example.question), normalise(example.earlier)
