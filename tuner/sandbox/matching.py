"""Says how well a taught question covers a question, and picks a reply or none.

Softmax scores only say which taught question is nearest; whether the nearest is near enough is
judged by the share of the weighted words that both have.
"""

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from tuner.sandbox.features import Vocabulary
from tuner.sandbox.text import normalise, question_and_context, terms_of, text_of

NOT_TAUGHT = "I have not been taught that."
NOTHING_TAUGHT = "I have not been taught anything yet."
_CHINESE = {NOT_TAUGHT: "这个我还没有学过。", NOTHING_TAUGHT: "我还什么都没有学过。"}
REFUSALS = frozenset((*_CHINESE, *_CHINESE.values()))
_HAN, _KANA = re.compile("[\u4e00-\u9fff]"), re.compile("[\u3040-\u30ff]")
_LATIN = re.compile("[a-z]", re.IGNORECASE)

LEAST_COVERAGE = 0.56
UNKNOWN_WEIGHT = 0.6
"""How much a term of no taught question counts against a match."""
SAME = 0.02
"""Replies whose coverage differs by no more are told apart by their probability."""
AMBIGUOUS = 0.06
"""A differently asked question that is covered nearly as well makes the best one doubtful ..."""
CERTAIN = 0.8
"""... unless that one is covered at least this well."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said, how sure the sandbox is of it (0 to 1), and whether it is a refusal."""

    text: str
    confidence: float
    refused: bool


@dataclass(frozen=True, slots=True)
class Question:
    """Distinct terms of a question with their weights, and its normalised text."""

    weights: Mapping[str, float]
    text: str

    @classmethod
    def read(cls, text: str, vocabulary: Vocabulary) -> "Question":
        return cls({term: vocabulary.weight(term) for term in terms_of(text)}, normalise(text))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A reply that may be said: the taught question behind it, log probability, coverage 0 to 1."""

    reply: int
    question: str
    log_probability: float
    weighted_overlap: float


def weighted_overlap(asked: Question, taught: Question, vocabulary: Vocabulary) -> float:
    """The share of weighted terms that two questions have in common; 1 for the same text."""
    if asked.text == taught.text:
        return 1.0
    common = _common(asked, taught) + _common(taught, asked)
    unknown = sum(weight for term, weight in asked.weights.items() if term not in vocabulary)
    total = sum(asked.weights.values()) + sum(taught.weights.values())
    total -= (1 - UNKNOWN_WEIGHT) * unknown
    return min(0.99, common / total) if total else 0.0


def _common(one: Question, other: Question) -> float:
    return sum(
        weight * max((word_likeness(term, each) for each in other.weights), default=0.0)
        for term, weight in one.weights.items()
    )


def word_likeness(one: str, other: str) -> float:
    """1 for the same word, less for an inflection or a typing error, else 0."""
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
    """Keystrokes between two words, a swap of neighbours being one; `most + 1` when more.

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


def choose(
    candidates: Iterable[Candidate],
    replies: Sequence[str],
    *,
    temperature: float,
    seed: int | None,
) -> Reply:
    """The reply of the best covered question, or a refusal.

    Chance decides only between replies taught for the same question, so that a temperature
    never turns a sure answer into another one.
    """
    ranked = sorted(
        candidates, key=lambda one: (-one.weighted_overlap, -one.log_probability, one.reply)
    )
    best = ranked[0] if ranked else Candidate(-1, "", 0.0, 0.0)
    if best.weighted_overlap < LEAST_COVERAGE or _is_ambiguous(ranked):
        return Reply(NOT_TAUGHT, 1 - best.weighted_overlap, True)
    tied = [one for one in ranked if one.weighted_overlap >= best.weighted_overlap - SAME]
    best = max(tied, key=lambda one: one.log_probability)
    if temperature > 0:
        best = _drawn([one for one in tied if one.question == best.question], temperature, seed)
    return Reply(replies[best.reply], min(1.0, best.weighted_overlap), False)


def _is_ambiguous(ranked: Sequence[Candidate]) -> bool:
    """Whether a differently asked question with another reply is covered nearly as well."""
    best = ranked[0]
    rivals = (
        one for one in ranked[1:] if one.reply != best.reply and one.question != best.question
    )
    nearest = max((one.weighted_overlap for one in rivals), default=0.0)
    return best.weighted_overlap < CERTAIN and best.weighted_overlap - nearest < AMBIGUOUS


def _drawn(tied: Sequence[Candidate], temperature: float, seed: int | None) -> Candidate:
    top = max(one.log_probability for one in tied)
    likely = [one for one in tied if one.log_probability >= top - 0.7 * temperature]
    weights = [math.exp((one.log_probability - top) / temperature) for one in likely]
    return random.Random(seed).choices(likely, weights)[0]


def base_reply(
    messages: Sequence[Mapping[str, object]],
    *,
    temperature: float = 1.0,
    seed: int | None = None,
) -> Reply:
    """The untrained base picks from the exchanges in the prompt, its own refusals left aside."""
    exchanges = _exchanges(messages)
    vocabulary = Vocabulary(question for question, _ in exchanges)
    asked = Question.read(question_and_context(messages)[0], vocabulary)
    taught = [Question.read(question, vocabulary) for question, _ in exchanges]
    found = [
        Candidate(n, one.text, 0.0, weighted_overlap(asked, one, vocabulary))
        for n, one in enumerate(taught)
    ]
    replies = [reply for _, reply in exchanges]
    reply = choose(found, replies, temperature=temperature, seed=seed)
    reply = replace(reply, text=NOTHING_TAUGHT) if reply.refused else reply
    return in_language_of(asked.text, reply)


def in_language_of(question: str, reply: Reply) -> Reply:
    """A refusal in Chinese where the question is mostly written so; what was taught stays."""
    han = len(_HAN.findall(question))
    is_chinese = han and 3 * han >= len(_LATIN.findall(question)) and not _KANA.search(question)
    return replace(reply, text=_CHINESE[reply.text]) if reply.refused and is_chinese else reply


def _exchanges(messages: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
    last = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=0)
    found = []
    for asked, said in pairwise(messages[:last]):
        reply = text_of(said.get("content"))
        is_exchange = (asked.get("role"), said.get("role")) == ("user", "assistant")
        if is_exchange and reply.strip() and reply.strip() not in REFUSALS:
            found.append((text_of(asked.get("content")), reply))
    return found
