"""The local workspace in a terminal."""

from __future__ import annotations

import io
from typing import TextIO

from adapters.console.script import run_script
from adapters.console.typed_commands import ConsoleSession
from adapters.local_room import LocalRoom
from bot.commands import Catalogue
from bot.domain import ChannelId
from bot.ports.dependencies import App
from bot.ports.store import Clock


async def run_console(
    app: App,
    room: LocalRoom,
    catalogue: Catalogue,
    clock: Clock,
    *,
    input: TextIO,  # noqa: A002
    output: TextIO,
    is_terminal: bool,
    locale: str = "en",
    channel: str = "general",
) -> int:
    """Runs the console until the person leaves or the input ends; returns the exit status."""
    conversation = ConsoleSession(
        app, room, catalogue, clock, locale=locale, channel=ChannelId(channel)
    )
    if is_terminal:
        # Imported only for a terminal: it loads two large libraries that a script does not need.
        from adapters.console.terminal import run_terminal

        return await run_terminal(conversation, source=input, output=output)
    for stream in (input, output):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")
    return await run_script(conversation, source=input, output=output)
