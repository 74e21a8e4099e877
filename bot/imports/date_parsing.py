"""Parses dates and times of many notations into numbers that order them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_EPOCH: Final = re.compile(r"\d{9,13}(?:\.\d+)?")
# Serial dates of spreadsheets: days since 1900.
_SERIAL: Final = re.compile(r"[345]\d{4}(?:\.\d+)?")
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            "jan ene gen",
            "feb fév fev",
            "mar mär mrz",
            "apr avr abr",
            "may mai mag",
            "jun juin giu",
            "jul juil lug",
            "aug aoû ago",
            "sep set",
            "oct okt ott out",
            "nov",
            "dec dez déc dic",
        ),
        1,
    )
    for name in names.split()
}
_DATE: Final = re.compile(
    r"(\d{4})\D{1,3}(\d{1,2})\D{1,3}(\d{1,2})(?!\d)|(\d{1,2})\D{1,4}(\d{1,2})\D{1,4}(\d{2,4})(?!\d)"
)
_CLOCK: Final = re.compile(r"(\d{1,2})[:.h时時](\d{2})(?:[:.分](\d{2})(?:[.,](\d{1,6}))?)?")
_OFFSET: Final = re.compile(r"([+-])(\d{2}):?(\d{2})\)?\s*$")


def is_day_first(text: str) -> bool:
    """Whether a date with slashes has the day first because its first number exceeds 12."""
    match = re.match(r"(\d{1,2})/\d{1,2}/\d{2,4}", text)
    return match is not None and int(match[1]) > 12


def parse_date(text: str, *, day_first: bool = False) -> tuple[float, ...]:
    """Returns a sort key for a text with a date, and () for a text without one.

    The keys of texts in the same notation are comparable. 1/2/2026 is in January unless
    `day_first`.
    """
    if _EPOCH.fullmatch(text) or _SERIAL.fullmatch(text):
        return (float(text),)
    plain, has_name = _with_numbers(text.lower())
    match = _DATE.search(plain)
    if match is None or (match.start() and not has_name and not plain[: match.start()].isalpha()):
        return ()
    if match[1]:
        year, month, day = (int(part) for part in match.groups()[:3])
    else:
        first, second, year = (int(part) for part in match.groups()[3:])
        is_american = "/" in text[:3] and not day_first and not has_name
        month, day = (first, second) if is_american else (second, first)
    try:
        start = datetime(year if year > 99 else 2000 + year, month, day, tzinfo=UTC)
    except ValueError:
        return ()
    return ((start + _time_of_day(plain[match.end() :])).timestamp(),)


def _with_numbers(text: str) -> tuple[str, bool]:
    """Returns the text with a named month replaced by a number, and whether the text has one.

    The date is written in the order day, month, year.
    """
    for match in re.finditer(r"[a-zäéû]{3,10}", text):
        number = _MONTHS.get(match[0][:4]) or _MONTHS.get(match[0][:3])
        if number is None:
            continue
        before, after = text[: match.start()], text[match.end() :]
        day = re.search(r"(\d{1,2})\.?(?: de)?[ -]*$", before)
        if day:
            rest = re.sub(r"^\.?(?: de)?[ ,/-]*", "", after)
            return f"{day[1]}-{number}-{rest}", True
        day = re.match(r"\.? *(\d{1,2})(?:st|nd|rd|th)?[ ,]+", after)
        if day:
            return f"{day[1]}-{number}-{after[day.end() :]}", True
    return text, False


def _time_of_day(text: str) -> timedelta:
    """Returns the time of day in a text, in UTC if the text has an offset."""
    clock = _CLOCK.search(text)
    if clock is None:
        return timedelta()
    hours, minutes, seconds = (int(part or 0) for part in clock.groups()[:3])
    half_day = re.search(r"[ap]\.?m|[上下]午", text)
    if half_day:
        is_afternoon = half_day[0][0] in "p下"
        hours = hours % 12 + 12 * is_afternoon
    fraction = float(f"0.{clock[4]}") if clock[4] else 0.0
    of_day = timedelta(hours=hours, minutes=minutes, seconds=seconds + fraction)
    offset = _OFFSET.search(text)
    if offset:
        shift = timedelta(hours=int(offset[2]), minutes=int(offset[3]))
        of_day += shift if offset[1] == "-" else -shift
    return of_day
