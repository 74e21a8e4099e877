"""The room for people, at a real terminal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path

import pytest

from bot.domain import MessageId
from bot.events import ButtonClicked, CommandInvoked, Event, FormSubmitted, ReactionChanged
from bot.replies import (
    Card,
    Progress,
    Stream,
    Tone,
)
from tests.fakes.console import CONFIRM, PLACE, TEACH, Scene, Terminal, nobody, open_terminal
from tests.waiting import until


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def _visit(scene: Scene, act: Callable[[Terminal], Awaitable[None]]) -> str:
    with open_terminal() as (terminal, source, output):
        talk = asyncio.create_task(scene.talk(source, output, is_terminal=True))
        await terminal.sees("› ")
        await act(terminal)
        await terminal.presses("\x04", talk.done)
        assert talk.result() == 0
        return terminal.shown


async def test_an_empty_room_welcomes_with_the_four_steps(scene: Scene) -> None:
    async def act(terminal: Terminal) -> None:
        await terminal.sees("write a limerick")

    shown = await _visit(scene, act)

    assert "Teach your assistant in four steps" in shown
    assert "/tune import starter:limericks" in shown


async def test_a_person_is_answered_while_the_prompt_stays(scene: Scene) -> None:
    scene.answers(CONFIRM)

    async def act(terminal: Terminal) -> None:
        terminal.type("/tune jobs\r")
        await terminal.sees("Start?")
        terminal.type("/click Confirm\r")
        await until(lambda: len(scene.app.events) == 2)

    await _visit(scene, act)

    assert scene.happened()[1] == ButtonClicked("start:1", MessageId("1"))


async def test_the_last_messages_are_shown_at_the_start(scene: Scene) -> None:
    await scene.run(*(f"line {number}." for number in range(1, 31)))

    async def act(terminal: Terminal) -> None:
        await terminal.sees("line 30.")

    shown = await _visit(scene, act)

    assert "line 11." in shown
    assert "line 10." not in shown


async def test_ctrl_c_stops_the_answer_that_is_being_written(scene: Scene) -> None:
    stopped = asyncio.Event()

    async def endless() -> AsyncGenerator[str]:
        yield "So far"
        await stopped.wait()

    async def answer(event: Event) -> None:
        if isinstance(event.what, ReactionChanged):
            stopped.set()
        else:
            stream = Stream(endless(), nobody)
            await scene.room.stream(event.place, stream, key="a", asker=event.user.id)

    scene.app.answer = answer

    async def act(terminal: Terminal) -> None:
        terminal.type("@attune hi\r")
        await terminal.sees("So far")
        await terminal.presses("\x03", stopped.is_set)

    await _visit(scene, act)

    assert scene.happened()[1] == ReactionChanged(MessageId("2"), "❌")


async def test_ctrl_c_stops_what_is_asked_before_the_first_word(scene: Scene) -> None:
    stopped = asyncio.Event()

    async def answer(event: Event) -> None:
        if isinstance(event.what, ButtonClicked):
            stopped.set()
        else:
            await stopped.wait()

    scene.app.answer = answer

    async def act(terminal: Terminal) -> None:
        terminal.type("@attune hi\r")
        await until(lambda: len(scene.app.events) == 1)
        await terminal.presses("\x03", stopped.is_set)

    await _visit(scene, act)

    assert scene.happened()[1] == ButtonClicked("stop:room:1")


async def test_a_running_job_is_shown_in_place_and_its_end_for_good(scene: Scene) -> None:
    async def act(terminal: Terminal) -> None:
        card = Card("Training", progress=Progress(1, 4), tone=Tone.BUSY)
        await scene.room.post(PLACE, card, key="status")
        await terminal.sees("25 %")
        await scene.room.post(PLACE, Card("Trained", tone=Tone.GOOD), key="status")
        await terminal.sees("Trained")

    await _visit(scene, act)


async def test_hostile_texts_are_only_text_in_a_terminal(scene: Scene) -> None:
    async def act(terminal: Terminal) -> None:
        text = "\x1b[2J\x1b]0;owned\x07[bold]loud[/bold] :smile:"
        await scene.room.post(PLACE, Card(text, lines=(text,)), key="a")
        await terminal.sees("[2J]0;owned[bold]loud[/bold] :smile:")

    shown = await _visit(scene, act)

    assert "\x1b]0;" not in shown


async def test_a_wrong_word_is_told_in_a_terminal_too(scene: Scene) -> None:
    async def act(terminal: Terminal) -> None:
        terminal.type("/nope\r")
        await terminal.sees("There is no /nope here.")

    await _visit(scene, act)


async def test_commands_are_completed_from_the_catalogue(scene: Scene) -> None:
    async def act(terminal: Terminal) -> None:
        terminal.type("/tune j")
        await terminal.sees("jobs")
        terminal.type("\t\r")
        await until(lambda: bool(scene.app.events))

    await _visit(scene, act)

    assert scene.happened() == [CommandInvoked("jobs")]


async def test_a_form_is_filled_in_at_a_terminal(scene: Scene) -> None:
    scene.opens(TEACH)

    async def act(terminal: Terminal) -> None:
        terminal.type("/tune teach\r")
        await terminal.sees("/submit (Save)")
        terminal.type("/fill prompt why?\r/submit\r")
        await until(lambda: len(scene.app.events) == 2)

    await _visit(scene, act)

    assert isinstance(scene.happened()[1], FormSubmitted)
