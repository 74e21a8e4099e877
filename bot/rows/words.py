"""A text as words, also one that has no spaces between them."""

from __future__ import annotations

import re

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
