"""Finds phone numbers: possible for the phonenumbers library, and not marked as another number."""

from __future__ import annotations

import re
from collections.abc import Iterator

import phonenumbers

from bot.private_text.id_numbers import OTHER_NUMBER_WORDS
from bot.private_text.kinds import Finding, PrivateText

_DIGIT_RUN = re.compile(
    r"(?<![A-Za-z0-9_.#$€£/=-])(?:\+|\(\+?)?\d(?:[ ().\u00a0\u2013/-]{0,3}\d){6,16}"
    r"(?![A-Za-z0-9_%€])",
    re.ASCII,
)
_DATE = re.compile(
    r"(?:19|20)\d\d[-./ ]?[01]?\d[-./ ]?[0-3]?\d(?:\D|\Z)"
    r"|[0-3]?\d([./-])[0-3]?\d\1(?:\d\d){1,2}(?!\1?\d)"
    r"|\d+\.\d+(?: \d+\.\d+)+\Z"
    r"|\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\Z|\d{1,7}\.\d+\Z"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:[ .]\d{3}){2,5}\Z")
_YEARS = re.compile(r"(?:\d{1,3} )?(?:19|20)\d\d[ /\u2013-](?:19|20)\d\d\Z")
_NORTH_AMERICA = re.compile(r"\(?[2-9]\d\d\)?[ .-]{1,2}\d{3}[ .-]\d{4}\Z")
# Brazil's and South Korea's numbers, which few other numbers are written like.
_BRAZIL_OR_KOREA = re.compile(r"\(\d\d\) ?9?\d{4}-\d{4}\Z|01[016-9]-\d{3,4}-\d{4}\Z")
_CHINA = re.compile(
    r"1[3-9]\d(?:[ -]?\d{4}){2}\Z|0\d{2,3}[ -]?\d{7,8}\Z|(?:400|800)-?\d{3,4}-?\d{3,4}\Z"
)
_HAN = re.compile(r"[\u4e00-\u9fff]|\A\Z")
_PHONE_WORD_BEFORE = re.compile(
    r"\btel|phone|\bcall|\bring\b|\bdial|mobile|mobil\b|móvil|\bcell|\bcelular|\bportable\b|\bzap\b|handy|\bfax|whats|\bsms\b"
    r"|\btext (?:me|him|her|us)|reach|telefon|anruf|\bruf\b|erreich|durchwahl|appel|\btél|llam"
    r"|\bbel\b|\bzadzwo|\btlf|\bpuh|\bτηλ|телефон|звон|\bтел|هاتف|טלפון|เบอร์|โทร|điện thoại"
    r"|电话|手机|座机|拨|打|联系|微信|電話|携帯|전화|number is"
    r"|\b(?:my|mi|mon|meu|il mio) n(?:umber|[uú]m[eé]ro)|\bmeine nummer|我的号码",
    re.IGNORECASE,
)
# A word that also precedes other numbers, so it is weaker evidence.
_WEAK_WORD_BEFORE = re.compile(r"\bon \Z", re.IGNORECASE)
_PHONE_WORD_AFTER = re.compile(
    r"\A.{0,6}(?:\w+'s (?:number|cell|mobile)|微信|\(tel|\(mob)", re.IGNORECASE
)
_UNIT_AFTER = re.compile(
    r"\A ?(?:[%€$£¥元](?!\d)|欧元|美元"
    r"|(?:euros?|dollars?|pounds?|francs?|yen|eur|usd|gbp|chf|cny|rmb)\b)",
    re.IGNORECASE,
)
_REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "CN", "JP", "NL", "CH", "AT", "BR", "IN", "AU")
# More regions, for numbers that are written in groups after a word for phone.
_REGIONS_OF_GROUPS = (
    *("PL", "PT", "CZ", "SK", "GR", "DK", "NO", "SE", "FI", "BE", "HU", "RO", "BG", "HR", "IE"),
    *("RU", "UA", "TR", "IL", "MX", "AR", "CL", "CO", "PE", "KR", "TW", "HK", "SG", "ID", "VN"),
    *("TH", "PH", "MY", "ZA", "NG", "KE", "EG", "AE", "SA", "NZ"),
)
_GROUPED_DIGITS = 9
_BEFORE, _AFTER = 28, 24


def find_phones(text: str) -> Iterator[Finding]:
    """Yields phone numbers."""
    for match in _DIGIT_RUN.finditer(text):
        number = match[0].rstrip(" (.-/")
        start = match.start()
        before = text[max(0, start - _BEFORE) : start]
        after = text[match.end() : match.end() + _AFTER]
        if _is_phone(number, before, after):
            yield Finding(PrivateText.PHONE, start, start + len(number))


def sample_texts() -> Iterator[str]:
    """Yields a text with the example number of each region, whose patterns are then loaded."""
    for region in (*_REGIONS, *_REGIONS_OF_GROUPS):
        if (number := phonenumbers.example_number(region)) is not None:
            written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
            yield f"tel {written}"


def _is_phone(number: str, before: str, after: str) -> bool:
    """Whether a number is a phone number, by its digits and the texts before and after it."""
    digits = "".join(char for char in number if char.isdigit())
    if len(set(digits)) < 3 or _DATE.match(number):
        return False
    if number.startswith(("+", "(+")):
        return _is_international_phone(number, f"+{digits}", before, after)
    return _is_national_phone(number, digits, before, after)


def _is_international_phone(number: str, digits: str, before: str, after: str) -> bool:
    """Whether a number with a plus is a phone number, also if its area code does not exist.

    An amount or two years after a plus may have the length of a phone number, so without an area
    code that exists they need a word for phone before them, or a line of their own.
    """
    if _UNIT_AFTER.match(after) or not _is_possible(digits):
        return False
    plain = number.lstrip("(+")
    line = before.rpartition("\n")[2] + after.partition("\n")[0]
    is_alone = not any(char.isalnum() for char in line)
    is_other = _THOUSANDS.match(plain) or _YEARS.match(plain)
    is_phone = not is_other or is_alone or _PHONE_WORD_BEFORE.search(before) is not None
    return is_phone or _is_valid(digits, None)


def _is_national_phone(number: str, digits: str, before: str, after: str) -> bool:
    """Whether a number without a plus is a phone number."""
    has_word = bool(
        _PHONE_WORD_BEFORE.search(before)
        or _PHONE_WORD_AFTER.search(after)
        or (not number.isdigit() and _WEAK_WORD_BEFORE.search(before))
    )
    if OTHER_NUMBER_WORDS.search(before) and not has_word:
        return False
    # Poland and Portugal group phone numbers like thousands.
    if _THOUSANDS.match(number) and not (has_word and len(digits) == _GROUPED_DIGITS):
        return False
    if number.startswith("00"):
        return _is_valid(f"+{digits[2:]}", None)
    if _NORTH_AMERICA.match(number) or _BRAZIL_OR_KOREA.match(number):
        return True
    has_groups = not number.isdigit()
    # Digits alone are as often an order, unless the sentence is Chinese.
    if _CHINA.match(number) and (has_groups or has_word or _HAN.search(before + after)):
        return True
    is_local = number.lstrip("(").startswith("0") and has_groups
    more_regions = _REGIONS_OF_GROUPS if has_groups and has_word else ()
    regions = (*_REGIONS, *more_regions) if is_local or has_word else ()
    return any(_is_valid(number, region) for region in regions)


def _is_possible(number: str) -> bool:
    """Whether a number with a country code has a length that numbers of the country have."""
    try:
        return phonenumbers.is_possible_number(phonenumbers.parse(number, None))
    except phonenumbers.NumberParseException:
        return False


def _is_valid(number: str, region: str | None) -> bool:
    try:
        parsed = phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(parsed)
