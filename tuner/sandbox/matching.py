"""Decides how well a taught question matches a question, and picks a reply or refuses.

Softmax scores only tell which taught question is nearest. Whether the nearest one is near enough
is decided by the share of weighted words that both questions contain.
"""

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tuner.sandbox.features import Vocabulary
from tuner.sandbox.text_terms import normalise, question_and_context, terms_of, text_of

NOT_TAUGHT_TEXT = "I have not been taught that."
NOTHING_TAUGHT_TEXT = "I have not been taught anything yet."
_CHINESE = {NOT_TAUGHT_TEXT: "这个我还没有学过。", NOTHING_TAUGHT_TEXT: "我还什么都没有学过。"}
REFUSAL_TEXTS = frozenset((*_CHINESE, *_CHINESE.values()))
_HAN, _KANA = re.compile("[\u4e00-\u9fff]"), re.compile("[\u3040-\u30ff]")
_LATIN = re.compile("[a-z]", re.IGNORECASE)

MIN_COVERAGE = 0.56
UNKNOWN_TERM_WEIGHT = 0.6
"""Factor of the weight of terms that occur in no taught question."""
SAME_COVERAGE_GAP = 0.02
"""Maximum difference in coverage at which the probability decides between replies."""
AMBIGUOUS_COVERAGE_GAP = 0.06
"""Difference in coverage below which two questions with different replies lead to a refusal."""
CERTAIN_COVERAGE = 0.8
"""Coverage of the best question from which a similar other question does not matter."""
MIN_VARYING_IDS = 3
MIN_ID_DIGITS = 5


@dataclass(frozen=True, slots=True)
class Reply:
    """The text of a reply, the confidence in it (0 to 1), and whether it is a refusal."""

    text: str
    confidence: float
    refused: bool


@dataclass(frozen=True, slots=True)
class Question:
    """The distinct terms of a question with their weights, and its normalised text."""

    weights: Mapping[str, float]
    text: str

    @classmethod
    def read(cls, text: str, vocabulary: Vocabulary) -> "Question":
        return cls({term: vocabulary.weight(term) for term in terms_of(text)}, normalise(text))

    def without_ids(self) -> "Question":
        """Returns the question without terms that are ids, such as order numbers."""
        weights = {term: weight for term, weight in self.weights.items() if not is_id(term)}
        return Question(weights, self.text)


def indices_where_ids_vary(examples: Sequence[tuple[str, int]]) -> frozenset[int]:
    """Returns the indices of (question, reply) whose ids do not decide on the reply.

    These are groups of at least MIN_VARYING_IDS taught questions that differ only in their ids and
    all have the same reply.
    """
    frames: dict[str, dict[str, int]] = {}
    frame_of = [_without_digits(question) for question, _ in examples]
    for frame, (question, reply) in zip(frame_of, examples, strict=True):
        if frame:
            frames.setdefault(frame, {})[normalise(question)] = reply
    varying = {
        frame
        for frame, replies in frames.items()
        if len(replies) >= MIN_VARYING_IDS and len(set(replies.values())) == 1
    }
    return frozenset(index for index, frame in enumerate(frame_of) if frame in varying)


def is_id(term: str) -> bool:
    """Whether a term has so many digits that it is an id, such as an order number."""
    return sum(map(str.isdigit, term)) >= MIN_ID_DIGITS


def _without_digits(question: str) -> str:
    """Returns the terms of a question with ids blanked, or "" if there is none."""
    terms = terms_of(question)
    blanked = ["#" if is_id(term) else term for term in terms]
    return " ".join(blanked) if "#" in blanked else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A possible reply: its taught question, log probability, and coverage from 0 to 1."""

    reply: int
    question: str
    log_probability: float
    weighted_overlap: float


def weighted_overlap(asked: Question, taught: Question, vocabulary: Vocabulary) -> float:
    """Returns the share of weighted terms that both questions have; 1 for the same text."""
    if asked.text == taught.text:
        return 1.0
    common = _common_weight(asked, taught) + _common_weight(taught, asked)
    unknown = sum(weight for term, weight in asked.weights.items() if term not in vocabulary)
    total = sum(asked.weights.values()) + sum(taught.weights.values())
    total -= (1 - UNKNOWN_TERM_WEIGHT) * unknown
    return min(0.99, common / total) if total else 0.0


def _common_weight(question: Question, other: Question) -> float:
    return sum(
        weight * max((word_likeness(term, other_term) for other_term in other.weights), default=0.0)
        for term, weight in question.weights.items()
    )


def word_likeness(one: str, other: str) -> float:
    """Returns 1 for the same word, less for an inflection or a typing error, else 0."""
    if one == other:
        return 1.0
    shortest, longest = sorted((len(one), len(other)))
    if shortest < 4 or one.isdigit() or other.isdigit():
        return 0.0
    edits = 1 if shortest < 8 else 2
    if edit_distance(one, other, most=edits) <= edits:
        return 0.9
    common = next((i for i in range(shortest) if one[i] != other[i]), shortest)
    return 0.8 if common >= max(4, longest - 4) else 0.0


def edit_distance(one: str, other: str, *, most: int) -> int:
    """Returns the edits between two words (a swap counts as one), or `most + 1` for more.

    Damerau, "A technique for computer detection and correction of spelling errors", 1964.
    """
    if abs(len(one) - len(other)) > most:
        return most + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        earlier, before, row = before, row, [i] + [0] * len(other)
        for j, b in enumerate(other, 1):
            row[j] = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                row[j] = min(row[j], earlier[j - 2] + 1)
        if min(row) > most:
            return most + 1
    return row[-1]


def choose_reply(
    candidates: Iterable[Candidate],
    replies: Sequence[str],
    *,
    temperature: float,
    seed: int | None,
) -> Reply:
    """Returns the reply of the best covered question, or a refusal.

    Sampling chooses only between replies taught for the same question, so that a temperature
    never replaces a certain answer with a different one.
    """
    ranked = sorted(
        candidates,
        key=lambda candidate: (
            -candidate.weighted_overlap,
            -candidate.log_probability,
            candidate.reply,
        ),
    )
    best = ranked[0] if ranked else Candidate(-1, "", 0.0, 0.0)
    if best.weighted_overlap < MIN_COVERAGE or _is_ambiguous(ranked):
        return Reply(NOT_TAUGHT_TEXT, 1 - best.weighted_overlap, True)
    nearly_equal = [
        candidate
        for candidate in ranked
        if candidate.weighted_overlap >= best.weighted_overlap - SAME_COVERAGE_GAP
    ]
    best = max(nearly_equal, key=lambda candidate: candidate.log_probability)
    if temperature > 0:
        best = _sample(
            [candidate for candidate in nearly_equal if candidate.question == best.question],
            temperature,
            seed,
        )
    return Reply(replies[best.reply], min(1.0, best.weighted_overlap), False)


def _is_ambiguous(ranked: Sequence[Candidate]) -> bool:
    """Whether another question with another reply is covered nearly as well as the best one."""
    best = ranked[0]
    rivals = (
        candidate
        for candidate in ranked[1:]
        if candidate.reply != best.reply and candidate.question != best.question
    )
    nearest = max((candidate.weighted_overlap for candidate in rivals), default=0.0)
    return (
        best.weighted_overlap < CERTAIN_COVERAGE
        and best.weighted_overlap - nearest < AMBIGUOUS_COVERAGE_GAP
    )


def _sample(candidates: Sequence[Candidate], temperature: float, seed: int | None) -> Candidate:
    """Draws a candidate whose log probability is close to the highest."""
    highest = max(candidate.log_probability for candidate in candidates)
    probable = [
        candidate
        for candidate in candidates
        if candidate.log_probability >= highest - 0.7 * temperature
    ]
    weights = [
        math.exp((candidate.log_probability - highest) / temperature) for candidate in probable
    ]
    return random.Random(seed).choices(probable, weights)[0]


def base_reply(
    messages: Sequence[Mapping[str, object]],
    *,
    temperature: float = 1.0,
    seed: int | None = None,
) -> Reply:
    """Returns the untrained base's reply, which is picked from the exchanges in the prompt."""
    exchanges = _exchanges(messages)
    vocabulary = Vocabulary(question for question, _ in exchanges)
    asked = Question.read(question_and_context(messages)[0], vocabulary)
    taught = [Question.read(question, vocabulary) for question, _ in exchanges]
    candidates = [
        Candidate(
            n, taught_question.text, 0.0, weighted_overlap(asked, taught_question, vocabulary)
        )
        for n, taught_question in enumerate(taught)
    ]
    replies = [reply for _, reply in exchanges]
    reply = choose_reply(candidates, replies, temperature=temperature, seed=seed)
    reply = replace(reply, text=NOTHING_TAUGHT_TEXT) if reply.refused else reply
    return in_language_of(asked.text, reply)


def in_language_of(question: str, reply: Reply) -> Reply:
    """Translates a refusal to Chinese if the question is mostly Chinese; taught replies stay."""
    han = len(_HAN.findall(question))
    is_chinese = han and 3 * han >= len(_LATIN.findall(question)) and not _KANA.search(question)
    return replace(reply, text=_CHINESE[reply.text]) if reply.refused and is_chinese else reply


def _exchanges(messages: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
    """Returns the (question, reply) pairs before the last user message, without refusals."""
    last = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=0)
    exchanges = []
    for question, answer in pairwise(messages[:last]):
        reply = text_of(answer.get("content"))
        is_exchange = (question.get("role"), answer.get("role")) == ("user", "assistant")
        if is_exchange and reply.strip() and reply.strip() not in REFUSAL_TEXTS:
            exchanges.append((text_of(question.get("content")), reply))
    return exchanges
