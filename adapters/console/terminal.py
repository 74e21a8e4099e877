"""The console for people in a terminal: messages, live answers and a prompt below them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Awaitable, Iterable, Iterator
from typing import TextIO

from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import ANSI, AnyFormattedText
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.output import create_output
from prompt_toolkit.patch_stdout import patch_stdout
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text as Words

from adapters.console import message_panels
from adapters.console.command_hints import USAGE_BY_COMMAND, LineError
from adapters.console.typed_commands import ConsoleSession, Outcome
from adapters.local_room import render_message
from adapters.plain_text import strip_control_characters
from adapters.room_changes import Change, PartialAnswer, Posted, Subscription, Updated
from bot.domain import RoomMessage
from bot.events import STOP_EMOJI
from bot.replies import Card, Tone

_SHOWN_AT_START = 20
_PROMPT_LINES = 12
_STEPS = ("import", "train", "wait", "ask")


async def run_terminal(conversation: ConsoleSession, *, source: TextIO, output: TextIO) -> int:
    """Runs the console until Ctrl-D or `/quit`; returns the exit status, always 0."""
    with (
        create_app_session(input=create_input(source), output=create_output(output)),
        conversation.room.watch() as watch,
        patch_stdout(),
    ):
        await _Screen(conversation).run(watch)
    return 0


class _Screen:
    """The terminal's content: printed messages, and below them live answers and the prompt."""

    def __init__(self, conversation: ConsoleSession) -> None:
        self._conversation = conversation
        self._session: PromptSession[str] = PromptSession(
            message=self._prompt,
            completer=_RoomCompleter(conversation),
            complete_while_typing=True,
            history=InMemoryHistory(),
            bottom_toolbar=lambda: conversation.translate("console.toolbar"),
            refresh_interval=0,
        )
        self._live: dict[int, RenderableType] = {}
        self._being_written: dict[int, RoomMessage] = {}
        self._known: set[int] = set()
        self._group = asyncio.TaskGroup()
        self._working: set[asyncio.Task[None]] = set()

    async def run(self, watch: Subscription) -> None:
        """Shows changes and reads lines until the person leaves; may be called only once."""
        await self._open()
        async with self._group as group:
            following = group.create_task(self._follow(watch), name="console: show what comes")
            await self._read_lines()
            following.cancel()
            for task in self._working:
                task.cancel()

    async def _open(self) -> None:
        conversation = self._conversation
        messages = await conversation.room.recent(conversation.channel, limit=_SHOWN_AT_START)
        for message in messages:
            self._print_message(message)
        if not messages:
            self._print(_welcome(conversation))

    async def _read_lines(self) -> None:
        while not self._conversation.is_over:
            try:
                line = await self._session.prompt_async()
            except KeyboardInterrupt:
                await self._stop()
            except EOFError:
                return
            else:
                await self._run_line(line.strip())

    async def _follow(self, watch: Subscription) -> None:
        async for change in watch:
            await self._show(change)
            self._session.app.invalidate()

    async def _run_line(self, line: str) -> None:
        try:
            self._show_outcome(await self._conversation.run_line(line))
        except LineError as error:
            self._print_note(self._conversation.translate(error.key, **error.details))

    def _show_outcome(self, outcome: Outcome) -> None:
        if isinstance(outcome, str):
            self._print_note(outcome)
            return
        # In a task, so that the person can type the next line while this one is answered.
        task = self._group.create_task(self._finish(outcome), name="console: wait for an answer")
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _finish(self, outcome: Awaitable[str]) -> None:
        self._print_note(await outcome)

    async def _stop(self) -> None:
        """Stops the answers that are being written, and those that this person waits for."""
        for message in list(self._being_written.values()):
            self._show_outcome(await self._conversation.react(message, STOP_EMOJI))
        await self._conversation.stop()

    async def _show(self, change: Change) -> None:
        match change:
            case Posted() | Updated() if change.is_partial:
                await self._show_partial_message(change.message)
            case PartialAnswer() if change.number in self._being_written:
                message = self._being_written[change.number]
                self._live[change.number] = _partial_message(message, change.text)
            case Posted() | Updated():
                self._show_whole_message(change.message)
            case _:
                self._print_note(self._conversation.describe_change(change))

    async def _show_partial_message(self, message: RoomMessage) -> None:
        self._being_written[message.number] = message
        self._live[message.number] = _partial_message(message, message.text)

    def _show_whole_message(self, message: RoomMessage) -> None:
        was_written = self._being_written.pop(message.number, None)
        self._live.pop(message.number, None)
        if _is_busy(message):
            # Shown live, as printing would add a panel for every step of a job.
            self._live[message.number] = message_panels.message_panel(
                message, self._conversation.translate
            )
        else:
            is_edit = was_written is None and message.number in self._known
            self._print_message(message, is_edit=is_edit)

    def _print_message(self, message: RoomMessage, *, is_edit: bool = False) -> None:
        self._known.add(message.number)
        self._print(
            message_panels.message_panel(message, self._conversation.translate, is_edit=is_edit)
        )

    def _print_note(self, text: str) -> None:
        if text:
            self._print(
                Padding(Words(strip_control_characters(text), style="italic #9fa8da"), (0, 0, 1, 2))
            )

    def _print(self, drawing: RenderableType) -> None:
        print_formatted_text(ANSI(self._render(drawing)), end="")

    def _prompt(self) -> AnyFormattedText:
        live = "".join(self._render(drawing) for drawing in self._live.values())
        most_lines = max(1, self._session.output.get_size().rows - _PROMPT_LINES)
        newest = "".join(live.splitlines(keepends=True)[-most_lines:])
        name = self._render(Words(f"{self._conversation.speaker.name} › ", style="bold #f06292"))
        return ANSI(newest + name.rstrip("\n"))

    def _render(self, drawing: RenderableType) -> str:
        console = Console(
            file=io.StringIO(),
            force_terminal=True,
            color_system="truecolor",
            width=max(20, self._session.output.get_size().columns),
            highlight=False,
            markup=False,
            emoji=False,
        )
        with console.capture() as captured:
            console.print(drawing)
        return captured.get()


class _RoomCompleter(Completer):
    """Completes the console's commands, commands after `/tune`, and fields of an open form."""

    def __init__(self, conversation: ConsoleSession) -> None:
        self._conversation = conversation

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        line = document.text_before_cursor
        if not line.startswith("/"):
            return
        head, typed, words = self._words(line[1:])
        for word in words:
            if word.lower().startswith(typed.lower()):
                yield Completion(word, start_position=-len(typed), display=head + word)

    def _words(self, line: str) -> tuple[str, str, Iterator[str]]:
        word, blank, rest = line.partition(" ")
        if not blank:
            return "/", word, iter(USAGE_BY_COMMAND)
        typed = rest.lstrip()
        if word == "tune":
            return "", typed, self._conversation.catalogue.completions(typed)
        form = self._conversation.form
        return "", typed, iter(form.names if form and word == "fill" else ())


def _is_busy(message: RoomMessage) -> bool:
    reply = render_message(message)
    return isinstance(reply, Card) and reply.tone is Tone.BUSY


def _partial_message(message: RoomMessage, text: str) -> RenderableType:
    body = Words(strip_control_characters(text))
    body.append(" ▌", style="#7986cb")
    return Group(message_panels.render_header(message), Padding(body, (0, 0, 1, 2)))


def _welcome(conversation: ConsoleSession) -> RenderableType:
    text = Words()
    for number, step in enumerate(_STEPS, start=1):
        text.append(f" {number} ", style="bold white on #3f51b5")
        sentence = conversation.translate(f"console.welcome.{step}")
        text.append(f" {strip_control_characters(sentence)}\n")
    text.append(
        strip_control_characters(conversation.translate("console.welcome.more")), style="dim"
    )
    title = Words(conversation.translate("console.welcome"), style="bold")
    panel = Panel(text, title=title, title_align="left", border_style="#7986cb", width=88)
    return Padding(panel, (0, 0, 1, 0))
