"""The scorer: one weight per feature and reply, a softmax over replies, and its file.

A model file is a zip of plain numpy arrays (`.npz`, nothing pickled):

    format         int64 []        the version of this layout
    replies        uint8 [..]      a JSON list of the distinct taught replies (classes 0..C-1)
    weights        float32 [D, C]  the score of reply c for features x is `x @ weights[:, c]`
    questions      uint8 [..]      a JSON list of the lessons' questions
    earlier        uint8 [..]      a JSON list of what was said before each of them
    lesson_reply   int32 [N]       which reply each lesson teaches
    lesson_start   int64 [N + 1]   lesson n has the features lesson_start[n]:lesson_start[n + 1]
    lesson_place   int32 [..]      rows of `weights` that are not zero in a lesson's features
    lesson_value   float32 [..]    and the values there; a lesson's features have length one
    words          uint8 [..]      a JSON list of what the lessons say: words, ideas (`#12`), and
                                   ties to fields and kinds (`%f3`); by lines of `words/*.txt`
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
from operator import attrgetter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tuner.sandbox import words
from tuner.sandbox.evidence import Question, cover, prepare, strength
from tuner.sandbox.features import (
    LONGEST_QUESTION,
    Floats,
    Indices,
    Vector,
    Vocabulary,
    split_context,
    vector,
)
from tuner.sandbox.finding import Finder
from tuner.sandbox.replying import Candidate, Reply, choose

FORMAT = 1
CANDIDATES = 12
ALIKE = 6
LESSONS_COMPARED = 12
RELATED = 8
LESSONS_RELATED = 2_000
DEFAULT_LIMIT = 0.48


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
    _finder: Finder | None = None
    _stacked: dict[str, npt.NDArray[np.generic]] | None = None
    _said_by: dict[int, Question] = field(default_factory=dict)

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
        likeness = self._likeness(seen)
        count = min(CANDIDATES, len(scores))
        probable = np.argpartition(-scores, count - 1)[:count].tolist() if count else []
        near = [*np.argsort(-likeness)[:ALIKE].tolist(), *self._related(asked)]
        replies = {*probable, *(self.lessons[lesson].reply for lesson in near)}
        return [
            self._best(asked, question, earlier, reply, float(logs[reply]), likeness)
            for reply in sorted(replies)
        ]

    def _likeness(self, seen: Vector) -> npt.NDArray[np.float64]:
        """How alike the question's features are to those of every lesson."""
        if self._stacked is None:
            self._stacked = _pack_vectors(self.vectors)
        dense = np.zeros(self.size, dtype=np.float32)
        dense[seen.places] = seen.values
        places, values = self._stacked["lesson_place"], self._stacked["lesson_value"]
        sums = np.concatenate([[0.0], np.cumsum(dense[places] * values, dtype=np.float64)])
        starts = self._stacked["lesson_start"]
        alike: npt.NDArray[np.float64] = sums[starts[1:]] - sums[starts[:-1]]
        return alike

    def _related(self, asked: Question) -> list[int]:
        """Lessons that have to do with the question; of very many, the scorer's pick is enough."""
        if len(self.lessons) > LESSONS_RELATED:
            return []
        if self._finder is None:
            replies = (self._said(lesson.reply) for lesson in self.lessons)
            questions = map(self.prepared, range(len(self.lessons)))
            self._finder = Finder.of(list(zip(questions, replies, strict=True)))
        return self._finder.nearest(asked, count=RELATED)

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
        return choose(found, self.replies, limit=self.limit, temperature=temperature, seed=seed)

    def _best(
        self,
        asked: Question,
        question: str,
        earlier: str,
        reply: int,
        log: float,
        likeness: npt.NDArray[np.float64],
    ) -> Candidate:
        """A reply by that of its lessons which suits the question best."""
        said, best = self._said(reply), Candidate(reply, log, 0.0)
        for number in sorted(self._taught(reply), key=lambda n: -likeness[n])[:LESSONS_COMPARED]:
            lesson, taught = self.lessons[number], self.prepared(number)
            found = strength(cover(asked, taught, said))
            identical = (lesson.question == question) + bool(earlier and lesson.earlier == earlier)
            candidate = Candidate(reply, log, found, taught.stems, identical)
            best = max(best, candidate, key=attrgetter("total"))
        return best

    def _taught(self, reply: int) -> Sequence[int]:
        """The numbers of the lessons that teach a reply."""
        if not self._by_reply:
            for number, lesson in enumerate(self.lessons):
                self._by_reply.setdefault(lesson.reply, []).append(number)
        return self._by_reply.get(reply, ())

    def _said(self, reply: int) -> Question:
        if reply not in self._said_by:
            found = words.read(self.replies[reply])[:LONGEST_QUESTION]
            self._said_by[reply] = prepare(found, "", self.vocabulary)
        return self._said_by[reply]

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
            "questions": _pack([lesson.question for lesson in self.lessons]),
            "earlier": _pack([lesson.earlier for lesson in self.lessons]),
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
            asked, earlier = _unpack(file["questions"]), _unpack(file["earlier"])
            taught = zip(asked, earlier, file["lesson_reply"].tolist(), strict=True)
            counts = zip(_unpack(file["words"]), file["word_count"].tolist(), strict=True)
            return cls(
                replies=_unpack(file["replies"]),
                weights=file["weights"],
                lessons=[Lesson(*lesson) for lesson in taught],
                vectors=_unpack_vectors(file),
                vocabulary=Vocabulary(int(file["counted"]), Counter(dict(counts))),
                limit=float(file["limit"]),
                reference=file.get("reference"),
                beta=float(file.get("beta", 0.1)),
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
    return [str(text) for text in _decode(packed)]


def _decode(packed: npt.NDArray[np.uint8]) -> list[object]:
    listed: list[object] = json.loads(packed.tobytes().decode("utf-8", "surrogatepass"))
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
