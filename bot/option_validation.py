"""Validates typed option values with pydantic; every error names the option."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cache, partial
from typing import Annotated

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from bot.errors import BadInput
from bot.number_formats import (
    MAX_DATABASE_INTEGER,
    format_number,
    possible_numbers,
    possible_whole_numbers,
)
from bot.words import Words


def parse_integer(
    name: str,
    text: str,
    words: Words,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> int:
    """Returns the integer in a text. Raises BadInput, also outside the bounds."""
    try:
        return _whole_adapter(minimum, maximum).validate_python(text)
    except ValidationError as error:
        problem = _sentence(error, name, text, words, minimum=minimum, maximum=maximum)
        raise BadInput(problem=problem) from None


def parse_number(
    name: str,
    text: str,
    words: Words,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
) -> float:
    """Returns the number in a text. Raises BadInput, also outside the bounds or if ambiguous."""
    try:
        return _number_adapter(minimum, maximum).validate_python(text)
    except ValidationError as error:
        problem = _sentence(error, name, text, words, minimum=minimum, maximum=maximum)
        raise BadInput(problem=problem) from None


def parse_choice(name: str, text: str, words: Words, *, choices: Sequence[str]) -> str:
    """Returns the choice that a text names, ignoring case. Raises BadInput."""
    try:
        return _choice_adapter(tuple(choices)).validate_python(text.lower())
    except ValidationError:
        choices_text = ", ".join(choices)
        problem = words("option.choice", option=name, choices=choices_text, value=text)
        raise BadInput(problem=problem) from None


@cache
def _whole_adapter(minimum: float | None, maximum: float | None) -> TypeAdapter[int]:
    bounds = Field(
        ge=-MAX_DATABASE_INTEGER if minimum is None else minimum,
        le=MAX_DATABASE_INTEGER if maximum is None else maximum,
    )
    return TypeAdapter(Annotated[int, BeforeValidator(_parse_whole), bounds])


@cache
def _number_adapter(minimum: float | None, maximum: float | None) -> TypeAdapter[float]:
    reading = BeforeValidator(partial(_parse_number, minimum=minimum, maximum=maximum))
    return TypeAdapter(Annotated[float, reading, Field(ge=minimum, le=maximum)])


@cache
def _choice_adapter(choices: tuple[str, ...]) -> TypeAdapter[str]:
    pattern = "|".join(re.escape(choice) for choice in choices)
    return TypeAdapter(Annotated[str, Field(pattern=f"^(?:{pattern})$")])


def _parse_whole(text: str) -> float:
    number = next(iter(possible_whole_numbers(text)), None)
    if number is None:
        raise PydanticCustomError("no_number", "no number")
    if number != int(number) or abs(number) > MAX_DATABASE_INTEGER:
        raise PydanticCustomError("no_whole_number", "no whole number")
    return number


def _parse_number(text: str, *, minimum: float | None, maximum: float | None) -> float:
    """Returns the number that a text means; refuses two readings that are both in the bounds."""
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum
    numbers = sorted(possible_numbers(text))
    # A dot before three digits is a program's decimal point; a comma may be either.
    has_comma = "," in text or "，" in text
    fitting = [number for number in numbers if low <= number <= high and not has_comma] or numbers
    if not fitting:
        raise PydanticCustomError("no_number", "no number")
    if len(fitting) > 1:
        first, other = map(format_number, fitting)
        raise PydanticCustomError("ambiguous", "two readings", {"one": first, "other": other})
    return fitting[0]


def _sentence(
    error: ValidationError,
    name: str,
    value: str,
    words: Words,
    *,
    minimum: float | None,
    maximum: float | None,
) -> str:
    detail = error.errors(include_url=False)[0]
    match detail["type"]:
        case "no_number":
            return words("option.number", option=name, value=value)
        case "no_whole_number":
            return words("option.integer", option=name)
        case "ambiguous":
            return words("option.ambiguous", option=name, value=value, **detail["ctx"])
    if maximum is None:
        return words("option.least", option=name, least=format_number(minimum or 0))
    return words(
        "option.range", option=name, least=format_number(minimum or 0), most=format_number(maximum)
    )
