"""The console for scripts: waits for the answer to each line before it reads the next one."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from threading import Thread
from typing import TextIO

from adapters.console.command_hints import LineError
from adapters.console.typed_commands import ConsoleSession
from adapters.local_room import is_deleted, render_message
from adapters.plain_text import draw_reply, strip_control_characters, to_single_line
from adapters.room_changes import Change, Posted, Subscription, Updated
from bot.domain import RoomMessage


async def run_script(conversation: ConsoleSession, *, source: TextIO, output: TextIO) -> int:
    """Runs lines until the end of the input or `/quit`; returns the exit status, always 0."""
    with conversation.room.watch() as watch:
        page = _Page(conversation, watch, output)
        async with asyncio.TaskGroup() as group:
            following = group.create_task(page.follow(), name="console: print what comes")
            while not conversation.is_over and (line := await _read_line(source)):
                text = await _run_line(conversation, line.strip("\ufeff\r\n"))
                page.catch_up()
                page.tell(text)
            following.cancel()
    return 0


async def _run_line(conversation: ConsoleSession, line: str) -> str:
    """Runs a line until it is answered; returns a text to print."""
    try:
        outcome = await conversation.run_line(line)
    except LineError as error:
        return conversation.translate(error.key, **error.details)
    return outcome if isinstance(outcome, str) else await outcome


class _Page:
    """Prints the messages of the room to the output."""

    def __init__(self, conversation: ConsoleSession, watch: Subscription, output: TextIO) -> None:
        self._conversation = conversation
        self._watch = watch
        self._output = output
        self._is_open = True
        self._being_written: dict[int, bool] = {}

    async def follow(self) -> None:
        async for change in self._watch:
            self._show(change)

    def catch_up(self) -> None:
        """Prints the changes that are queued already."""
        for change in self._watch.drain():
            self._show(change)

    def tell(self, text: str) -> None:
        """Prints a text that is not a message."""
        if text:
            self._print(strip_control_characters(text))

    def _show(self, change: Change) -> None:
        match change:
            case Posted() | Updated() if change.is_partial:
                self._being_written[change.message.number] = isinstance(change, Updated)
            case Posted():
                self._print_message(change.message, is_edit=False)
            case Updated():
                is_edit = self._being_written.pop(change.message.number, True)
                self._print_message(change.message, is_edit=is_edit)
            case _:
                self.tell(self._conversation.describe_change(change))

    def _print_message(self, message: RoomMessage, *, is_edit: bool) -> None:
        text = (
            self._conversation.translate("console.deleted")
            if is_deleted(message)
            else _text(message)
        )
        head = f"#{message.number}{'*' if is_edit else ''} {to_single_line(message.author.name)}: "
        self._print(head + text.replace("\n", "\n  "))

    def _print(self, text: str) -> None:
        if not self._is_open:
            return
        try:
            self._output.write(text + "\n")
            self._output.flush()
        except BrokenPipeError:
            self._is_open = False
            _redirect_to_devnull(self._output)


def _text(message: RoomMessage) -> str:
    return strip_control_characters(draw_reply(render_message(message)))


def _redirect_to_devnull(output: TextIO) -> None:
    # Python flushes stdout again at its exit, which would fail on the closed pipe:
    # https://docs.python.org/3/library/signal.html#note-on-sigpipe
    with suppress(OSError, ValueError):
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, output.fileno())
        os.close(devnull)


async def _read_line(source: TextIO) -> str:
    """Returns the next line, or "" at the end of the input.

    Reads in a daemon thread of its own: a thread that waits for input can be neither cancelled
    nor joined, and would block the exit otherwise.
    """
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def settle(text: str) -> None:
        if not line.done():
            line.set_result(text)

    def read() -> None:
        text = ""
        with suppress(OSError, ValueError):
            text = source.readline()
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, text)

    Thread(target=read, name="console: read a line", daemon=True).start()
    return await line
