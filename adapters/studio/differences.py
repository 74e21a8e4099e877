"""Which words of a text are not in another one, in the order of the text."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

# Words with the blanks before them; of what is written without blanks each character is one.
_WORD = re.compile(r"\s*(?:[⺀-鿿豈-﫿]|[^\W⺀-鿿豈-﫿]+|\W)")
_MOST = 2000
"""Words of a text that are compared; a longer one is shown as it is."""


def split_by_difference(text: str, reference: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it differs from what the reference has there."""
    (pieces, said), (_, wanted) = _words(text), _words(reference)
    if not wanted or max(len(said), len(wanted)) > _MOST:
        return [(text, False)] if text else []
    found: list[tuple[str, bool]] = []
    for piece, is_shared in zip(pieces, _shared(said, wanted), strict=True):
        if found and found[-1][1] is not is_shared:
            found[-1] = (found[-1][0] + piece, found[-1][1])
        else:
            found.append((piece, not is_shared))
    return found


@lru_cache(maxsize=256)
def _words(text: str) -> tuple[list[str], list[str]]:
    """As written, and as compared; several answers are held against one reference."""
    pieces = _WORD.findall(text)
    return pieces, [one.strip().casefold() for one in pieces]


def _shared(ours: Sequence[str], theirs: Sequence[str]) -> list[bool]:
    """Of each of our words whether it is in the longest common subsequence.

    Bit-parallel (Hyyrö 2004, Bit-parallel LCS-length computation revisited): after each of our
    words bit j of `row` is 0 where their word j makes the common subsequence longer.
    """
    places: dict[str, int] = defaultdict(int)
    for at, word in enumerate(theirs):
        places[word] |= 1 << at
    every = (1 << len(theirs)) - 1
    rows = [every]
    for word in ours:
        row = rows[-1]
        same = row & places.get(word, 0)
        rows.append(((row + same) | (row - same)) & every)
    return _traced(rows, len(theirs))


def _traced(rows: Sequence[int], width: int) -> list[bool]:
    """The way back through the rows, from the ends of both texts."""
    shared = [False] * (len(rows) - 1)
    at, bit = len(shared), width - 1
    while at and bit >= 0:
        if rows[at] >> bit & 1:
            bit -= 1
        elif rows[at - 1] >> bit & 1:
            at -= 1
            shared[at] = True
            bit -= 1
        else:
            at -= 1
    return shared
