"""Answers without any training, from the exchanges that stand in the prompt itself."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

from tuner.sandbox import words
from tuner.sandbox.evidence import Question, cover, prepare, strength
from tuner.sandbox.features import Vocabulary, split_context, text_of
from tuner.sandbox.replying import NOT_TAUGHT, NOTHING_TAUGHT, Candidate, Reply, choose

LIMIT = 0.5


def base_reply(
    messages: Sequence[Mapping[str, object]],
    *,
    temperature: float = 1.0,
    seed: int | None = None,
) -> Reply:
    """Picks from the exchanges before the last user message, its own refusals left aside."""
    exchanges = _exchanges(messages)
    vocabulary = Vocabulary()
    for question, _ in exchanges:
        vocabulary.add(words.read(question))
    asked_text, _ = split_context(messages)
    asked = prepare(vocabulary.read(asked_text), words.marks(asked_text), vocabulary)
    found = [
        Candidate(
            number,
            0.0,
            strength(cover(asked, _prepared(question, vocabulary), _prepared(reply, vocabulary))),
        )
        for number, (question, reply) in enumerate(exchanges)
    ]
    replies = [reply for _, reply in exchanges]
    reply = choose(found, replies, limit=LIMIT, temperature=temperature, seed=seed)
    return replace(reply, text=NOTHING_TAUGHT) if reply.refused else reply


def _exchanges(messages: Sequence[Mapping[str, object]]) -> list[tuple[str, str]]:
    last = max((i for i, m in enumerate(messages) if m.get("role") == "user"), default=0)
    found = []
    for asked, said in pairwise(messages[:last]):
        reply = text_of(said.get("content"))
        if (asked.get("role"), said.get("role")) != ("user", "assistant"):
            continue
        if reply.strip() and reply.strip() not in (NOT_TAUGHT, NOTHING_TAUGHT):
            found.append((text_of(asked.get("content")), reply))
    return found


def _prepared(question: str, vocabulary: Vocabulary) -> Question:
    return prepare(words.read(question), words.marks(question), vocabulary)
