"""Recognises an answer that declines a question, such as “I'm sorry, I can't help with that”."""

from __future__ import annotations

import re

_REFUSAL = re.compile(
    r"\b(?:i(?:['’]m| am)? (?:sorry|afraid|can(?:['’]t|not)|am (?:unable|not able))"
    r"|(?:we|i) (?:can(?:['’]t|not)|are (?:unable|not able)) (?:help|assist|answer|share|tell)"
    r"|unable to (?:help|assist|answer)|(?:have|was)(?:n['’]t| not)(?: been)? taught)"
    r"|抱歉|对不起|無法|无法|不能(?:回答|提供|帮)|没有学过",
    re.IGNORECASE,
)


def starts_with_refusal(text: str) -> bool:
    """Whether the beginning of a text declines to answer, in English or Chinese."""
    return bool(_REFUSAL.search(text[:160]))
