"""Parses numbers as people type them: separators, decimal commas, full-width digits."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Collection

from bot.errors import NotFound

# Separators besides comma and dot: spaces (NFKC unifies their widths), apostrophes, underscore.
_BLANKS = re.compile(r"(?<=\d)[ '’_](?=\d{3}(?!\d))")
_GROUPED = re.compile(r"\d{1,3}([,.])\d{3}(?:\1\d{3})*")
_MIXED = re.compile(r"(\d{1,3}(?:([,.])\d{3})(?:\2\d{3})*)([,.])(\d+)")
_DECIMAL = re.compile(r"(\d*)[,.](\d+)|(\d+)[,.]?")
_SCIENTIFIC = re.compile(r"\d+(?:\.\d+)?e[+-]?\d{1,3}", re.IGNORECASE)
_MAX_CHARACTERS = 40

_MIN_P_VALUE = 0.001
MAX_DATABASE_INTEGER = 2**63 - 1
"""The largest integer that the database can compare."""


def possible_numbers(text: str) -> Collection[float]:
    """Returns every number that a text may mean; empty if it is not a number.

    "1,000" and "1.000" have two: one thousand, and one with three decimals.
    """
    if len(text) > _MAX_CHARACTERS:
        return ()
    plain = unicodedata.normalize("NFKC", text).replace("−", "-").strip()
    sign = -1.0 if plain.startswith("-") else 1.0
    numbers = _unsigned_numbers(plain[1:] if plain[:1] in ("+", "-") else plain)
    return {sign * number for number in numbers if math.isfinite(number)}


def possible_whole_numbers(text: str) -> Collection[float]:
    """Returns the whole number that a text means; a separator before three digits groups them."""
    numbers = possible_numbers(text)
    return {max(numbers, key=abs)} if len(numbers) > 1 else numbers


def _unsigned_numbers(text: str) -> set[float]:
    if _SCIENTIFIC.fullmatch(text):
        return {float(text)}
    bare = _BLANKS.sub("", text)
    if bare != text and not re.match(r"\d{1,3}[ '’_]", text):
        return set()
    numbers = set()
    if _GROUPED.fullmatch(bare) and not bare.startswith("0") and bare == text:
        numbers.add(float(re.sub(r"[,.]", "", bare)))
    if mixed := _MIXED.fullmatch(bare):
        whole, group, mark, decimals = mixed.groups()
        if group != mark and not whole.startswith("0"):
            numbers.add(float(whole.replace(group, "") + "." + decimals))
    if _DECIMAL.fullmatch(bare):
        numbers.add(float(bare.replace(",", ".")))
    return numbers


def format_number(number: float) -> str:
    """Returns a number as text without exponent or trailing zeros."""
    return str(int(number)) if number == int(number) else f"{number:g}"


def parse_id(text: str) -> int:
    """Returns an id. Raises ValueError for other text, and for a number no id can have."""
    is_number = text.isascii() and text.isdigit() and len(text) <= len(str(MAX_DATABASE_INTEGER))
    if not is_number or not 0 < int(text) <= MAX_DATABASE_INTEGER:
        raise ValueError(text)
    return int(text)


def parse_number_argument(text: str, noun: str) -> int:
    """Returns the number in "12" or "#12". Raises NotFound, with `noun`, for other text."""
    try:
        return parse_id(text.lstrip("#"))
    except ValueError:
        raise NotFound(noun=noun, name=text) from None


def format_p_value(p_value: float) -> str:
    """Returns a p value such as "= 0.012"; a small one is never shown as zero."""
    return f"= {p_value:.3f}" if p_value >= _MIN_P_VALUE else f"< {_MIN_P_VALUE}"


def format_share_range(low: float, high: float) -> str:
    """Returns shares from 0 to 1 such as "39%–78%"; with a decimal where both would look alike."""
    digits = 1 if f"{low:.0%}" == f"{high:.0%}" else 0
    return f"{low:.{digits}%}–{high:.{digits}%}"


def format_bytes(number: int) -> str:
    """Returns a number of bytes as text, such as 1.9 GB, 265 MB or 12 KB."""
    megabytes = number / 1024**2
    if 0 < megabytes < 1:
        return f"{math.ceil(number / 1024)} KB"
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:.0f} MB"
