"""Files that a person names on a line; the console reads them from the local disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from adapters.console.command_hints import LineError
from bot.commands import Catalogue, Command, OptionKind
from bot.domain import Attachment
from bot.errors import NotFound

_TOKEN = re.compile(r'(?:"[^"]*"|\S)+')


@dataclass(frozen=True, slots=True)
class _Argument:
    """A word that may be a file's path; `must_exist` if it cannot be anything else."""

    start: int
    end: int
    path: str
    must_exist: bool


def attachment_at(path: str) -> Attachment:
    """Returns the file at a path as an attachment. Raises LineError if there is none."""
    attachment = _existing(path)
    if attachment is None:
        raise LineError("console.no_file", path=path)
    return attachment


def split_off_file(words: str, catalogue: Catalogue) -> tuple[str, Attachment | None]:
    """Returns a command without the first file that it names, and that file or None.

    Raises LineError if the command names a file that does not exist.
    """
    try:
        command, rest = catalogue.find_command(words)
    except NotFound:
        return words, None
    offset = len(words) - len(rest)
    for argument in _arguments(command, words, offset):
        attachment = (
            attachment_at(argument.path) if argument.must_exist else _existing(argument.path)
        )
        if attachment:
            remaining = words[: argument.start].rstrip() + words[argument.end :]
            return remaining.strip(), attachment
    return words, None


def _arguments(command: Command, words: str, offset: int) -> Iterator[_Argument]:
    names = {option.name for option in command.options}
    files = {option.name for option in command.options if option.kind is OptionKind.FILE}
    if not files:
        return
    takes_other_words = command.rest_option is not None and command.rest_option.name not in files
    for token in _TOKEN.finditer(words, offset):
        name, sign, value = _name_and_value(token[0])
        if sign and name in files:
            yield _Argument(token.start(), token.end(), _unquoted(value), must_exist=True)
        elif not (sign and name in names):
            path = _unquoted(token[0])
            yield _Argument(token.start(), token.end(), path, must_exist=not takes_other_words)


def _name_and_value(token: str) -> tuple[str, str, str]:
    """Returns name, sign and value of `name:value` or `--name=value`, else the token alone."""
    match = re.match(r"-*(\w+)([:=])(.*)", token, re.DOTALL)
    return (match[1].lower(), match[2], match[3]) if match else (token, "", "")


def _unquoted(token: str) -> str:
    return token.replace('"', "")


def _existing(path: str) -> Attachment | None:
    try:
        file = Path(path).expanduser().resolve()
        if not file.is_file():
            return None
        return Attachment(file.name, str(file), file.stat().st_size)
    except (OSError, ValueError, RuntimeError):
        # The text is too long, contains NUL or names an unknown home directory.
        return None
