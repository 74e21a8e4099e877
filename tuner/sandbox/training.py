"""Trains the scorer, one gradient step on one mini-batch at a time.

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
from tuner.sandbox.targets import TrainingPair, read_targets
from tuner.sandbox.text import accuracy_tokens, normalise

Method = Literal["supervised", "dpo"]
Figures = tuple[float, float]
"""Mean loss and mean token accuracy."""

NONE_OF_THESE = -1
SUPERVISED_STEP = 3.0
LEAST_STEPS = 30
# Up to so many rows: epochs, batch size.
AUTOMATIC = ((50, 30, 4), (300, 25, 8), (1_000, 15, 16), (5_000, 8, 32), (math.inf, 3, 32))


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a job trains with, in numbers."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    beta: float = 0.1


@dataclass(frozen=True, slots=True)
class Metrics:
    """One step's figures, taken before the step; the `full_` ones at the end of an epoch.

    Token accuracy is the share of the right reply's words that stand at the same position in
    the reply the scorer picks. For preferences it is the share of pairs in which the preferred
    reply gained on the other one.
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


def resolve(requested: Mapping[str, object], *, rows: int) -> Hyperparameters:
    """Puts numbers in place of "auto" and of what is absent."""
    rows = max(rows, 1)
    epochs, batch = _number(requested, "n_epochs"), _number(requested, "batch_size")
    auto_epochs, auto_batch = next(auto for most, *auto in AUTOMATIC if rows <= most)
    if epochs is not None:
        auto_batch = max(1, min(auto_batch, math.floor(epochs * rows / LEAST_STEPS)))
    size = max(1, min(rows, int(batch or auto_batch)))
    auto_epochs = max(auto_epochs, math.ceil(LEAST_STEPS / math.ceil(rows / size)))
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

    `right` and `rejected` [B] are reply numbers; NONE_OF_THESE for a reply never taught.
    """

    indices: npt.NDArray[np.int32]
    features: Floats
    right: npt.NDArray[np.int64]
    rejected: npt.NDArray[np.int64] | None
    texts: list[str]


class _Dataset:
    """The targets of a split as vectors and reply numbers of a model."""

    def __init__(self, model: Model, targets: Sequence[TrainingPair]) -> None:
        numbers = {reply: number for number, reply in enumerate(model.replies)}
        self._vectors = [model.features(one.question, one.earlier) for one in targets]
        self._right = np.array([numbers.get(one.reply, NONE_OF_THESE) for one in targets])
        rejected = [one.rejected for one in targets if one.rejected is not None]
        self._rejected = np.array([numbers.get(reply, NONE_OF_THESE) for reply in rejected])
        self._texts = [one.reply for one in targets]

    def __len__(self) -> int:
        return len(self._vectors)

    def batch(self, chosen: Sequence[int]) -> _Batch:
        listed = list(chosen)
        indices = np.unique(np.concatenate([self._vectors[n].indices for n in listed]))
        features = np.zeros((len(listed), len(indices)), dtype=np.float32)
        for row, number in enumerate(listed):
            vector = self._vectors[number]
            features[row, np.searchsorted(indices, vector.indices)] = vector.values
        rejected = self._rejected[listed] if len(self._rejected) else None
        texts = [self._texts[n] for n in listed]
        return _Batch(indices, features, self._right[listed], rejected, texts)

    def level(self, model: Model, known: int) -> None:
        """Gives each new preferred reply the score of the known one it is preferred to."""
        pairs = zip(self._vectors, self._right.tolist(), self._rejected.tolist(), strict=True)
        for vector, right, rejected in pairs:
            if right >= known > rejected:
                weights = model.weights
                lead = weights[vector.indices, rejected] - weights[vector.indices, right]
                weights[vector.indices, right] += (vector.values @ lead) * vector.values

    def figures(self, model: Model, chosen: Sequence[int]) -> Figures:
        """Over some examples, 64 at a time."""
        totals = np.zeros(2)
        for first in range(0, len(chosen), 64):
            some = chosen[first : first + 64]
            totals += np.array(_gradient(model, self.batch(some))[0]) * len(some)
        mean_loss, accuracy = (totals / len(chosen)).tolist()
        return mean_loss, accuracy


class Training:
    """A training that can be stopped after any step and taken up again to the same bytes.

    Raises ValueError where no row has anything to learn.
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
        targets = read_targets(rows, method)
        self.method: Method = method
        self.hyperparameters = hyperparameters
        self.step = 0
        self._model = _untrained(targets, start_from)
        self._train = _Dataset(self._model, targets)
        held_out = read_targets(validation, method) if validation else []
        self._validation = _Dataset(self._model, held_out)
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(targets))
        self._per_epoch = math.ceil(len(targets) / hyperparameters.batch_size)
        self.total_steps = self._per_epoch * hyperparameters.n_epochs
        if method == "dpo":
            self._model.beta = hyperparameters.beta
        if method == "dpo" and start_from is not None:
            self._train.level(self._model, len(start_from.replies))
            self._model.reference = self._model.weights.copy()

    def advance(self) -> Metrics:
        """Takes one gradient step on the next mini-batch."""
        at, size = self.step % self._per_epoch, self.hyperparameters.batch_size
        if at == 0 and self.step:
            self._order = self._random.permutation(len(self._order))
        batch = self._train.batch(self._order[at * size : (at + 1) * size].tolist())
        before = self._descend(batch)
        epoch = self.step // self._per_epoch + 1
        partial = self._validated(range(self.step * size, (self.step + 1) * size))
        self.step += 1
        is_last = self.step % self._per_epoch == 0
        full = self._validated(range(len(self._validation)) if is_last else ())
        return Metrics(self.step, self.total_steps, epoch, *before, *partial, *full)

    def _descend(self, batch: _Batch) -> Figures:
        """Moves the weights against the gradient; the figures are those from before.

        The step is divided by the largest row sum of the batch's Gram matrix, an upper bound of
        its largest eigenvalue, so that questions of one kind do not push their common terms too
        far at once.
        """
        gram = np.abs(batch.features @ batch.features.T).sum(axis=1).max(initial=1.0)
        model = self._model
        figures, gradient = _gradient(model, batch)
        step = SUPERVISED_STEP if batch.rejected is None else 1.0 / model.beta**2
        rate = np.float32(step * self.hyperparameters.learning_rate_multiplier / float(gram))
        model.weights[batch.indices] -= batch.features.T @ (gradient * rate)
        return figures

    def _validated(self, positions: Sequence[int]) -> Figures | tuple[None, None]:
        """The held-out examples at these positions, counted round and round."""
        count = len(self._validation)
        if not count or not positions:
            return None, None
        return self._validation.figures(self._model, [at % count for at in positions])

    def model(self) -> Model:
        """The model as of now, ready to answer."""
        return replace(self._model, weights=self._model.weights.copy())

    def state(self) -> bytes:
        """Weights, progress and randomness: all that `restore` needs beside the same rows."""
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
        """Goes on from a state of the same rows and settings. Raises ValueError for others."""
        with np.load(io.BytesIO(state), allow_pickle=False) as file:
            progress = json.loads(file["progress"].tobytes())
            order, weights = file["order"], file["weights"]
        same = weights.shape == self._model.weights.shape and len(order) == len(self._order)
        if not same or progress["hyperparameters"] != asdict(self.hyperparameters):
            raise ValueError("This saved training was begun with other rows or other settings.")
        self.step = progress["step"]
        self._random.bit_generator.state = progress["random"]
        self._order, self._model.weights = order, weights


def loss(model: Model, rows: Sequence[Mapping[str, object]]) -> Figures:
    """The figures of a model on rows of either kind. Raises ValueError where nothing is taught."""
    is_dpo = any("preferred_output" in row for row in rows)
    measured = _Dataset(model, read_targets(rows, "dpo" if is_dpo else "supervised"))
    return measured.figures(model, range(len(measured)))


def _gradient(model: Model, batch: _Batch) -> tuple[Figures, Floats]:
    """The figures of a batch, and the gradient [B, C] of its summed loss by the scores."""
    scores = _with_none(batch.features @ model.weights[batch.indices])
    if batch.rejected is None:
        return _cross_entropy_gradient(model, batch, scores)
    if model.reference is not None:
        scores = scores - _with_none(batch.features @ model.reference[batch.indices])
    return _dpo_gradient(model.beta, batch.right, batch.rejected, scores)


def _cross_entropy_gradient(model: Model, batch: _Batch, scores: Floats) -> tuple[Figures, Floats]:
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
) -> tuple[Figures, Floats]:
    """Rafailov et al., "Direct preference optimization", 2023, equation 7."""
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
    said, wanted = accuracy_tokens(replies[pick]), accuracy_tokens(text)
    return sum(a == b for a, b in zip(said, wanted, strict=False)) / len(wanted)


def _untrained(targets: Sequence[TrainingPair], start_from: Model | None) -> Model:
    """The model before the first step: new replies have weights of zero."""
    replies = list(start_from.replies) if start_from else []
    for target in targets:
        replies += [reply for reply in (target.reply, target.rejected) if reply is not None]
    replies = list(dict.fromkeys(replies))
    size = 2048 if len(replies) > 2000 else 4096
    weights = np.zeros((size, len(replies)), dtype=np.float32)
    if start_from:
        known = start_from.weights
        weights = np.zeros((len(known), len(replies)), dtype=np.float32)
        weights[:, : known.shape[1]] = known
    return Model(replies, weights, _examples(targets, replies, start_from))


def _examples(
    targets: Sequence[TrainingPair], replies: Sequence[str], start_from: Model | None
) -> list[TrainingExample]:
    """The examples of the model before, unless taught otherwise now, and the new ones."""
    numbers = {reply: number for number, reply in enumerate(replies)}
    taught = [TrainingExample(one.question, one.earlier, numbers[one.reply]) for one in targets]
    retaught = {_key(example) for example in taught}
    before = start_from.examples if start_from else []
    kept = [example for example in before if _key(example) not in retaught]
    return list(dict.fromkeys([*kept, *taught]))


def _key(example: TrainingExample) -> tuple[str, str]:
    return normalise(example.question), normalise(example.earlier)
