"""Help: the commands there are, and how each is used."""

from __future__ import annotations

from collections.abc import Sequence

from bot.commands import Command, Option
from bot.domain import Role
from bot.errors import UnknownCommand
from bot.numerals import format_number
from bot.replies import Listing, ListingRow, Reply, Text
from bot.request import Request
from bot.words import Words


def usage(request: Request, commands: Sequence[Command], note: Text | None = None) -> Reply:
    """The commands the asker may use, or the one of `topic:` with its options; `note` goes first.

    Raises UnknownCommand.
    """
    words = request.words
    topic = request.text_option("topic")
    mine = [command for command in commands if command.role <= request.role]
    if topic:
        return _explained(topic, mine if request.role is Role.STRANGER else commands, words)
    lines = tuple(_line(command, words) for command in mine)
    if note is not None:
        lines = (ListingRow("", note.text, buttons=note.buttons), *lines)
    return Listing(words("help.title"), lines, note=words("help.note"))


def _explained(topic: str, commands: Sequence[Command], words: Words) -> Reply:
    """One command with its options; a group's name lists the group."""
    listed = [c for c in commands if c.path == topic or c.path.startswith(f"{topic} ")]
    if not listed:
        raise UnknownCommand(name=topic)
    if len(listed) > 1:
        return Listing(words("help.title"), tuple(_line(command, words) for command in listed))
    options = tuple(
        ListingRow(f"{option.name}:", words(f"option.{option.name}"), _range(option))
        for option in listed[0].options
    )
    role = words(f"role.{listed[0].role.name.lower()}")
    note = words("help.role", role=role)
    title = f"/tune {listed[0].path}: {words(listed[0].summary_key)}"
    return Listing(title, options, empty=words("help.no_options"), note=note)


def _line(command: Command, words: Words) -> ListingRow:
    return ListingRow(f"/tune {command.path}", words(command.summary_key))


def _range(option: Option) -> str:
    if option.choices:
        return " | ".join(option.choices)
    if option.least is not None and option.most is not None:
        return f"{format_number(option.least)}…{format_number(option.most)}"
    return ""
