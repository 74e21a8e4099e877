"""Splits a text into words, also in languages without spaces between words."""

from __future__ import annotations

import re

_PAIR = 2
_MAX_TERM_LENGTH = 12
_WORD = re.compile(r"\w+")
# Kana, and the characters that Chinese, Japanese and old Korean share.
_HAN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


def split_words(text: str) -> list[str]:
    """Returns the case-folded words; for Chinese and Japanese every character bigram."""
    words: list[str] = []
    for word in _WORD.findall(text.casefold()):
        if len(word) > 1 and _HAN.search(word):
            words += [word[start : start + 2] for start in range(len(word) - 1)]
        else:
            words.append(word)
    return words


def search_terms(text: str, most: int) -> list[str]:
    """Returns the longest words; of a text without spaces evenly spaced character bigrams."""
    words = list(dict.fromkeys(split_words(text)))
    longest = sorted(words, key=len, reverse=True)
    if longest and len(longest[0]) <= _PAIR:
        longest = words[:: max(1, len(words) // most)]
    return [term[:_MAX_TERM_LENGTH] for term in longest[:most]]
