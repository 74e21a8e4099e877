"""Finds similar texts among many without comparing each text with every other one.

Two similar texts share one of their rarest words, so only texts that share a rare word are
compared. rapidfuzz releases the GIL while it compares.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from rapidfuzz import fuzz, process
from rapidfuzz.distance import OSA

from bot.language_detection import COMMON_WORDS
from bot.rows import split_words

MIN_SIMILARITY = 84.0
"""Least similarity in percent of two similar texts; 84 separated 30 labelled pairs best."""
_LONG_WORD, _LETTERS_PER_TYPO = 3, 4
"""Letters of a word that may be another matter, and for which a typo is forgiven."""
_KEYS = 5
_MAX_IN_BLOCK = 300
_FEW = 6


def find_near_duplicates(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yields the indexes of similar texts, smaller index first; a pair may be yielded again."""
    ordered = [" ".join(sorted(words)) for words in map(split_words, texts)]
    for block in _blocks(texts, ordered):
        if len(block) < 2:
            continue
        if len(block) <= _FEW:
            yield from _few_pairs(ordered, block)
        else:
            yield from _many_pairs(ordered, block)


def has_other_matter(first: str, second: str) -> bool:
    """Whether two similar texts differ in a number, or each has a word that is not the other's.

    A misspelt word, a short one and an added greeting are no other matter.
    """
    counts, other_counts = Counter(split_words(first)), Counter(split_words(second))
    own, other = counts - other_counts, other_counts - counts
    if any(word.isdigit() for word in (*own, *other)):
        return True
    return _has_new_word(own, other) and _has_new_word(other, own)


def _has_new_word(own: Counter[str], other: Counter[str]) -> bool:
    """Whether a word of the one text is spelt like none of the other's."""
    return any(
        len(word) >= _LONG_WORD
        and word not in COMMON_WORDS
        and all(OSA.distance(word, one) > len(word) // _LETTERS_PER_TYPO for one in other)
        for word in own
    )


def _blocks(texts: Sequence[str], ordered: Sequence[str]) -> Iterator[list[int]]:
    """Yields the indexes of texts that share one of their rarest words.

    Splits a long block by alphabetical order, with overlap.
    """
    counts = Counter(word for text in ordered for word in set(text.split()))
    blocks: dict[str, list[int]] = defaultdict(list)
    for number, text in enumerate(ordered):
        shared = [word for word in set(text.split()) if counts[word] > 1]
        for word in sorted(shared, key=lambda word: (counts[word], word))[:_KEYS]:
            blocks[word].append(number)
    for block in blocks.values():
        block.sort(key=lambda number: texts[number])
        step = _MAX_IN_BLOCK // 2 if len(block) > _MAX_IN_BLOCK else _MAX_IN_BLOCK
        for first in range(0, len(block), step):
            yield block[first : first + _MAX_IN_BLOCK]


def _few_pairs(texts: Sequence[str], block: Sequence[int]) -> Iterator[tuple[int, int]]:
    for at, first in enumerate(block):
        for other in block[at + 1 :]:
            if fuzz.ratio(texts[first], texts[other], score_cutoff=MIN_SIMILARITY):
                yield min(first, other), max(first, other)


def _many_pairs(texts: Sequence[str], block: Sequence[int]) -> Iterator[tuple[int, int]]:
    some = [texts[number] for number in block]
    scores = process.cdist(some, some, scorer=fuzz.ratio, score_cutoff=MIN_SIMILARITY)
    for at, row in enumerate(scores):
        for other in row.nonzero()[0].tolist():
            if at < other:
                first, two = block[at], block[other]
                yield min(first, two), max(first, two)
