"""Puts rows with similar questions before a row, as a bot puts examples before a question."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import wordllama
from numpy.typing import NDArray
from wordllama.inference import WordLlamaInference

from tuner.local.question_rewording import Message, single_exchange

EXAMPLES_BEFORE_QUESTION = 3
"""The number of rows before a question."""
_MAX_CHARACTERS = 2000


@dataclass(frozen=True, slots=True)
class _Exchange:
    question: Message
    answer: Message


class NearestRows:
    """Rows with one question and one answer, compared by the meaning of their questions.

    Similarity is that of `adapters.meaning_index`, by which the bot selects examples, so that a
    model trains with the right answer among its examples about as often as it is asked with it.
    """

    def __init__(self, rows: Sequence[Mapping[str, object]]) -> None:
        exchanges = [exchange for row in rows if (exchange := single_exchange(row)) is not None]
        self._exchanges = [_Exchange(question, answer) for _, question, answer in exchanges]

    def lead(
        self, taught: Mapping[str, object], reworded: Mapping[str, object]
    ) -> dict[str, object] | None:
        """Returns the reworded row after its nearest rows, nearest last, with answers of weight 0.

        The question itself is never among the nearest rows. Returns None for a row with several
        answers, and if there is no other row.
        """
        original, exchange = single_exchange(taught), single_exchange(reworded)
        if original is None or exchange is None:
            return None
        before, question, answer = exchange
        others = (
            other
            for other in self._ranked(question["content"])
            if other.question["content"] != original[1]["content"]
        )
        examples = [
            message
            for nearest in reversed(list(islice(others, EXAMPLES_BEFORE_QUESTION)))
            for message in (nearest.question, {**nearest.answer, "weight": 0})
        ]
        if not examples:
            return None
        return {**reworded, "messages": [*before, *examples, question, answer]}

    def _ranked(self, question: str) -> Iterator[_Exchange]:
        similarity = self._vectors @ _embed([question])[0]
        return (self._exchanges[number] for number in np.argsort(-similarity, kind="stable"))

    @cached_property
    def _vectors(self) -> NDArray[np.float32]:
        return _embed([exchange.question["content"] for exchange in self._exchanges])


def _embed(texts: Sequence[str]) -> NDArray[np.float32]:
    """Returns a vector of length 1 for the beginning of each text."""
    shortened = [text[:_MAX_CHARACTERS].strip() or "-" for text in texts]
    vectors: NDArray[np.float32] = _model().embed(shortened)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    normalised: NDArray[np.float32] = (vectors / np.maximum(lengths, 1e-6)).astype(np.float32)
    return normalised


@cache
def _model() -> WordLlamaInference:
    """Loads WordLlama, which takes a second and 60 MB."""
    folder = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
