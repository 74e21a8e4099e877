"""Finds the words of a text that differ from a reference, by longest common subsequence."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

# A word with the whitespace before it; each CJK character counts as a word.
_WORD = re.compile(r"\s*(?:[⺀-鿿豈-﫿]|[^\W⺀-鿿豈-﫿]+|\W)")
_MAX_WORDS = 2000
"""Words up to which texts are compared; in longer ones no difference is marked."""


def split_by_difference(text: str, reference: str) -> list[tuple[str, bool]]:
    """Returns the text in pieces, each with whether it differs from the reference."""
    (pieces, words), (_, reference_words) = _words(text), _words(reference)
    if not reference_words or max(len(words), len(reference_words)) > _MAX_WORDS:
        return [(text, False)] if text else []
    merged: list[tuple[str, bool]] = []
    for piece, is_shared in zip(pieces, _shared(words, reference_words), strict=True):
        if merged and merged[-1][1] is not is_shared:
            merged[-1] = (merged[-1][0] + piece, merged[-1][1])
        else:
            merged.append((piece, not is_shared))
    return merged


@lru_cache(maxsize=256)
def _words(text: str) -> tuple[list[str], list[str]]:
    """Returns the words as written, and normalized for comparison.

    Cached, as several answers are compared with the same reference.
    """
    pieces = _WORD.findall(text)
    return pieces, [piece.strip().casefold() for piece in pieces]


def _shared(left_words: Sequence[str], right_words: Sequence[str]) -> list[bool]:
    """Returns for each left word whether it is in the longest common subsequence.

    Bit-parallel (Hyyrö 2004, Bit-parallel LCS-length computation revisited): after each left word,
    bit j of `row` is 0 if the right word j makes the common subsequence longer.
    """
    positions: dict[str, int] = defaultdict(int)
    for index, word in enumerate(right_words):
        positions[word] |= 1 << index
    all_bits = (1 << len(right_words)) - 1
    rows = [all_bits]
    for word in left_words:
        row = rows[-1]
        same = row & positions.get(word, 0)
        rows.append(((row + same) | (row - same)) & all_bits)
    return _backtrack(rows, len(right_words))


def _backtrack(rows: Sequence[int], width: int) -> list[bool]:
    """Follows the rows back from the ends of both texts, and marks the shared left words."""
    shared = [False] * (len(rows) - 1)
    index, bit = len(shared), width - 1
    while index and bit >= 0:
        if rows[index] >> bit & 1:
            bit -= 1
        elif rows[index - 1] >> bit & 1:
            index -= 1
            shared[index] = True
            bit -= 1
        else:
            index -= 1
    return shared
