"""From what people type after a command's path to its options."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence

from bot.commands import Command, Option, OptionKind
from bot.errors import BadInput
from bot.option_values import read_choice, read_number, read_whole
from bot.replies import LONGEST_ACTION
from bot.words import Words

_OPTION_NAME = re.compile(r"[A-Za-z_]{2,32}")
_TOKEN = re.compile(r'(?:[^\s"]|"[^"]*"?)+')
_BEGINS_GROUPS = re.compile(r"[+-]?\d{1,3}(?: \d{3})*")
_GROUP = re.compile(r"\d{3}(?:[,.]\d+)?")
_NUMERIC = (OptionKind.INTEGER, OptionKind.NUMBER, OptionKind.AMOUNT)


def parse(
    command: Command, line: str, words: Words, given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The options in what follows a command's path.

    `name:value` and `name=value`, quotes where there are blanks; what has no
    name goes to the `rest` option as it was written. `given` are those that the surface knows
    apart already. Raises BadInput.
    """
    named: dict[str, str] = dict(given or {})
    loose: list[str] = []
    names = {option.name for option in command.options}
    for token in _with_whole_numbers(command, _TOKEN.findall(line)):
        name, colon, value = _named(token)
        if not colon or name.lower() not in names:
            loose.append(token)
        elif name.lower() in named:
            raise BadInput(problem=words("option.twice", option=name.lower()))
        else:
            named[name.lower()] = value.replace('"', "")
    _refuse_unknown(command, loose, named, words)
    if loose and command.rest:
        named[command.rest.name] = _bare(" ".join(loose))
    return check_options(command, named, words)


def button_action(action: str, options: Mapping[str, str]) -> str | None:
    """An action with options as `parse` reads them; None where a button cannot hold them."""
    said = " ".join(f'{name}:"{value}"' for name, value in options.items() if value)
    whole = f"{action}{said}".rstrip(" ")
    is_sayable = len(whole) <= LONGEST_ACTION and not any('"' in v for v in options.values())
    return whole if is_sayable else None


def _refuse_unknown(
    command: Command, loose: Sequence[str], named: Mapping[str, str], words: Words
) -> None:
    """Names what stands where nothing can stand, and what looks like an option and is none."""
    if loose and (command.rest is None or command.rest.name in named):
        raise BadInput(problem=_unknown(command, loose[0], words))
    for token in loose:
        if command.rest is not None and _is_misspelt(token, command, command.rest):
            raise BadInput(problem=_unknown(command, token, words))


def _is_misspelt(token: str, command: Command, rest: Option) -> bool:
    """In a question anything may stand, in a model's name colons; so only near misses count."""
    name, colon, value = _named(token)
    if not colon or not value or not _OPTION_NAME.fullmatch(name):
        return False
    if rest.kind is not OptionKind.MODEL and not rest.is_sentence:
        return True
    known = [option.name for option in command.options]
    return bool(difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.75))


def check_options(command: Command, options: Mapping[str, str], words: Words) -> dict[str, str]:
    """The options again, or BadInput: required ones there, numbers in range, choices known.

    Numbers come back without separators.
    """
    names = {option.name for option in command.options}
    for name in options:
        if name not in names:
            raise BadInput(problem=_unknown(command, name, words))
    _refuse_beside(command, options, words)
    checked_values = dict(options)
    for option in command.options:
        value = options.get(option.name, "").strip()
        if option.required and not value:
            problem = words("option.missing", option=option.name, command=command.path)
            raise BadInput(problem=problem)
        if value:
            checked_values[option.name] = _checked_value(option, value, words)
    return checked_values


def _refuse_beside(command: Command, options: Mapping[str, str], words: Words) -> None:
    given = [name for name, value in options.items() if value.strip()]
    for option in command.options:
        others = [name for name in given if name != option.name]
        if option.excludes_others and option.name in given and others:
            problem = words("option.not_both", one=option.name, other=others[0])
            raise BadInput(problem=problem)


def _checked_value(option: Option, value: str, words: Words) -> str:
    if option.choices:
        return read_choice(option.name, value, words, choices=option.choices)
    if value.lower() == "auto":
        return value
    bounds = {"least": option.least, "most": option.most}
    if option.kind is OptionKind.INTEGER:
        return str(read_whole(option.name, value, words, **bounds))
    if option.kind is OptionKind.NUMBER:
        number = read_number(option.name, value, words, **bounds)
        return str(int(number)) if number == int(number) else repr(number)
    return value


def _with_whole_numbers(command: Command, tokens: Sequence[str]) -> list[str]:
    """The tokens, but "max_tokens:100 000" is one: groups of three digits go with their number."""
    numeric = {option.name for option in command.options if option.kind in _NUMERIC}
    joined: list[str] = []
    for token in tokens:
        name, _, value = _named(joined[-1]) if joined else ("", "", "")
        is_number = name.lower() in numeric and _BEGINS_GROUPS.fullmatch(value)
        if is_number and _GROUP.fullmatch(token):
            joined[-1] += f" {token}"
        else:
            joined.append(token)
    return joined


def _unknown(command: Command, token: str, words: Words) -> str:
    known = ", ".join(f"{option.name}:…" for option in command.options)
    if not known:
        return words("option.none", command=command.path, token=token)
    return words("option.unknown", command=command.path, token=token, options=known)


def _bare(text: str) -> str:
    """Without the quotes around all of it; quotes inside a sentence are its own."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"' and text.count('"') == 2
    return text[1:-1] if is_quoted else text


def _named(token: str) -> tuple[str, str, str]:
    at = min((place for place in map(token.find, ":=：") if place > 0), default=-1)
    if at < 0:
        return token, "", ""
    return token[:at].lstrip("-"), token[at], token[at + 1 :]
