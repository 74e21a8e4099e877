"""Puts rows with similar questions before a row, as a bot puts examples before a question."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.rows import words_of
from tuner.local.rewording import Message, single_exchange

EXAMPLES = 3
"""The number of rows before a question."""
WITH_SAME_ANSWER = 0.5
"""The share of rows before which questions with the same answer may stand.

Examples may contain the answer or not, and a model has to handle both.
"""
LOOKED_AT = 500
"""The number of rows compared with a question; of larger datasets a random sample is taken."""


@dataclass(frozen=True, slots=True)
class _Exchange:
    asked: Message
    answer: Message
    words: frozenset[str]


class NearestRows:
    """Rows with one question and one answer, compared by the words of their questions."""

    def __init__(self, rows: Sequence[Mapping[str, object]]) -> None:
        exchanges = [exchange for row in rows if (exchange := single_exchange(row)) is not None]
        self._exchanges = [
            _Exchange(asked, answer, frozenset(words_of(asked["content"])))
            for _, asked, answer in exchanges
        ]

    def lead(
        self, taught: Mapping[str, object], reworded: Mapping[str, object], rng: random.Random
    ) -> dict[str, object] | None:
        """Returns the reworded row after its nearest rows, nearest last, with answers of weight 0.

        The question itself is never among the nearest rows. Returns None for a row with several
        answers, and if there is no other row.
        """
        own, shown = single_exchange(taught), single_exchange(reworded)
        if own is None or shown is None:
            return None
        before, asked, answer = shown
        examples = [
            message
            for each in reversed(self._nearest(own[1], asked, answer, rng))
            for message in (each.asked, {**each.answer, "weight": 0})
        ]
        return {**reworded, "messages": [*before, *examples, asked, answer]} if examples else None

    def _nearest(
        self, taught: Message, asked: Message, answer: Message, rng: random.Random
    ) -> list[_Exchange]:
        """Returns the rows that share most words with the question, as in `bot.prompts`."""
        is_same_allowed = rng.random() < WITH_SAME_ANSWER
        pool, words = self._exchanges, frozenset(words_of(asked["content"]))
        others = [
            each
            for each in (pool if len(pool) <= LOOKED_AT else rng.sample(pool, LOOKED_AT))
            if each.asked["content"] != taught["content"]
            and (is_same_allowed or each.answer["content"] != answer["content"])
        ]
        return sorted(others, key=lambda each: len(words & each.words), reverse=True)[:EXAMPLES]
