"""Help: lists the commands, or describes one command with its options."""

from __future__ import annotations

from collections.abc import Sequence

from bot.commands import Command, Option
from bot.domain import Role
from bot.errors import UnknownCommand
from bot.number_formats import format_number
from bot.replies import Listing, ListingRow, Reply, Text
from bot.request import Request
from bot.words import Words


def render_help(request: Request, commands: Sequence[Command], note: Text | None = None) -> Reply:
    """Lists the commands the user may use; with the option `topic`, describes one command.

    `note` is shown before the list. Raises UnknownCommand.
    """
    words = request.words
    topic = request.text_option("topic")
    permitted = [command for command in commands if command.role <= request.role]
    if topic:
        return _describe(topic, permitted if request.role is Role.STRANGER else commands, words)
    lines = tuple(_command_row(command, words) for command in permitted)
    if note is not None:
        lines = (ListingRow("", note.text, buttons=note.buttons), *lines)
    return Listing(words("help.title"), lines, note=words("help.note"))


def _describe(topic: str, commands: Sequence[Command], words: Words) -> Reply:
    """Returns a command with its options, or the subcommands if the topic is their group."""
    matches = [c for c in commands if c.path == topic or c.path.startswith(f"{topic} ")]
    if not matches:
        raise UnknownCommand(name=topic)
    if len(matches) > 1:
        return Listing(words("help.title"), tuple(_command_row(match, words) for match in matches))
    command = matches[0]
    options = tuple(
        ListingRow(f"{option.name}:", words(f"option.{option.name}"), _range(option))
        for option in command.options
    )
    role = words(f"role.{command.role.name.lower()}")
    note = words("help.role", role=role)
    title = f"/tune {command.path}: {words(command.summary_key)}"
    return Listing(title, options, empty=words("help.no_options"), note=note)


def _command_row(command: Command, words: Words) -> ListingRow:
    return ListingRow(f"/tune {command.path}", words(command.summary_key))


def _range(option: Option) -> str:
    if option.choices:
        return " | ".join(option.choices)
    if option.minimum is not None and option.maximum is not None:
        return f"{format_number(option.minimum)}…{format_number(option.maximum)}"
    return ""
