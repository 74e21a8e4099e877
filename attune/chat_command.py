"""Runs the app with a console instead of a web server."""

from __future__ import annotations

import os
import sys

from adapters.console import run_console
from attune.background_loops import running_app
from attune.settings import Settings
from bot.command_catalogue import CATALOGUE


async def run_chat(settings: Settings) -> int:
    """Runs the console; returns the exit status once the person leaves or the script ends."""
    async with running_app(settings) as built:
        return await run_console(
            built,
            built.room,
            CATALOGUE,
            built.clock,
            input=sys.stdin,
            output=sys.stdout,
            is_terminal=sys.stdin.isatty() and sys.stdout.isatty(),
            locale=os.environ.get("LC_ALL") or os.environ.get("LANG") or "en",
        )
