"""A user at a console in front of a fake app, from a script or at a real terminal."""

from __future__ import annotations

import asyncio
import io
import os
import pty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from adapters.console import run_console
from adapters.local_room import LocalRoom
from bot.commands import Catalogue, Command, Option, OptionKind
from bot.domain import LOCAL, ChannelId, MessageId, Place, Role
from bot.events import CommandInvoked, Event
from bot.ports.dependencies import Dependencies
from bot.replies import (
    Button,
    Card,
    Drawn,
    Field,
    FieldKind,
    Form,
    NoReply,
    Reply,
)
from bot.request import Request
from tests.fakes.app import FakeApp, StillClock
from tests.fakes.room_store import MemoryStore, as_store
from tests.waiting import until

PLACE = Place(LOCAL, ChannelId("general"))
CONFIRM = Card("Start?", buttons=(Button("Confirm", "start:1"), Button("Cancel", "cancel:1")))
TEACH = Form(
    "teach:1",
    "Teach",
    (
        Field("prompt", "Question", FieldKind.TEXT),
        Field("kind", "Kind", FieldKind.CHOICE, choices=(("a", "Apple"),), required=False),
        Field("file", "File", FieldKind.FILE, required=False),
        Field("short", "Short", max_length=3, required=False),
    ),
    "Save",
)


async def _run(request: Request, deps: Dependencies) -> Reply:
    return NoReply()


def catalogue() -> Catalogue:
    options = (
        Option("file", OptionKind.FILE, takes_rest=True),
        Option("starter"),
        Option("assistant"),
    )
    teach = Command("teach", Role.MEMBER, _run, (Option("text", takes_rest=True),))
    return Catalogue(
        (
            Command("import", Role.CURATOR, _run, options),
            Command("jobs", Role.MEMBER, _run),
            teach,
        )
    )


class Scene:
    """A console in front of a fake app; the store survives restarts."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()
        self.app = FakeApp()
        self.clock = StillClock()
        self.folder = folder
        self.runs = 0
        self.restart()

    def restart(self) -> None:
        self.runs += 1
        self.room = LocalRoom(
            as_store(self.store),
            self.clock,
            lambda change: None,
            exports=self.folder / "exports",
            run=f"run{self.runs}",
        )

    async def run(self, *lines: str) -> list[str]:
        """Returns the lines that a script of these input lines prints."""
        output = io.StringIO()
        assert await self.talk(io.StringIO("\n".join(lines)), output) == 0
        return output.getvalue().split("\n")[:-1]

    async def talk(self, source: TextIO, output: TextIO, *, is_terminal: bool = False) -> int:
        return await run_console(
            self.app,
            self.room,
            catalogue(),
            self.clock,
            input=source,
            output=output,
            is_terminal=is_terminal,
        )

    def answers(self, *replies: Drawn) -> None:
        """Answers each event with the next of these replies."""
        remaining = iter(replies)

        async def answer(event: Event) -> None:
            if reply := next(remaining, None):
                await self.room.post(event.place, reply, key=f"answer/{event.key}")

        self.app.answer = answer

    def opens(self, form: Form) -> None:
        async def answer(event: Event) -> None:
            if isinstance(event.what, CommandInvoked):
                await self.room.open_form(event, form)

        self.app.answer = answer

    def happened(self) -> list[object]:
        return [event.what for event in self.app.events]


async def nobody(message: MessageId) -> None:
    return None


class Terminal:
    """A pseudo-terminal with a user."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.shown = ""
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._read)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    async def presses(self, key: str, is_so: Callable[[], bool]) -> None:
        """Presses a key until the condition is true: between prompts the terminal drops it."""
        presses = 0

        def is_so_now() -> bool:
            nonlocal presses
            if presses % 100 == 0 and not is_so():
                self.type(key)
            presses += 1
            return is_so()

        await until(is_so_now)

    async def sees(self, text: str) -> None:
        await until(lambda: text in self.shown, lambda: f"{text!r} is not in {self.shown!r}")

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._fd)

    def _read(self) -> None:
        try:
            output = os.read(self._fd, 65_536).decode(errors="replace")
        except OSError:
            return
        self.shown += output
        if "\x1b[6n" in output:
            self.type("\x1b[1;1R")


@contextmanager
def open_terminal() -> Iterator[tuple[Terminal, TextIO, TextIO]]:
    master, slave = pty.openpty()
    with ExitStack() as stack:
        stack.callback(os.close, master)
        stack.callback(os.close, slave)
        source = stack.enter_context(os.fdopen(os.dup(slave)))
        output = stack.enter_context(os.fdopen(os.dup(slave), "w"))
        terminal = Terminal(master)
        stack.callback(terminal.close)
        yield terminal, source, output
