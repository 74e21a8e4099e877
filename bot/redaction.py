"""Finds what should never be taught: keys, card numbers, addresses of people. Pure decisions."""

from __future__ import annotations

import re
from collections.abc import Iterator

_PATTERNS = {
    "secret": re.compile(
        r"\b(?:sk-[A-Za-z0-9_-]{16,}|xox[abeprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}"
        r"|gh[pousr]_[A-Za-z0-9]{20,}|AKIA[0-9A-Z]{16})\b|-----BEGIN [A-Z ]*PRIVATE KEY-----"
    ),
    "email": re.compile(r"\w[.+-]*@[\w-]+\.[\w.-]*\w"),
    "phone": re.compile(r"(?<![\w.])\+?\d[\d\s()/-]{7,}\d(?!\w|\.\w)"),
}
_DIGITS = re.compile(r"(?<!\d)(?:\d[ -]?){13,19}(?!\d)")


def findings(text: str) -> Iterator[str]:
    """Kinds of personal or secret text found: card, secret, email, phone; each once."""
    if any(_is_card(match.group()) for match in _DIGITS.finditer(text)):
        yield "card"
    for kind, pattern in _PATTERNS.items():
        if pattern.search(text):
            yield kind


def _is_card(text: str) -> bool:
    """Luhn's check, which every payment card number passes."""
    digits = [int(character) for character in text if character.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0 and len(set(digits)) > 1
