"""Parses the text after a command's path into its options."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from bot.commands import Command, Option, OptionKind
from bot.errors import BadInput
from bot.option_validation import parse_choice, parse_integer, parse_number
from bot.replies import MAX_ACTION_LENGTH
from bot.words import Words

_OPTION_NAME = re.compile(r"[A-Za-z_]{2,32}")
_TOKEN = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_BEGINS_GROUPS = re.compile(r"[+-]?\d{1,3}(?: \d{3})*")
_GROUP = re.compile(r"\d{3}(?:[,.]\d+)?")
_NUMERIC = (OptionKind.INTEGER, OptionKind.NUMBER, OptionKind.NUMBER_OR_WORD)


def parse_options(
    command: Command, line: str, words: Words, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Returns the options in the text after a command's path. Raises BadInput.

    Options are `name:value` or `name=value`, with quotes around spaces; text without a name is
    the value of the `rest` option, unchanged. `given` are options that the surface has parsed.
    """
    named: dict[str, str] = dict(given or {})
    unnamed: list[str] = []
    names = {option.name for option in command.options}
    for token in _with_whole_numbers(command, _TOKEN.findall(line)):
        name, colon, value = _split_option(token)
        if not colon or name.lower() not in names:
            unnamed.append(token)
        elif name.lower() in named:
            raise BadInput(problem=words("option.twice", option=name.lower()))
        else:
            named[name.lower()] = value.replace('"', "")
    _refuse_unknown(command, unnamed, named, words)
    if unnamed and command.rest_option:
        named[command.rest_option.name] = _without_outer_quotes(" ".join(unnamed))
    return check_and_normalize_options(command, named, words)


def button_action(action: str, options: Mapping[str, str]) -> str | None:
    """Returns an action with options for `parse`; None if it is too long or has quotes."""
    typed = " ".join(f'{name}:"{value}"' for name, value in options.items() if value)
    whole = f"{action}{typed}".rstrip(" ")
    is_possible = len(whole) <= MAX_ACTION_LENGTH and not any('"' in v for v in options.values())
    return whole if is_possible else None


def _refuse_unknown(
    command: Command, unnamed: Sequence[str], named: Mapping[str, str], words: Words
) -> None:
    """Raises BadInput for text where no text is allowed, and for a misspelt option."""
    if unnamed and (command.rest_option is None or command.rest_option.name in named):
        raise BadInput(problem=_unknown_option_text(command, unnamed[0], words))
    for token in unnamed:
        if command.rest_option is not None and _is_misspelt(token, command, command.rest_option):
            raise BadInput(problem=_unknown_option_text(command, token, words))


def _is_misspelt(token: str, command: Command, rest: Option) -> bool:
    """Whether a token looks like an option with an unknown name.

    A question or a model name may contain colons, so there only names similar to an option count.
    """
    name, colon, value = _split_option(token)
    if not colon or not value or not _OPTION_NAME.fullmatch(name):
        return False
    if rest.kind is not OptionKind.MODEL and not rest.is_sentence:
        return True
    names = [option.name for option in command.options]
    return bool(difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.75))


def check_and_normalize_options(
    command: Command, options: Mapping[str, str], words: Words
) -> dict[str, str]:
    """Returns the options with numbers normalised.

    Raises BadInput for a missing or unknown option, a number out of range or an unknown choice.
    """
    names = {option.name for option in command.options}
    for name in options:
        if name not in names:
            raise BadInput(problem=_unknown_option_text(command, name, words))
    _refuse_exclusive(command, options, words)
    checked_values = dict(options)
    for option in command.options:
        value = options.get(option.name, "").strip()
        if option.required and not value:
            problem = words("option.missing", option=option.name, command=command.path)
            raise BadInput(problem=problem)
        if value:
            checked_values[option.name] = _checked_value(option, value, words)
    return checked_values


def _refuse_exclusive(command: Command, options: Mapping[str, str], words: Words) -> None:
    given_names = [name for name, value in options.items() if value.strip()]
    for option in command.options:
        others = [name for name in given_names if name != option.name]
        if option.excludes_others and option.name in given_names and others:
            problem = words("option.not_both", one=option.name, other=others[0])
            raise BadInput(problem=problem)


def _checked_value(option: Option, value: str, words: Words) -> str:
    if option.choices:
        return parse_choice(option.name, value, words, choices=option.choices)
    if value.lower() == "auto":
        return value
    bounds = {"minimum": option.minimum, "maximum": option.maximum}
    if option.kind is OptionKind.INTEGER:
        return str(parse_integer(option.name, value, words, **bounds))
    if option.kind is OptionKind.NUMBER:
        number = parse_number(option.name, value, words, **bounds)
        return str(int(number)) if number == int(number) else repr(number)
    return value


def _with_whole_numbers(command: Command, tokens: Sequence[str]) -> list[str]:
    """Joins tokens that are groups of digits of one number, as in "max_tokens:100 000"."""
    numeric = {option.name for option in command.options if option.kind in _NUMERIC}
    joined: list[str] = []
    for token in tokens:
        name, _, value = _split_option(joined[-1]) if joined else ("", "", "")
        is_number = name.lower() in numeric and _BEGINS_GROUPS.fullmatch(value)
        if is_number and _GROUP.fullmatch(token):
            joined[-1] += f" {token}"
        else:
            joined.append(token)
    return joined


def _unknown_option_text(command: Command, token: str, words: Words) -> str:
    options = ", ".join(f"{option.name}:…" for option in command.options)
    if not options:
        return words("option.none", command=command.path, token=token)
    return words("option.unknown", command=command.path, token=token, options=options)


def _without_outer_quotes(text: str) -> str:
    """Removes quotes around the whole text; quotes inside it stay."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"' and text.count('"') == 2
    return text[1:-1] if is_quoted else text


def _split_option(token: str) -> tuple[str, str, str]:
    """Returns (name, separator, value); the separator is "" for a token without one."""
    index = min((i for i in map(token.find, ":=：") if i > 0), default=-1)
    if index < 0:
        return token, "", ""
    return token[:index].lstrip("-"), token[index], token[index + 1 :]
