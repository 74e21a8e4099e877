"""Near copies among many texts, without comparing each with every other.

Two texts that are alike share one of their rarest words, so only texts under one of these words are
compared, in rapidfuzz, which lets other threads run meanwhile.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from rapidfuzz import fuzz, process

from bot.rows import words_of

ALIKE = 84.0
"""Percent of characters two texts have in common; 0.84 told near copies best of 30 pairs."""
_KEYS = 5
_MOST_IN_BLOCK = 300
_FEW = 6


def near_pairs(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Positions of texts that are alike, smaller one first; a pair may come more than once."""
    ordered = [" ".join(sorted(words)) for words in map(words_of, texts)]
    for block in _blocks(texts, ordered):
        if len(block) < 2:
            continue
        if len(block) <= _FEW:
            yield from _few_pairs(ordered, block)
        else:
            yield from _many_pairs(ordered, block)


def _blocks(texts: Sequence[str], ordered: Sequence[str]) -> Iterator[list[int]]:
    """Texts that share one of their rarest words; of a long list only neighbours by alphabet."""
    counts = Counter(word for text in ordered for word in set(text.split()))
    blocks: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(ordered):
        shared = [word for word in set(text.split()) if counts[word] > 1]
        for word in sorted(shared, key=lambda word: (counts[word], word))[:_KEYS]:
            blocks[word].append(number)
    for block in blocks.values():
        block.sort(key=lambda number: texts[number])
        step = _MOST_IN_BLOCK // 2 if len(block) > _MOST_IN_BLOCK else _MOST_IN_BLOCK
        for first in range(0, len(block), step):
            yield block[first : first + _MOST_IN_BLOCK]


def _few_pairs(texts: Sequence[str], block: Sequence[int]) -> Iterator[tuple[int, int]]:
    for at, one in enumerate(block):
        for other in block[at + 1 :]:
            if fuzz.ratio(texts[one], texts[other], score_cutoff=ALIKE):
                yield min(one, other), max(one, other)


def _many_pairs(texts: Sequence[str], block: Sequence[int]) -> Iterator[tuple[int, int]]:
    some = [texts[number] for number in block]
    scores = process.cdist(some, some, scorer=fuzz.ratio, score_cutoff=ALIKE)
    for at, row in enumerate(scores):
        for other in row.nonzero()[0].tolist():
            if at < other:
                one, two = block[at], block[other]
                yield min(one, two), max(one, two)
