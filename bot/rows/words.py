"""A text as words, also one that has no spaces between them."""

from __future__ import annotations

import re

_PAIR = 2
_LONGEST_PIECE = 12
_WORD = re.compile(r"\w+")
# Kana, and the characters that Chinese, Japanese and old Korean share.
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def words_of(text: str) -> list[str]:
    """Words without case and signs; of Chinese and Japanese every two characters that follow."""
    found: list[str] = []
    for word in _WORD.findall(text.casefold()):
        if len(word) > 1 and _HAN.search(word):
            found += [word[at : at + 2] for at in range(len(word) - 1)]
        else:
            found.append(word)
    return found


def search_terms(text: str, most: int) -> list[str]:
    """The longest words; of a text without spaces its pairs of characters, from all its parts."""
    words = list(dict.fromkeys(words_of(text)))
    longest = sorted(words, key=len, reverse=True)
    if longest and len(longest[0]) <= _PAIR:
        longest = words[:: max(1, len(words) // most)]
    return [piece[:_LONGEST_PIECE] for piece in longest[:most]]
