"""The scorer: one weight per feature and reply, a softmax over replies, and its file.

A model file is a zip of plain numpy arrays (`.npz`, nothing pickled):

    format         int64 []        the version of this layout
    replies        uint8 [..]      a JSON list of the distinct taught replies (classes 0..C-1)
    weights        float32 [D, C]  the score of reply c for features x is `x @ weights[:, c]`
    questions      uint8 [..]      a JSON list of [question, what was said before], per lesson
    lesson_reply   int32 [N]       which reply each lesson teaches
    lesson_start   int64 [N + 1]   lesson n has the features lesson_start[n]:lesson_start[n + 1]
    lesson_place   int32 [..]      rows of `weights` that are not zero in a lesson's features
    lesson_value   float32 [..]    and the values there; a lesson's features have length one
    words          uint8 [..]      a JSON list of the words and ideas (`#number`) of the lessons
    word_count     int64 [..]      in how many lessons each of them occurs
    counted        int64 []        how many lessons were counted
    limit          float64 []      how well a question must be covered to be answered
    reference      float32 [D, C]  only after preferences: the weights that they started from
    beta           float64 []      only after preferences: how strongly they were pressed

The softmax has one class more than there are replies: "none of these", whose score is always
zero. The loss of a lesson is `log(1 + sum(exp(scores))) - score of its reply`; a reply that was
never taught counts as none of these.
"""

import io
import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tuner.sandbox import words
from tuner.sandbox.evidence import Question, cover, prepare, strength
from tuner.sandbox.features import Floats, Indices, Vector, Vocabulary, split_context, vector
from tuner.sandbox.replying import Candidate, Reply, choose

FORMAT = 1
CANDIDATES = 12
DEFAULT_LIMIT = 0.6


@dataclass(frozen=True, slots=True)
class Lesson:
    """One question that was taught, what was said before it, and the number of its reply."""

    question: str
    earlier: str
    reply: int


@dataclass(slots=True)
class Model:
    """What a job made: it scores the taught replies and picks one, or says that it cannot."""

    replies: list[str]
    weights: Floats
    lessons: list[Lesson]
    vectors: list[Vector]
    vocabulary: Vocabulary
    limit: float = DEFAULT_LIMIT
    reference: Floats | None = None
    beta: float = 0.1
    _by_reply: dict[int, list[int]] = field(default_factory=dict)
    _prepared: dict[int, Question] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many places the features have."""
        return int(self.weights.shape[0])

    def features(self, question: str, earlier: str) -> tuple[Vector, Question]:
        """What the scorer and the coverage see of a question."""
        found = self.vocabulary.read(question)
        seen = vector(found, question, earlier, self.vocabulary, size=self.size)
        return seen, prepare(found, words.marks(question), self.vocabulary)

    def scores(self, seen: Vector) -> Floats:
        """One score per reply; only the rows that the question touches are read."""
        return seen.values @ self.weights[seen.places]

    def candidates(self, question: str, earlier: str) -> list[Candidate]:
        """The most probable replies, with how well their lessons cover the question."""
        seen, asked = self.features(question, earlier)
        scores = self.scores(seen).astype(np.float64)
        logs = scores - log_total(scores[None, :])[0]
        count = min(CANDIDATES, len(scores))
        nearest = np.argpartition(-scores, count - 1)[:count] if count else []
        return [
            Candidate(number, float(logs[number]), self._strength(asked, number))
            for number in map(int, nearest)
        ]

    def reply(
        self,
        messages: Sequence[Mapping[str, object]],
        *,
        temperature: float = 1.0,
        seed: int | None = None,
    ) -> Reply:
        """Picks the taught reply for the last user message, or refuses."""
        question, earlier = split_context(messages)
        found = self.candidates(question, earlier)
        return choose(
            found, self.replies, limit=self.limit, temperature=temperature, seed=seed
        )

    def _strength(self, asked: Question, reply: int) -> float:
        if not self._by_reply:
            for number, lesson in enumerate(self.lessons):
                self._by_reply.setdefault(lesson.reply, []).append(number)
        lessons = self._by_reply.get(reply, ())
        return max((strength(cover(asked, self.prepared(n))) for n in lessons), default=0.0)

    def prepared(self, lesson: int) -> Question:
        """A lesson's question ready to be compared; made when first needed."""
        if lesson not in self._prepared:
            text = self.lessons[lesson].question
            found = self.vocabulary.read(text)
            self._prepared[lesson] = prepare(found, words.marks(text), self.vocabulary)
        return self._prepared[lesson]

    def save(self, path: Path) -> None:
        """Writes the file beside its place and moves it there, so that no half file is seen."""
        arrays = {
            "format": np.array(FORMAT),
            "replies": _pack(self.replies),
            "weights": self.weights,
            "questions": _pack([[lesson.question, lesson.earlier] for lesson in self.lessons]),
            "lesson_reply": np.array([lesson.reply for lesson in self.lessons], dtype=np.int32),
            **_pack_vectors(self.vectors),
            "words": _pack(list(self.vocabulary.counts)),
            "word_count": np.array(list(self.vocabulary.counts.values()), dtype=np.int64),
            "counted": np.array(self.vocabulary.questions),
            "limit": np.array(self.limit),
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
        """Reads a model file."""
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if int(file["format"]) != FORMAT:
                raise ValueError("This model file was written by another version of the sandbox.")
            asked = _unpack(file["questions"])
            taught = file["lesson_reply"].tolist()
            counts = zip(_unpack(file["words"]), file["word_count"].tolist(), strict=True)
            return cls(
                replies=_unpack(file["replies"]),
                weights=file["weights"],
                lessons=[Lesson(q, e, r) for (q, e), r in zip(asked, taught, strict=True)],
                vectors=_unpack_vectors(file),
                vocabulary=Vocabulary(int(file["counted"]), Counter(dict(counts))),
                limit=float(file["limit"]),
                reference=file["reference"] if "reference" in file else None,
                beta=float(file["beta"]) if "beta" in file else 0.1,
            )


def log_total(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """`log(1 + sum(exp(scores)))` of each row: the 1 is "none of these"."""
    top = np.maximum(scores.max(axis=1, initial=0.0), 0.0)
    shifted = np.exp(scores - top[:, None]).sum(axis=1) + np.exp(-top)
    result: npt.NDArray[np.float64] = top + np.log(shifted)
    return result


def _pack(value: object) -> npt.NDArray[np.uint8]:
    text = json.dumps(value, ensure_ascii=False)
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), dtype=np.uint8)


def _unpack(packed: npt.NDArray[np.uint8]) -> list[str]:
    listed: list[str] = json.loads(packed.tobytes().decode("utf-8", "surrogatepass"))
    return listed


def _pack_vectors(vectors: Sequence[Vector]) -> dict[str, npt.NDArray[np.generic]]:
    starts = np.cumsum([0, *(len(found.places) for found in vectors)], dtype=np.int64)
    none_i, none_f = np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
    return {
        "lesson_start": starts,
        "lesson_place": np.concatenate([none_i, *(found.places for found in vectors)]),
        "lesson_value": np.concatenate([none_f, *(found.values for found in vectors)]),
    }


def _unpack_vectors(file: Mapping[str, npt.NDArray[np.generic]]) -> list[Vector]:
    places: Indices = file["lesson_place"].astype(np.int32)
    values: Floats = file["lesson_value"].astype(np.float32)
    starts = file["lesson_start"].tolist()
    return [Vector(places[a:b], values[a:b]) for a, b in pairwise(starts)]
