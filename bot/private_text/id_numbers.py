"""Finds numbers with check digits: payment cards, bank accounts, tax and identity numbers.

One number in ten passes a check digit by chance, so formats that other numbers also have need a
word before them: `named_id_numbers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.private_text.kinds import Finding, PrivateText
from bot.private_text.named_id_numbers import find_named_id_numbers, is_valid

# Six digits close together, which every such number has.
_CLOSE_DIGITS = re.compile(r"\d(?:[ ./-]{0,2}[A-Za-z]?\d){5}", re.ASCII)
_CARD = re.compile(r"(?<![A-Za-z0-9_.])[2-6](?:[ .-]?\d){12,18}(?![A-Za-z0-9_])", re.ASCII)
# First digits of the card schemes, and the groups in which the numbers are printed.
_CARD_PREFIX = re.compile(r"3[0-9]|4|5[0-9]|6[0-9]|2[2-7]")
_CARD_GROUPS = re.compile(
    r"\d+\Z|\d{4}([ .-])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?\Z|\d{4}([ -])\d{6}\2\d{4,5}\Z"
)
# What the schemes issue by length; ids of chat platforms have 17 to 19 digits.
_COMMON_CARD = re.compile(r"3[0689]\d{12}|3[47]\d{13}|(?:4\d|5\d|6\d|2[2-7]|3[56])\d{14}|62\d{17}")
_CARD_WORD = re.compile(r"card|karte|tarjeta|carte|visa|amex|卡", re.IGNORECASE)
_MIN_CARD_LENGTH = 14
_IBAN = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}", re.ASCII)
_MAX_IBAN_LENGTH, _MIN_IBAN_LENGTH = 34, 15
_ACCOUNT = re.compile(
    r"(?:account|acct\.?|a/c|routing)[ -]?(?:number|num|no|nr|#)\.?(?: is)?[ :#=]{0,3}"
    r"(\d[\d -]{4,18}\d)"
    r"|(?:kontonummer|konto-?nr|\bkto(?:-?nr)?|rekeningnummer|número de cuenta|numero di conto"
    r"|numéro de compte)"
    r"\.?(?: (?:ist|es|est|è))?[ :#=]{0,3}(\d[\d -]{4,18}\d)"
    r"|(?:账号|账户|帐号|帐户|卡号)(?:号码)?[ :：是为]{0,3}(\d[\d -]{4,20}\d)",
    re.IGNORECASE,
)
_SORT_CODE = re.compile(r"sort code[ :=]{0,3}(?:is )?(\d\d-\d\d-\d\d)", re.IGNORECASE)
# Keywords before numbers that are neither cards nor phones.
OTHER_NUMBER_WORDS = re.compile(
    r"order|ticket|invoice|rechnung|bestell|kunden|订单|发票|单号|编号|快递|\bnr\.?|\bno\.|"
    r"\bid\b|\bsku|serial|tracking|version|build|isbn|issn|\bports?\b|timestamp|注文|주문|\bcase\b|"
    r"sum|lotto|score|seconds|row|commit|part|#|\bgps|article|artikel|account|konto|\bin ms|"
    r"barcode|\bean\b|\bupc\b|条码",
    re.IGNORECASE,
)
_BEFORE = 48
_LEFT, _RIGHT = r"(?<![A-Za-z0-9_.])", r"(?![A-Za-z0-9_])"


@dataclass(frozen=True, slots=True)
class _Number:
    """The form of a number, which few other numbers have, and python-stdnum's module for it."""

    shape: re.Pattern[str]
    module: str


def _number(shape: str, module: str) -> _Number:
    return _Number(re.compile(f"{_LEFT}(?:{shape}){_RIGHT}", re.ASCII), module)


ID_NUMBER_FORMATS = (
    _number(r"\d{17}[\dXx]", "cn.ric"),
    # One with digits only has the form of a chat platform's ids.
    _number(r"(?=\d*[A-Z])[159][1-9]\d{6}[0-9A-HJ-NP-RTUWXY]{10}", "cn.uscc"),
    _number(r"\d{3}\.\d{3}\.\d{3}-\d{2}", "br.cpf"),
    _number(r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", "br.cnpj"),
    _number(r"\d{8}-?[A-HJ-NP-TV-Z]", "es.dni"),
    _number(r"[XYZ]-?\d{7}-?[A-Z]", "es.nie"),
    _number(r"\d{3}-\d{2}-\d{4}", "us.ssn"),
    _number(r"9\d{2}-[5-9]\d-\d{4}", "us.itin"),
    _number(r"\d{6}(?:\d{2})?[-+]\d{4}", "se.personnummer"),
    _number(r"\d{6}[-+A]\d{3}[0-9A-Y]", "fi.hetu"),
    _number(r"\d{6}-\d{7}", "kr.rrn"),
    _number(r"\d{3}-\d{2}-\d{5}", "kr.brn"),
    _number(r"[A-Z]{6}\d{2}[A-Z]\d{2}[A-Z]\d{3}[A-Z]", "it.codicefiscale"),
    _number(r"[12] ?\d{2} ?\d{2} ?\d{2} ?\d{3} ?\d{3} ?\d{2}", "fr.nir"),
    _number(r"756\.\d{4}\.\d{4}\.\d{2}", "ch.ssn"),
    _number(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", "be.nn"),
    _number(r"\d{2}[A-Z]{5}\d{4}[A-Z]\d[A-Z0-9]{2}", "in_.gstin"),
    _number(r"\d{2}-\d{8}-\d", "ar.cuit"),
    _number(r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]", "cl.rut"),
    _number(r"[A-Z]{4}\d{6}[HM][A-Z]{5}[A-Z0-9]\d", "mx.curp"),
    _number(r"\d{6}/\d{3,4}", "cz.rc"),
    _number(r"\d{6}-\d{2}-\d{4}", "my.nric"),
    _number(r"\d{2}\.\d{3}\.\d{3}\.\d-\d{3}\.\d{3}", "id.npwp"),
    _number(
        r"(?:AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK)"
        r"[A-Z0-9]{8,12}",
        "eu.vat",
    ),
)
# India's tax number has only four digits, so `_CLOSE_DIGITS` does not match.
_PAN = re.compile(r"\bPAN\b[^A-Z0-9]{1,12}(?:is )?([A-Z]{5}\d{4}[A-Z])(?![A-Za-z0-9])", re.ASCII)
_INSURANCE = re.compile(
    rf"{_LEFT}[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]{_RIGHT}", re.ASCII
)
_PENSION = re.compile(
    r"(?:sozialversicherung|rentenversicherung|\bsv-?(?:nr|nummer)|\bsvnr|\brvnr)\D{0,24}"
    r"(\d\d ?\d{6} ?[A-Z] ?\d{3})(?![A-Za-z0-9_])",
    re.IGNORECASE,
)


def find_id_numbers(text: str) -> Iterator[Finding]:
    """Yields cards and accounts, then tax and identity numbers."""
    for match in _PAN.finditer(text):
        if is_valid("in_.pan", match[1]):
            yield Finding(PrivateText.TAX, *match.span(1))
    for first, last in _regions(text):
        yield from _cards_and_ibans(text, first, last)
        yield from _tax_numbers(text, first, last)
        for pattern in (_ACCOUNT, _SORT_CODE):
            for match in pattern.finditer(text, first, last):
                yield Finding(PrivateText.BANK, *match.span(match.lastindex or 0))


def _cards_and_ibans(text: str, first: int, last: int) -> Iterator[Finding]:
    for match in _IBAN.finditer(text, first, last):
        if length := _iban_length(match[0]):
            yield Finding(PrivateText.BANK, match.start(), match.start() + length)
    for match in _CARD.finditer(text, first, last):
        if length := _card_length(match[0], _before(text, match)):
            yield Finding(PrivateText.CARD, match.start(), match.start() + length)


def _regions(text: str) -> Iterator[tuple[int, int]]:
    """Yields (start, end) around digits that are close together; regions do not overlap.

    A region includes the keywords before the digits and the rest of a number after them.
    """
    start, end = 0, -1
    for match in _CLOSE_DIGITS.finditer(text):
        first, last = match.start() - _BEFORE, match.end() + _MAX_IBAN_LENGTH
        if first > end >= 0:
            yield max(0, start), end
            start = first
        elif end < 0:
            start = first
        end = last
    if end >= 0:
        yield max(0, start), end


def _tax_numbers(text: str, first: int, last: int) -> Iterator[Finding]:
    """Yields tax and identity numbers with a valid check digit."""
    for match in _INSURANCE.finditer(text, first, last):
        yield Finding(PrivateText.TAX, *match.span())
    for match in _PENSION.finditer(text, first, last):
        yield Finding(PrivateText.TAX, *match.span(1))
    for number in ID_NUMBER_FORMATS:
        for match in number.shape.finditer(text, first, last):
            # Some of the modules refuse numbers with spaces.
            if is_valid(number.module, match[0].replace(" ", "")):
                yield Finding(PrivateText.TAX, *match.span())
    yield from find_named_id_numbers(text, first, last)


def _before(text: str, match: re.Match[str]) -> str:
    return text[max(0, match.start() - _BEFORE) : match.start()]


def _iban_length(text: str) -> int:
    """Returns the length of a valid IBAN at the start of a text; 0 if there is none."""
    compact = text.replace(" ", "").replace("-", "")
    for length in range(min(_MAX_IBAN_LENGTH, len(compact)), _MIN_IBAN_LENGTH - 1, -1):
        if is_valid("iban", compact[:length].upper()):
            return _prefix_length(text, length)
    return 0


def _card_length(text: str, before: str) -> int:
    """Returns the length of a card number of 14 to 19 digits at the start; 0 if there is none."""
    compact = text.replace(" ", "").replace("-", "").replace(".", "")
    has_word = _CARD_WORD.search(before) is not None
    is_other = OTHER_NUMBER_WORDS.search(before) is not None and not has_word
    if (is_other and text.isdigit()) or not _CARD_PREFIX.match(compact) or len(set(compact)) < 2:
        return 0
    for length in range(len(compact), _MIN_CARD_LENGTH - 1, -1):
        reach = _prefix_length(text, length)
        is_grouped = _CARD_GROUPS.match(text, 0, reach) is not None
        is_common = has_word or _COMMON_CARD.fullmatch(compact, 0, length) is not None
        ends = reach == len(text) or not text[reach].isdigit()
        if ends and is_grouped and is_common and passes_luhn_check(compact[:length]):
            return reach
    return 0


def _prefix_length(text: str, count: int) -> int:
    """Returns the length of the part with the first `count` letters and digits."""
    remaining = count
    for index, char in enumerate(text):
        remaining -= char.isalnum()
        if remaining == 0:
            return index + 1
    return len(text)


def passes_luhn_check(number: str) -> bool:
    """Whether digits pass the Luhn check, which every payment card number passes."""
    digits = [int(character) for character in number]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
