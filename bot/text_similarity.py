"""Groups similar short texts by the cosine of their tf-idf vectors.

Salton and Buckley 1988. Features are words and parts of words; in text without spaces, such as
Chinese, character bigrams. Pure functions, without numpy.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

MIN_COSINE = 0.3
"""Minimum cosine of similar texts."""
_WORD = re.compile(r"[⺀-鿿豈-﫿]+|[^\W_⺀-鿿豈-﫿]+")
_UNSPACED = re.compile(r"[⺀-鿿豈-﫿]")
_FULL_WEIGHT_LETTERS = 5
"""Letters of a word with full weight; shorter words, which are often common, weigh less."""
_PART_LENGTH = 4
_PART_WEIGHT = 0.5
_CHARACTER_WEIGHT = 0.7
_MIN_TEXTS = 20
"""Minimum number of texts for the idf; with fewer every word would count as common."""

Vector = Mapping[str, float]


def group_similar_texts(texts: Sequence[str], *, alike_from: float = MIN_COSINE) -> list[list[int]]:
    """Returns groups of positions of similar texts, ordered by the first text of each group.

    A text joins the group with the most similar first text, so groups do not grow by chaining.
    """
    vectors = _vectors(texts)
    groups: list[list[int]] = []
    groups_by_feature: dict[str, list[int]] = defaultdict(list)
    for position, vector in enumerate(vectors):
        scores: dict[int, float] = defaultdict(float)
        for feature, weight in vector.items():
            for group in groups_by_feature[feature]:
                scores[group] += weight * vectors[groups[group][0]][feature]
        best = max(scores, key=lambda group: (scores[group], -group), default=None)
        if best is not None and scores[best] >= alike_from:
            groups[best].append(position)
            continue
        for feature in vector:
            groups_by_feature[feature].append(len(groups))
        groups.append([position])
    return groups


def _vectors(texts: Sequence[str]) -> list[Vector]:
    """Returns the tf-idf vectors of texts, with length 1."""
    features = [_features(text) for text in texts]
    document_counts = Counter(feature for of_text in features for feature in of_text)
    total = max(len(texts), _MIN_TEXTS)
    vectors: list[Vector] = []
    for of_text in features:
        weights = {
            f: count * math.log(1 + total / document_counts[f]) for f, count in of_text.items()
        }
        length = math.sqrt(math.fsum(weight * weight for weight in weights.values()))
        vectors.append({f: weight / length for f, weight in weights.items()} if length else {})
    return vectors


def _features(text: str) -> Mapping[str, float]:
    """Returns weighted words and 4-grams of long words, so that forms of a word are similar."""
    weights: dict[str, float] = {}
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _UNSPACED.match(word):
            weights |= dict.fromkeys(word, _CHARACTER_WEIGHT)
            weights |= dict.fromkeys((word[i : i + 2] for i in range(len(word) - 1)), 1.0)
            continue
        weights[word] = min(1.0, len(word) / _FULL_WEIGHT_LETTERS)
        for start in range(len(word) - _PART_LENGTH + 1):
            weights.setdefault(f"_{word[start : start + _PART_LENGTH]}", _PART_WEIGHT)
    return weights
