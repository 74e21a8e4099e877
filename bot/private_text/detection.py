"""Finds all private text of a text, after a quick check whether there may be any."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from bot.private_text.kinds import SECRET_NAMES, SIGNS, Finding

# Every finding has a digit, an at sign or "(at)", the first line of a key, a host's suffix, a sign
# in a password, or is a token of many letters.
# Several searches, because one regular expression for all of them takes ten times as long.
_KEY_MARK = "-----"
_DIGIT = re.compile(r"[0-9]")
_HOST_SUFFIX = re.compile(r"\.(?:internal|local|lan|corp|intranet|intra|localdomain|home\.arpa)\b")
_WRITTEN_AT = re.compile(r"[\[({<] ?a(?:t|rroba)\b| (?:dot|punkt|punto|ponto) ", re.IGNORECASE)
# The first two bytes in UTF-8 of full-width digits and signs.
_FULL_WIDTH = b"\xef\xbc"
_NARROW = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_DOTTED = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]")
_DIGITS_OF_PAN = 4
_MIN_DIGITS, _MIN_KEY_LENGTH, _MIN_SIGNS = 6, 16, 4
"""Minimum digits of a number, characters of a key, and separators of an IPv6 or MAC address."""
_MIN_TOKEN_LENGTH = 24
"""Minimum characters of a token without digits."""
_IBAN_MODULES = ("be.iban", "es.iban", "me.iban", "no.iban")
"""Modules that python-stdnum loads for the accounts of one country."""
_SAMPLES = (
    "token: a1b2c3d4e5f6a1b2c3d4",
    "IBAN DE89 3704 0044 0532 0130 00, card 4111 1111 1111 1111",
    "身份证 11010519491231002X, SSN 078-05-1120",
)
"""Texts that make the libraries read their tables."""


def may_contain_private_text(text: str) -> bool:
    """Whether a text may have private text; False is certain. Also works for case-folded text."""
    if _KEY_MARK in text or "@" in text or _HOST_SUFFIX.search(text):
        return True
    # As in ann (at) example (dot) com, which is written so that programs do not see it.
    if _WRITTEN_AT.search(text):
        return True
    text = _narrowed(text)
    digits = len(_DIGIT.findall(text))
    if digits == 0:
        has_sign = not SIGNS.isdisjoint(text)
        return _has_long_word(text, _MIN_TOKEN_LENGTH) or (has_sign and _names_a_secret(text))
    is_paired = "::" in text or text.count(":") + text.count("-") >= _MIN_SIGNS
    if digits >= _MIN_DIGITS or is_paired or _DOTTED.search(text):
        return True
    if _has_long_word(text, _MIN_KEY_LENGTH):
        return True
    has_pan = digits >= _DIGITS_OF_PAN and "pan" in text.casefold()
    return has_pan or _names_a_secret(text)


def _has_long_word(text: str, length: int) -> bool:
    return max(map(len, text.split()), default=0) >= length


def _names_a_secret(text: str) -> bool:
    folded = text.casefold()
    return any(word in folded for word in SECRET_NAMES)


def _narrowed(text: str) -> str:
    """Returns the text, of the same length, with full-width digits and signs as ASCII."""
    if text.isascii() or _FULL_WIDTH not in text.encode("utf-8", "replace"):
        return text
    return text.translate(_NARROW)


def find_private_text(text: str) -> Sequence[Finding]:
    """Returns all private text, in order; of overlapping findings the more certain kind."""
    if not may_contain_private_text(text):
        return ()
    text = _narrowed(text)
    # Imported lazily: few texts get here, and the libraries take time to load.
    from bot.private_text import addresses, credentials, id_numbers, phones

    findings: list[Finding] = []
    for detect in (
        credentials.find_credentials,
        addresses.find_addresses,
        id_numbers.find_id_numbers,
        phones.find_phones,
    ):
        _add(findings, detect(text))
    return findings


def load_detectors() -> None:
    """Loads all libraries and tables of the detectors, which takes half a second.

    Call it in a thread: the first findings would delay the event loop otherwise.
    """
    from bot.private_text import id_numbers, named_id_numbers, phones

    named = (module for _, modules in named_id_numbers.NAMED_NUMBERS for module in modules.split())
    numbers = (number.module for number in id_numbers.ID_NUMBER_FORMATS)
    for module in (*numbers, *named, *_IBAN_MODULES):
        named_id_numbers.is_valid(module, "")
    for sample in (*_SAMPLES, *phones.sample_texts()):
        find_private_text(sample)


def _add(findings: list[Finding], new: Iterable[Finding]) -> None:
    """Adds findings that do not overlap with earlier ones; the list stays in order."""
    for finding in new:
        place = bisect_left(findings, finding.start, key=lambda earlier: earlier.start)
        beside = findings[max(0, place - 1) : place + 1]
        if not any(finding.overlaps(other) for other in beside):
            findings.insert(place, finding)
