"""The model of a sandbox job: taught replies, one weight per feature and reply, and its file.

A model file is a zip of plain numpy arrays (`.npz`, nothing pickled):

    format         int64 []        the version of this layout
    replies        uint8 [..]      JSON list of the distinct taught replies (classes 0..C-1)
    questions      uint8 [..]      JSON list of the taught questions
    earlier        uint8 [..]      JSON list of the messages before each question
    example_reply  int32 [N]       the class of each question
    weights        float32 [D, C]  the score of reply c for features x is `x @ weights[:, c]`
    reference      float32 [D, C]  after DPO only: the weights before the training
    beta           float64 []      after DPO only: its beta

The softmax has one class more than there are replies: "none of these", with a constant score of 0.
"""

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tuner.sandbox.features import Floats, Vector, Vocabulary, vector_of
from tuner.sandbox.matching import (
    Candidate,
    Question,
    Reply,
    choose_reply,
    in_language_of,
    indices_where_ids_vary,
    weighted_overlap,
)
from tuner.sandbox.text_terms import normalise, question_and_context

FORMAT_VERSION = 2
COMPARED_QUESTIONS = 24
"""Number of taught questions whose coverage is computed for a question."""
SAME_CONTEXT_BONUS = 0.1
"""Added to the coverage if the earlier messages are the same."""


@dataclass(frozen=True, slots=True)
class TrainingExample:
    """A taught question, the messages before it, and the class of its reply."""

    question: str
    earlier: str
    reply: int


@dataclass
class Model:
    """Scores the taught replies and picks one, or refuses."""

    replies: list[str]
    weights: Floats
    examples: list[TrainingExample]
    reference: Floats | None = None
    beta: float = 0.1

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(example.question for example in self.examples)

    @cached_property
    def _questions(self) -> list[Question]:
        questions = [Question.read(example.question, self.vocabulary) for example in self.examples]
        varying = self._with_varying_ids
        return [
            question.without_ids() if index in varying else question
            for index, question in enumerate(questions)
        ]

    @cached_property
    def _with_varying_ids(self) -> frozenset[int]:
        return indices_where_ids_vary([(item.question, item.reply) for item in self.examples])

    @cached_property
    def _stacked(self) -> tuple[Vector, npt.NDArray[np.int64]]:
        """The concatenated features of all examples, and the offset of each example."""
        vectors = [self.features(item.question, item.earlier) for item in self.examples]
        starts = np.cumsum([0, *(len(item.indices) for item in vectors)])
        indices = np.concatenate([item.indices for item in vectors])
        return Vector(indices, np.concatenate([item.values for item in vectors])), starts

    def features(self, question: str, earlier: str) -> Vector:
        return vector_of(question, earlier, self.vocabulary, size=len(self.weights))

    def reply(
        self,
        messages: Sequence[Mapping[str, object]],
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Reply:
        """Returns the taught reply to the last user message, or a refusal."""
        question, earlier = question_and_context(messages)
        candidates = self._candidates(question, earlier)
        reply = choose_reply(candidates, self.replies, temperature=temperature, seed=seed)
        return in_language_of(question, reply)

    def _candidates(self, question: str, earlier: str) -> list[Candidate]:
        """Returns the replies of the COMPARED taught questions with the most similar features."""
        features = self.features(question, earlier)
        scores = (features.values @ self.weights[features.indices]).astype(np.float64)
        log_probabilities = scores - log_total(scores[None, :])[0]
        parsed_question = Question.read(question, self.vocabulary)
        without_ids = parsed_question.without_ids()
        candidates: dict[tuple[int, str], Candidate] = {}
        for number in self._nearest_examples(features):
            example, taught = self.examples[number], self._questions[number]
            asked = without_ids if number in self._with_varying_ids else parsed_question
            coverage = weighted_overlap(asked, taught, self.vocabulary)
            if earlier and normalise(example.earlier) == normalise(earlier):
                coverage += SAME_CONTEXT_BONUS
            previous = candidates.get((example.reply, taught.text))
            if previous is None or previous.weighted_overlap < coverage:
                candidates[example.reply, taught.text] = Candidate(
                    example.reply, taught.text, float(log_probabilities[example.reply]), coverage
                )
        return list(candidates.values())

    def _nearest_examples(self, features: Vector) -> list[int]:
        """Returns the indices of the COMPARED examples with the largest cosine, unordered."""
        dense = np.zeros(len(self.weights), dtype=np.float32)
        dense[features.indices] = features.values
        stacked, starts = self._stacked
        products = dense[stacked.indices] * stacked.values
        sums = np.concatenate([[0.0], np.cumsum(products, dtype=np.float64)])
        cosines = sums[starts[1:]] - sums[starts[:-1]]
        count = min(COMPARED_QUESTIONS, len(cosines))
        nearest: list[int] = np.argpartition(-cosines, count - 1)[:count].tolist()
        return nearest

    def save(self, path: Path) -> None:
        """Writes the model atomically: to a temporary file, which is then renamed."""
        arrays = {
            "format": np.array(FORMAT_VERSION),
            "replies": _pack(self.replies),
            "questions": _pack([example.question for example in self.examples]),
            "earlier": _pack([example.earlier for example in self.examples]),
            "example_reply": np.array([item.reply for item in self.examples], dtype=np.int32),
            "weights": self.weights,
        }
        if self.reference is not None:
            arrays |= {"reference": self.reference, "beta": np.array(self.beta)}
        partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> "Model":
        """Reads a model file. Raises ValueError for a newer format."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            version, weights = int(file["format"]), file["weights"]
            if version not in (1, FORMAT_VERSION):
                raise ValueError("This model file was written by a newer version of the sandbox.")
            numbers = file["example_reply" if version == FORMAT_VERSION else "lesson_reply"]
            columns = _unpack(file["questions"]), _unpack(file["earlier"]), numbers
            return cls(
                _unpack(file["replies"]),
                # Version 1 had other features, so its replies are found by their questions only.
                weights if version == FORMAT_VERSION else np.zeros_like(weights),
                [TrainingExample(q, e, int(reply)) for q, e, reply in zip(*columns, strict=True)],
                file.get("reference"),
                float(file.get("beta", 0.1)),
            )


def log_total(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Returns `log(1 + sum(exp(scores)))` for each row of [B, C]; the 1 is "none of these"."""
    top = np.maximum(scores.max(axis=1, initial=0.0), 0.0)
    shifted = np.exp(scores - top[:, None]).sum(axis=1) + np.exp(-top)
    total: npt.NDArray[np.float64] = top + np.log(shifted)
    return total


def _pack(texts: Sequence[str]) -> npt.NDArray[np.uint8]:
    text = json.dumps(texts, ensure_ascii=False)
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)


def _unpack(packed: npt.NDArray[np.uint8]) -> list[str]:
    texts: list[object] = json.loads(packed.tobytes().decode("utf-8", "surrogatepass"))
    return [str(text) for text in texts]
