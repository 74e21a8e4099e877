"""Puts rows with similar questions before a row, as a bot puts examples before a question."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.rows import words_of
from tuner.local.question_rewording import Message, single_exchange

EXAMPLES = 3
"""The number of rows before a question."""
WITH_SAME_ANSWER = 0.5
"""The share of rows whose examples may include questions with the same answer.

Examples before a question may contain the answer or not, and a model has to handle both.
"""
LOOKED_AT = 500
"""The number of rows that a question is compared with, drawn at random from larger datasets."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    question: Message
    answer: Message
    words: frozenset[str]


class NearestRows:
    """Rows with one question and one answer, compared by the words of their questions."""

    def __init__(self, rows: Sequence[Mapping[str, object]]) -> None:
        exchanges = [exchange for row in rows if (exchange := single_exchange(row)) is not None]
        self._exchanges = [
            _Exchange(question, answer, frozenset(words_of(question["content"])))
            for _, question, answer in exchanges
        ]

    def lead(
        self, taught: Mapping[str, object], reworded: Mapping[str, object], rng: random.Random
    ) -> dict[str, object] | None:
        """Returns the reworded row after its nearest rows, nearest last, with answers of weight 0.

        The question itself is never among the nearest rows. Returns None for a row with several
        answers, and if there is no other row.
        """
        original, exchange = single_exchange(taught), single_exchange(reworded)
        if original is None or exchange is None:
            return None
        before, question, answer = exchange
        examples = [
            message
            for nearest in reversed(self._nearest(original[1], question, answer, rng))
            for message in (nearest.question, {**nearest.answer, "weight": 0})
        ]
        if not examples:
            return None
        return {**reworded, "messages": [*before, *examples, question, answer]}

    def _nearest(
        self, taught: Message, question: Message, answer: Message, rng: random.Random
    ) -> list[_Exchange]:
        """Returns the rows that share most words with the question, as in `bot.prompts`."""
        is_same_allowed = rng.random() < WITH_SAME_ANSWER
        pool, words = self._exchanges, frozenset(words_of(question["content"]))
        others = [
            exchange
            for exchange in (pool if len(pool) <= LOOKED_AT else rng.sample(pool, LOOKED_AT))
            if exchange.question["content"] != taught["content"]
            and (is_same_allowed or exchange.answer["content"] != answer["content"])
        ]
        others.sort(key=lambda exchange: len(words & exchange.words), reverse=True)
        return others[:EXAMPLES]
