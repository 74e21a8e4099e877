"""Which of many short texts are much alike: words and their parts, weighted by how rare they are.

Cosine of tf-idf vectors (Salton and Buckley 1988). Of what is written without blanks, as Chinese
is, pairs of characters stand for words. Pure functions, without numpy.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

ALIKE_FROM = 0.3
"""The cosine from which on two texts count as alike."""
_WORD = re.compile(r"[⺀-鿿豈-﫿]+|[^\W_⺀-鿿豈-﫿]+")
_UNSPACED = re.compile(r"[⺀-鿿豈-﫿]")
_WHOLE = 5
"""Letters from which on a word counts in full; in many languages the common words are short."""
_PART = 4
_PART_WEIGHT = 0.5
_CHARACTER_WEIGHT = 0.7
_FEWEST = 20
"""Texts that are compared are taken as part of at least so many, or a word of two were common."""

Vector = Mapping[str, float]


def group_alike_texts(texts: Sequence[str], *, alike_from: float = ALIKE_FROM) -> list[list[int]]:
    """Positions of the texts, those of alike texts together, each group by its first text.

    A text joins the group whose first text it is most like; so groups never chain into one.
    """
    vectors = _vectors(texts)
    found: list[list[int]] = []
    holding: dict[str, list[int]] = defaultdict(list)
    for at, vector in enumerate(vectors):
        scores: dict[int, float] = defaultdict(float)
        for feature, weight in vector.items():
            for group in holding[feature]:
                scores[group] += weight * vectors[found[group][0]][feature]
        best = max(scores, key=lambda group: (scores[group], -group), default=None)
        if best is not None and scores[best] >= alike_from:
            found[best].append(at)
            continue
        for feature in vector:
            holding[feature].append(len(found))
        found.append([at])
    return found


def _vectors(texts: Sequence[str]) -> list[Vector]:
    counted = [_features(text) for text in texts]
    seen = Counter(feature for one in counted for feature in one)
    total = max(len(texts), _FEWEST)
    found: list[Vector] = []
    for one in counted:
        weights = {f: count * math.log(1 + total / seen[f]) for f, count in one.items()}
        length = math.sqrt(math.fsum(weight * weight for weight in weights.values()))
        found.append({f: weight / length for f, weight in weights.items()} if length else {})
    return found


def _features(text: str) -> Mapping[str, float]:
    """Words, and where they are long their parts, so that a word is like its other forms."""
    found: dict[str, float] = {}
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        if _UNSPACED.match(word):
            found |= dict.fromkeys(word, _CHARACTER_WEIGHT)
            found |= dict.fromkeys((word[at : at + 2] for at in range(len(word) - 1)), 1.0)
            continue
        found[word] = min(1.0, len(word) / _WHOLE)
        for at in range(len(word) - _PART + 1):
            found.setdefault(f"_{word[at : at + _PART]}", _PART_WEIGHT)
    return found
