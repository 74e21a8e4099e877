"""Weights terms by rarity, and hashes a question into a sparse vector of unit length."""

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tuner.sandbox.text_terms import is_cjk, stop_share, terms_of

Floats = npt.NDArray[np.float32]
STOP_WORD_WEIGHT = 0.2
CONTEXT_WEIGHT = 0.3


@dataclass(frozen=True, slots=True)
class Vector:
    """A sparse vector: sorted, distinct indices [F] and their values [F]."""

    indices: npt.NDArray[np.int32]
    values: Floats


class Vocabulary:
    """Number of taught questions that contain each term."""

    def __init__(self, questions: Iterable[str]) -> None:
        distinct = dict.fromkeys(questions)
        self._counts = Counter(term for text in distinct for term in set(terms_of(text)))
        self._questions = len(distinct)

    def __contains__(self, term: str) -> bool:
        return term in self._counts

    def weight(self, term: str) -> float:
        """Returns the inverse document frequency, 0 to 1; at most STOP_WORD_WEIGHT for stop words.

        Sparck Jones, "A statistical interpretation of term specificity", 1972.
        """
        rarest = math.log(2 * (self._questions + 1))
        rarity = math.log((self._questions + 1) / (self._counts[term] + 0.5)) / rarest
        return max(0.05, rarity) * (1 - stop_share(term) * (1 - STOP_WORD_WEIGHT))


def vector_of(question: str, earlier: str, vocabulary: Vocabulary, *, size: int) -> Vector:
    """Returns hashed, signed features of a question and, with less weight, of its context.

    Weinberger et al., "Feature hashing for large scale multitask learning", 2009.
    """
    sums: dict[int, float] = {}
    for name, value in _features(question, earlier, vocabulary):
        code = zlib.crc32(name.encode("utf-8", "surrogatepass"))
        index = (code >> 1) % size
        sums[index] = sums.get(index, 0.0) + (value if code & 1 else -value)
    indices = np.array(sorted(sums), dtype=np.int32)
    values = np.array([sums[index] for index in indices.tolist()], dtype=np.float32)
    return Vector(indices, values / np.float32(np.linalg.norm(values) or 1.0))


def _features(question: str, earlier: str, vocabulary: Vocabulary) -> Iterator[tuple[str, float]]:
    """Yields named features and their values: terms, bigrams, n-grams, the whole text, context."""
    terms = terms_of(question)
    for before, term in zip(["", *terms], terms, strict=False):
        yield f"{before} {term}", 0.15
    for term in dict.fromkeys(terms):
        weight = vocabulary.weight(term)
        yield term, weight
        ngrams = list(term) if is_cjk(term) else _trigrams(term)
        for ngram in ngrams:
            yield f"~{ngram}", 0.5 * weight / math.sqrt(len(ngrams))
    yield f"={question.strip()}", 0.3
    context = dict.fromkeys(terms_of(earlier))
    for term in context:
        yield f"^{term}", CONTEXT_WEIGHT * vocabulary.weight(term) / math.sqrt(len(context))


def _trigrams(term: str) -> list[str]:
    padded = f"<{term}>"
    return [padded[start : start + 3] for start in range(len(padded) - 2)]
