"""Trains the scorer, one gradient step on one mini-batch at a time.

The products are small: one BLAS thread is faster than several, many times so on a busy machine,
so a training process is best started with `OPENBLAS_NUM_THREADS=1`.
"""

import io
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tuner.sandbox import words
from tuner.sandbox.calibration import limit_of
from tuner.sandbox.features import LONGEST_QUESTION, Floats, Vector, Vocabulary
from tuner.sandbox.lessons import Target, chat_targets, preference_targets
from tuner.sandbox.scorer import Lesson, Model, log_total

Method = Literal["supervised", "dpo"]
Ints = npt.NDArray[np.int64]

PLACES = 4096
PLACES_OF_MANY = 2048
MANY_REPLIES = 2000
NONE_OF_THESE = -1
FIRST_STEP = 3.0
FEWEST_STEPS = 30
TOKEN = re.compile(rf"[{words.CJK}]|[^\s{words.CJK}]+")
AUTO_EPOCHS = ((50, 30), (300, 25), (1_000, 15), (5_000, 8), (math.inf, 3))
AUTO_BATCHES = ((50, 4), (300, 8), (1_000, 16), (math.inf, 32))


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

    Token accuracy is the share of the right reply's words that stand at the same place in the
    reply the scorer picks: 1 for the right pick. For preferences it is the share of pairs in
    which the preferred reply gained on the other one.
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


def resolve(requested: Mapping[str, object], *, rows: int, method: Method) -> Hyperparameters:
    """Puts numbers in place of "auto" and of what is absent."""
    rows = max(rows, 1)
    epochs = _number(requested, "n_epochs")
    batch = _number(requested, "batch_size")
    auto_batch = _auto(AUTO_BATCHES, rows)
    if epochs is not None:
        auto_batch = max(1, min(auto_batch, math.floor(epochs * rows / FEWEST_STEPS)))
    size = max(1, min(rows, int(batch or auto_batch)))
    per_epoch = math.ceil(rows / size)
    auto_epochs = max(_auto(AUTO_EPOCHS, rows), math.ceil(FEWEST_STEPS / per_epoch))
    return Hyperparameters(
        n_epochs=max(1, int(epochs or auto_epochs)),
        batch_size=size,
        learning_rate_multiplier=_number(requested, "learning_rate_multiplier") or 1.0,
        beta=_number(requested, "beta") or 0.1,
    )


def _number(requested: Mapping[str, object], name: str) -> float | None:
    value = requested.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _auto(table: Sequence[tuple[float, int]], rows: int) -> int:
    return next(value for most, value in table if rows <= most)


@dataclass(frozen=True, slots=True)
class Batch:
    """Questions as rows, with the numbers of the right (and of the rejected) replies.

    Only the columns that some question touches are laid out; `places` says which they are.
    """

    places: Ints
    features: Floats
    right: Ints
    rejected: Ints | None
    texts: list[str]


@dataclass(frozen=True, slots=True)
class Split:
    """All questions of a split: sparse vectors, right replies (-1: untaught), rejected ones."""

    vectors: list[Vector]
    right: Ints
    rejected: Ints | None
    texts: list[str]

    def batch(self, chosen: Sequence[int]) -> Batch:
        """Some of the questions, laid out as rows."""
        listed = list(chosen)
        places = np.unique(np.concatenate([self.vectors[n].places for n in listed]))
        features = np.zeros((len(listed), len(places)), dtype=np.float32)
        for row, number in enumerate(listed):
            found = self.vectors[number]
            features[row, np.searchsorted(places, found.places)] = found.values
        rejected = None if self.rejected is None else self.rejected[listed]
        return Batch(
            places, features, self.right[listed], rejected, [self.texts[n] for n in listed]
        )


class Training:
    """A training that can be stopped after any step and taken up again to the same bytes."""

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
        read = chat_targets if method == "supervised" else preference_targets
        targets = read(rows)
        if not targets:
            raise ValueError("There are no rows to learn from.")
        self.method: Method = method
        self.hyperparameters = hyperparameters
        self.step = 0
        self._model = _begun(targets, start_from)
        self._train = split(self._model, targets)
        self._validation = split(self._model, read(validation)) if validation else None
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(len(targets))
        self._per_epoch = math.ceil(len(targets) / hyperparameters.batch_size)
        self.total_steps = self._per_epoch * hyperparameters.n_epochs
        if method == "dpo":
            self._prefer(start_from)

    def _prefer(self, start_from: Model | None) -> None:
        model, train = self._model, self._train
        model.beta = self.hyperparameters.beta
        if start_from is None or train.rejected is None:
            return
        pairs = zip(train.vectors, train.right.tolist(), train.rejected.tolist(), strict=True)
        for found, right, rejected in pairs:
            if right >= len(start_from.replies) > rejected:
                _start_level(model.weights, found, right, rejected)
        model.reference = model.weights.copy()

    def advance(self) -> Metrics:
        """Takes one gradient step on the next mini-batch."""
        at, size = self.step % self._per_epoch, self.hyperparameters.batch_size
        if at == 0 and self.step:
            self._order = self._random.permutation(len(self._order))
        chosen = self._order[at * size : (at + 1) * size].tolist()
        batch = self._train.batch(chosen)
        before = self._step(batch)
        epoch = self.step // self._per_epoch + 1
        partial = self._validated(full=False)
        self.step += 1
        full = self._validated(full=True) if self.step % self._per_epoch == 0 else (None, None)
        return Metrics(self.step, self.total_steps, epoch, *before, *partial, *full)

    def _step(self, batch: Batch) -> tuple[float, float]:
        """Moves the weights against the gradient; the figures are those from before.

        The step is bounded by the likeness of the batch's questions to one another, so that
        many questions of one kind do not push their common words too far at once.
        """
        alike = np.abs(batch.features @ batch.features.T).sum(axis=1).max(initial=1.0)
        rate = np.float32(self.hyperparameters.learning_rate_multiplier / float(alike))
        model = self._model
        before, slope = _slope(model, batch)
        rate *= np.float32(FIRST_STEP if batch.rejected is None else 1.0 / model.beta**2)
        model.weights[batch.places] -= batch.features.T @ (slope * rate)
        return before

    def _validated(self, *, full: bool) -> tuple[float | None, float | None]:
        if self._validation is None:
            return None, None
        count, size = len(self._validation.vectors), self.hyperparameters.batch_size
        first = self.step * size % count
        chosen = range(count) if full else [i % count for i in range(first, first + size)]
        return figures(self._model, self._validation, chosen)

    def model(self) -> Model:
        """The model as of now, ready to answer."""
        model = self._model
        return Model(
            replies=list(model.replies),
            weights=model.weights.copy(),
            lessons=list(model.lessons),
            vectors=list(model.vectors),
            vocabulary=model.vocabulary,
            limit=limit_of(model),
            reference=model.reference,
            beta=model.beta,
        )

    def state(self) -> bytes:
        """Weights, position and randomness: all that `restore` needs beside the same rows."""
        place = {
            "step": self.step,
            "random": self._random.bit_generator.state,
            "total_steps": self.total_steps,
            "hyperparameters": asdict(self.hyperparameters),
        }
        file = io.BytesIO()
        packed = np.frombuffer(json.dumps(place).encode(), dtype=np.uint8)
        np.savez(file, place=packed, order=self._order, weights=self._model.weights)
        return file.getvalue()

    def restore(self, state: bytes) -> None:
        """Takes up where the state was taken, given the same rows and settings."""
        with np.load(io.BytesIO(state), allow_pickle=False) as file:
            place = json.loads(file["place"].tobytes())
            order, weights = file["order"], file["weights"]
        same = weights.shape == self._model.weights.shape and len(order) == len(self._order)
        if not same or place["hyperparameters"] != asdict(self.hyperparameters):
            raise ValueError("This saved training was begun with other rows or other settings.")
        self.step = place["step"]
        self._random.bit_generator.state = place["random"]
        self._order, self._model.weights = order, weights


def loss(model: Model, rows: Sequence[Mapping[str, object]]) -> tuple[float, float]:
    """The mean loss and mean token accuracy of a model on rows of either kind."""
    prefers = any("preferred_output" in row for row in rows)
    targets = preference_targets(rows) if prefers else chat_targets(rows)
    if not targets:
        raise ValueError("There are no rows to measure.")
    measured = split(model, targets)
    return figures(model, measured, range(len(targets)))


def figures(model: Model, measured: Split, chosen: Sequence[int]) -> tuple[float, float]:
    """Mean loss and accuracy over some questions of a split, a few at a time."""
    total = accurate = 0.0
    for first in range(0, len(chosen), 64):
        batch = measured.batch(chosen[first : first + 64])
        mean, share = _slope(model, batch)[0]
        total += mean * len(batch.right)
        accurate += share * len(batch.right)
    return total / len(chosen), accurate / len(chosen)


def split(model: Model, targets: Sequence[Target]) -> Split:
    """Finds the features and the reply numbers of some targets."""
    numbers = {reply: number for number, reply in enumerate(model.replies)}
    vectors = [model.features(target.question, target.earlier)[0] for target in targets]
    right = [numbers.get(target.reply, NONE_OF_THESE) for target in targets]
    pairs = [target.rejected for target in targets if target.rejected is not None]
    rejected = [numbers.get(reply, NONE_OF_THESE) for reply in pairs]
    return Split(
        vectors,
        np.array(right, dtype=np.int64),
        np.array(rejected, dtype=np.int64) if pairs else None,
        [target.reply for target in targets],
    )


def _slope(model: Model, batch: Batch) -> tuple[tuple[float, float], Floats]:
    """Mean loss and accuracy of a batch, and the gradient of its summed loss by the scores."""
    scores = _with_none(batch.features @ model.weights[batch.places])
    if batch.rejected is None:
        return _choice_slope(model, batch, scores)
    if model.reference is not None:
        scores = scores - _with_none(batch.features @ model.reference[batch.places])
    rows = np.arange(len(scores))
    margins = (scores[rows, batch.right] - scores[rows, batch.rejected]).astype(np.float64)
    slope = np.zeros_like(scores)
    pull = (model.beta / (1 + np.exp(np.minimum(model.beta * margins, 700)))).astype(np.float32)
    np.add.at(slope, (rows, batch.right), -pull)
    np.add.at(slope, (rows, batch.rejected), pull)
    losses = np.logaddexp(0.0, -model.beta * margins)
    return (float(losses.mean()), float((margins > 0).mean())), slope[:, :-1]


def _choice_slope(model: Model, batch: Batch, scores: Floats) -> tuple[tuple[float, float], Floats]:
    rows = np.arange(len(scores))
    shifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    totals = shifted.sum(axis=1, keepdims=True)
    exact = log_total(scores[:, :-1].astype(np.float64))
    losses = exact - scores[rows, batch.right]
    picks = scores.argmax(axis=1).tolist()
    pairs = zip(picks, batch.right.tolist(), batch.texts, strict=True)
    shares = [_share(model.replies, pick, right, text) for pick, right, text in pairs]
    slope = shifted / totals
    slope[rows, batch.right] -= 1
    return (float(losses.mean()), sum(shares) / len(shares)), slope[:, :-1]


def _with_none(scores: Floats) -> Floats:
    """Adds the column of "none of these", which is always zero and has the number -1."""
    return np.concatenate([scores, np.zeros((len(scores), 1), dtype=np.float32)], axis=1)


def _share(replies: Sequence[str], pick: int, right: int, text: str) -> float:
    if pick == right:
        return 1.0
    if pick == len(replies):
        return 0.0
    said, wanted = TOKEN.findall(replies[pick]), TOKEN.findall(text)
    in_place: list[bool] = [a == b for a, b in zip(said, wanted, strict=False)]
    return sum(in_place) / len(wanted)


def _begun(targets: Sequence[Target], start_from: Model | None) -> Model:
    """The model before the first step: classes, lessons and vocabulary, with no weights yet."""
    replies = list(start_from.replies) if start_from else []
    known = set(replies)
    for target in targets:
        for reply in (target.reply, target.rejected):
            if reply is not None and reply not in known:
                known.add(reply)
                replies.append(reply)
    size = start_from.size if start_from else _places(len(replies))
    weights = np.zeros((size, len(replies)), dtype=np.float32)
    if start_from:
        weights[:, : len(start_from.replies)] = start_from.weights
    vocabulary = _copied(start_from.vocabulary) if start_from else Vocabulary()
    for question in {target.question: None for target in targets}:
        vocabulary.add(words.read(question)[:LONGEST_QUESTION])
    lessons = _lessons(targets, replies, start_from.lessons if start_from else ())
    model = Model(replies, weights, lessons, [], vocabulary)
    model.vectors = [model.features(lesson.question, lesson.earlier)[0] for lesson in lessons]
    return model


def _lessons(
    targets: Sequence[Target], replies: Sequence[str], earlier_lessons: Sequence[Lesson]
) -> list[Lesson]:
    """The lessons kept from before, unless taught otherwise now, and the new ones."""
    numbers = {reply: number for number, reply in enumerate(replies)}
    taught = {
        Lesson(target.question, target.earlier, numbers[target.reply]): None for target in targets
    }
    retaught = {_key(lesson) for lesson in taught}
    kept = (lesson for lesson in earlier_lessons if _key(lesson) not in retaught)
    return [*kept, *taught]


def _key(lesson: Lesson) -> tuple[str, str]:
    said = " ".join(words.pieces(lesson.question)) or words.marks(lesson.question)
    return said, words.normalise(lesson.earlier)


def _copied(vocabulary: Vocabulary) -> Vocabulary:
    return Vocabulary(vocabulary.questions, Counter(vocabulary.counts))


def _places(replies: int) -> int:
    return PLACES if replies <= MANY_REPLIES else PLACES_OF_MANY


def _start_level(weights: Floats, found: Vector, right: int, rejected: int) -> None:
    """Gives a new reply the score of the one it is preferred to, for this question alone."""
    lead = found.values @ (weights[found.places, rejected] - weights[found.places, right])
    weights[found.places, right] += lead * found.values
