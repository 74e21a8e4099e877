"""Files that somebody names on a line: the console sits on the same disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.console.hints import LineError
from bot.commands import Catalogue, Command, OptionKind
from bot.domain import Attachment
from bot.errors import NotFound

_TOKEN = re.compile(r'(?:"[^"]*"|\S)+')


@dataclass(frozen=True, slots=True)
class _Argument:
    """A word that may name a file; `must_exist` when it can mean nothing else."""

    start: int
    end: int
    path: str
    must_exist: bool


def attach(path: str) -> Attachment:
    """The file at a path. Raises LineError where there is none."""
    found = _existing(path)
    if found is None:
        raise LineError("console.no_file", path=path)
    return found


def take_file(words: str, catalogue: Catalogue) -> tuple[str, Attachment | None]:
    """The words of a command without the first file they name, and that file."""
    try:
        command, rest = catalogue.find_command(words)
    except NotFound:
        return words, None
    offset = len(words) - len(rest)
    for argument in _arguments(command, words, offset):
        found = attach(argument.path) if argument.must_exist else _existing(argument.path)
        if found:
            left = words[: argument.start].rstrip() + words[argument.end :]
            return left.strip(), found
    return words, None


def _arguments(command: Command, words: str, offset: int) -> Iterator[_Argument]:
    names = {option.name for option in command.options}
    files = {option.name for option in command.options if option.kind is OptionKind.FILE}
    if not files:
        return
    takes_loose = command.rest is not None and command.rest.name not in files
    for token in _TOKEN.finditer(words, offset):
        name, sign, value = _named(token[0])
        if sign and name in files:
            yield _Argument(token.start(), token.end(), _unquoted(value), must_exist=True)
        elif not (sign and name in names):
            path = _unquoted(token[0])
            yield _Argument(token.start(), token.end(), path, must_exist=not takes_loose)


def _named(token: str) -> tuple[str, str, str]:
    found = re.match(r"-*(\w+)([:=])(.*)", token, re.DOTALL)
    return (found[1].lower(), found[2], found[3]) if found else (token, "", "")


def _unquoted(token: str) -> str:
    return token.replace('"', "")


def _existing(path: str) -> Attachment | None:
    try:
        file = Path(path).expanduser().resolve()
        if not file.is_file():
            return None
        return Attachment(file.name, str(file), file.stat().st_size)
    except (OSError, ValueError, RuntimeError):
        # Too long, a NUL, an unknown home: whatever it is, it names no file.
        return None
