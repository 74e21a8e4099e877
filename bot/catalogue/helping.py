"""Help, drawn from the commands themselves."""

from __future__ import annotations

from collections.abc import Sequence

from bot.commands import Ask, Command, Option, plain
from bot.errors import UnknownCommand
from bot.replies import Line, Listing, Reply
from bot.words import Words


async def show_help(ask: Ask, commands: Sequence[Command]) -> Reply:
    """The commands the asker may use, or one of them with its options."""
    words = ask.words
    topic = ask.text("topic")
    if topic:
        return _explained(topic, commands, words)
    mine = [command for command in commands if command.role <= ask.role]
    lines = tuple(Line(f"/tune {c.path}", words(c.key)) for c in mine)
    return Listing(words("help.title"), lines, note=words("help.note"))


def _explained(topic: str, commands: Sequence[Command], words: Words) -> Reply:
    """One command with its options; a group's name lists the group."""
    listed = [c for c in commands if c.path == topic or c.path.startswith(f"{topic} ")]
    if not listed:
        raise UnknownCommand(name=topic)
    if len(listed) > 1:
        lines = tuple(Line(f"/tune {c.path}", words(c.key)) for c in listed)
        return Listing(words("help.title"), lines)
    options = tuple(
        Line(f"{option.name}:", words(f"option.{option.name}"), _range(option))
        for option in listed[0].options
    )
    role = words(f"role.{listed[0].role.name.lower()}")
    note = words("help.role", role=role)
    title = f"/tune {listed[0].path}: {words(listed[0].key)}"
    return Listing(title, options, empty=words("help.no_options"), note=note)


def _range(option: Option) -> str:
    if option.choices:
        return " | ".join(option.choices)
    if option.least is not None and option.most is not None:
        return f"{plain(option.least)}…{plain(option.most)}"
    return ""
