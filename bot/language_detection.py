"""Detects the language of a short text by its script or its most common words."""

from __future__ import annotations

import re

_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("he", re.compile(r"[\u0590-\u05ff]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
)
_COMMON_WORDS = {
    "en": "the is are and to of you how what do does can it in for with my i we"
    " as a an but this that be not your on at me no so",
    "de": "der die das ist und wie ich sie nicht ein eine zu wir den mit was auf im für wo",
    "fr": "le la les est et je vous pas un une des que pour comment il nous sur au dans",
    "es": "el los las es y que por para una un cómo no qué con su sus puedo del la al se en",
    "it": "il che è per non una un come di sono con posso gli della si la le al nel",
    "pt": "o os é que não para uma um como com por do da meu posso a as no na em",
    "nl": "de het een en is ik niet van hoe dat kan op voor met wij te zijn mijn wat",
}
_COMMON = {name: frozenset(words.split()) for name, words in _COMMON_WORDS.items()}
COMMON_WORDS = frozenset[str]().union(*_COMMON.values())
"""Words that say little, of all languages told by words."""
_MAX_CHARACTERS, _MIN_COMMON_WORDS = 400, 2


def detect_language(text: str) -> str:
    """Returns the language code of a text, or "" if it cannot be told."""
    part = text[:_MAX_CHARACTERS]
    for name, letters in _SCRIPTS:
        if len(letters.findall(part)) * 4 > len(part.replace(" ", "")):
            return name
    words = part.casefold().split()
    counts = {name: sum(word in common for word in words) for name, common in _COMMON.items()}
    first, second = sorted(counts.values(), reverse=True)[:2]
    if first < _MIN_COMMON_WORDS or first < 2 * second:
        return ""
    return max(counts, key=lambda name: counts[name])
