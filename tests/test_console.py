"""The console's contract with scripts, one sentence each."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot.domain import MessageId
from bot.events import Event, MessageEdited, MessageReceived, MessagesDeleted, ReactionChanged
from bot.replies import (
    Stream,
    Text,
)
from bot.words import Words
from tests.fakes.console import PLACE, Scene, nobody
from tests.waiting import until


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


async def test_every_message_counts_and_is_printed_with_its_author(scene: Scene) -> None:
    scene.answers(Text("Hello!"))

    assert await scene.run("@attune hi", "all right") == [
        "#1 you: @attune hi",
        "#2 attune: Hello!",
        "#3 you: all right",
    ]


async def test_blank_lines_are_ignored(scene: Scene) -> None:
    assert await scene.run("", "   ", "one", "") == ["#1 you: one"]


async def test_lines_end_as_they_do_on_any_system(scene: Scene) -> None:
    assert await scene.run("\ufeffone\r", "two") == ["#1 you: one", "#2 you: two"]


async def test_more_lines_of_a_message_are_indented_by_two(scene: Scene) -> None:
    scene.answers(Text("one\n\ntwo"))

    assert (await scene.run("@attune hi"))[1:] == ["#2 attune: one", "  ", "  two"]


@pytest.mark.parametrize("line", ["@attune hi", "@Attune, hi", "@ATTUNE: hi"])
async def test_a_line_that_begins_with_the_mention_is_addressed(scene: Scene, line: str) -> None:
    await scene.run(line)

    spoken = scene.happened()[0]
    assert isinstance(spoken, MessageReceived)
    assert spoken.is_addressed
    assert spoken.message.text == "hi"


@pytest.mark.parametrize("line", ["hi @attune", "attune hi", "@attunement hi", "@mina hi"])
async def test_any_other_line_is_just_said(scene: Scene, line: str) -> None:
    await scene.run(line)

    spoken = scene.happened()[0]
    assert isinstance(spoken, MessageReceived)
    assert not spoken.is_addressed
    assert spoken.message.text == line


async def test_an_answer_is_complete_before_the_next_line_is_read(scene: Scene) -> None:
    async def slow(event: Event) -> None:
        await asyncio.sleep(0.01)
        await scene.room.post(event.place, Text(f"to {event.key}"), key=event.key)

    scene.app.answer = slow

    assert await scene.run("one", "two") == [
        "#1 you: one",
        "#2 attune: to room:1",
        "#3 you: two",
        "#4 attune: to room:3",
    ]


async def test_a_streamed_answer_is_printed_once_and_whole(scene: Scene) -> None:
    async def pieces() -> AsyncGenerator[str]:
        for piece in ("So ", "sorry ", "about that!"):
            await asyncio.sleep(0.001)
            yield piece

    async def answer(event: Event) -> None:
        stream = Stream(pieces(), nobody)
        await scene.room.stream(event.place, stream, key="a", asker=event.user.id)

    scene.app.answer = answer

    assert await scene.run("@attune hi") == [
        "#1 you: @attune hi",
        "#2 attune: So sorry about that!",
    ]


async def test_an_edit_is_starred(scene: Scene) -> None:
    scene.answers(Text("one"))

    async def edit(event: Event) -> None:
        await scene.room.edit(event.place, MessageId("1"), Text("two"))

    await scene.run("/tune jobs")
    scene.app.answer = edit

    assert await scene.run("/tune jobs") == ["#1* attune: two"]


async def test_numbers_go_on_after_a_restart_and_old_messages_stay_unprinted(scene: Scene) -> None:
    await scene.run("one", "two")
    scene.restart()

    assert await scene.run("three") == ["#3 you: three"]


async def test_a_status_message_is_edited_after_a_restart(scene: Scene) -> None:
    scene.answers(Text("10 %"))
    await scene.run("/tune jobs")
    scene.restart()

    async def go_on(event: Event) -> None:
        await scene.room.post(PLACE, Text("20 %"), key="answer/console:run1:1")

    scene.app.answer = go_on

    assert await scene.run("/tune jobs") == ["#1* attune: 20 %"]


async def test_keys_of_events_are_unique_across_runs(scene: Scene) -> None:
    await scene.run("/tune jobs", "hello")
    scene.restart()
    await scene.run("/tune jobs")

    keys = [event.key for event in scene.app.events]
    assert keys == ["console:run1:1", "room:1", "console:run2:1"]


async def test_the_first_speaker_is_an_admin_and_others_are_not(scene: Scene) -> None:
    await scene.run("one", "/as Mina", "two", "/as you", "three")

    users = [event.user for event in scene.app.events]
    assert [(user.id, user.is_platform_admin) for user in users] == [
        ("you", True),
        ("Mina", False),
        ("you", True),
    ]


@pytest.mark.parametrize("name", ["attune", "ATTUNE"])
async def test_nobody_speaks_as_the_assistant(scene: Scene, name: str) -> None:
    printed = await scene.run(f"/as {name}", "hello")

    assert printed == [
        f"“{name}” is the assistant's own name. Choose another.",
        "#1 you: hello",
    ]


async def test_a_reply_to_the_bot_is_addressed(scene: Scene) -> None:
    scene.answers(Text("Hello!"))

    printed = await scene.run("@attune hi", "/reply LAST and now?")

    spoken = scene.happened()[1]
    assert printed[-1] == "#3 you: and now?"
    assert isinstance(spoken, MessageReceived)
    assert spoken.is_addressed
    assert spoken.message.reply_to == "2"


async def test_a_reply_to_a_person_is_addressed_only_with_a_mention(scene: Scene) -> None:
    await scene.run("hello", "/reply 1 hi", "/reply 1 what would @attune say?")

    addressed = [
        what.is_addressed for what in scene.happened() if isinstance(what, MessageReceived)
    ]
    assert addressed == [False, False, True]


@pytest.mark.parametrize("line", ["/reply 9 hi", "/react x 👍", "/click 9 Confirm", "/edit 9 x"])
async def test_a_message_that_is_not_there_is_told_plainly(scene: Scene, line: str) -> None:
    assert await scene.run(line) == [f"There is no message {line.split()[1]}."]


async def test_a_reaction_is_put_on_and_taken_off(scene: Scene) -> None:
    await scene.run("hello", "/react 1 🎓", "/react 1 🎓 off")

    assert scene.happened()[1:] == [
        ReactionChanged(MessageId("1"), "🎓"),
        ReactionChanged(MessageId("1"), "🎓", True),
    ]
    assert scene.store.room.messages[1].reactions == ()


async def test_the_bots_reaction_is_told(scene: Scene) -> None:
    async def react(event: Event) -> None:
        if isinstance(event.what, ReactionChanged):
            await scene.room.react(event.place, event.what.message, "✅")

    scene.app.answer = react

    assert await scene.run("hello", "/react 1 🎓") == ["#1 you: hello", "attune put ✅ on #1."]


async def test_ones_own_message_is_edited(scene: Scene) -> None:
    printed = await scene.run("helo", "/edit 1 hello", "/edit LAST @attune hi")

    assert printed[1:] == ["#1* you: hello", "#1* you: @attune hi"]
    assert scene.happened()[1:] == [
        MessageEdited(MessageId("1"), "hello"),
        MessageEdited(MessageId("1"), "hi"),
    ]


async def test_ones_own_message_is_deleted(scene: Scene) -> None:
    printed = await scene.run("secret", "/delete 1", "/reply 1 what was it?")

    assert printed[1:] == ["#1* you: (deleted)", "There is no message 1."]
    assert scene.happened()[1:] == [MessagesDeleted((MessageId("1"),))]
    assert scene.store.room.messages[1].text == ""


@pytest.mark.parametrize("line", ["/edit 1 mine now", "/delete 1"])
async def test_the_messages_of_others_stay_as_they_are(scene: Scene, line: str) -> None:
    printed = await scene.run("/as Mina", "hello", "/as Jo", line)

    assert printed[-1] == "Message 1 is not one of Jo's own."
    assert scene.store.room.messages[1].text == "hello"


async def test_wait_prints_what_comes_until_all_is_quiet(scene: Scene) -> None:
    steps = iter(range(1, 4))

    async def work() -> None:
        for step in steps:
            await asyncio.sleep(0.01)
            await scene.room.post(PLACE, Text(f"step {step}"), key="status")
        scene.app.is_busy = lambda: False

    async def answer(event: Event) -> None:
        scene.app.is_busy = lambda: True
        working.append(asyncio.create_task(work()))

    working: list[asyncio.Task[None]] = []
    scene.app.answer = answer

    assert await scene.run("/tune jobs", "/wait", "done") == [
        "#1 attune: step 1",
        "#1* attune: step 2",
        "#1* attune: step 3",
        Words("en")("console.quiet"),
        "#2 you: done",
    ]


async def test_the_end_of_the_input_waits_for_no_job(scene: Scene) -> None:
    scene.app.is_busy = lambda: True

    assert await scene.run("hello") == ["#1 you: hello"]


async def test_quit_ends_the_script(scene: Scene) -> None:
    assert await scene.run("one", "/quit", "two") == ["#1 you: one"]


@pytest.mark.parametrize("line", ["/nope", "/ nope", "/tuned"])
async def test_an_unknown_slash_word_is_told_with_those_that_exist(scene: Scene, line: str) -> None:
    [told] = await scene.run(line)

    assert told.startswith("There is no /")
    assert "/tune, /reply, /click" in told


@pytest.mark.parametrize("word", ["as", "react", "reply", "edit", "delete", "click"])
async def test_a_slash_word_without_its_arguments_is_explained(scene: Scene, word: str) -> None:
    [told] = await scene.run(f"/{word}")

    assert told.startswith(f"Write it as /{word} ")


async def test_hostile_texts_cannot_steer_the_terminal_or_forge_a_message(scene: Scene) -> None:
    scene.answers(Text("\x1b[2Jboo\x07\r#9 you: give me\u2028#10 you: all\x9b1m [red]x[/red]"))

    printed = await scene.run("hi")

    assert printed[1:] == [
        "#2 attune: [2Jboo",
        "  #9 you: give me",
        "  #10 you: all1m [red]x[/red]",
    ]


class _Pipe(io.TextIOWrapper):
    """Counts how often it was flushed."""

    flushes = 0

    def flush(self) -> None:
        self.flushes += 1
        super().flush()


async def test_output_is_utf8_whatever_the_terminal_says(scene: Scene) -> None:
    raw = io.BytesIO()
    output = _Pipe(raw, encoding="ascii")

    await scene.talk(io.TextIOWrapper(io.BytesIO("grüße 😀\n\xff".encode()), "ascii"), output)

    assert raw.getvalue().decode() == "#1 you: grüße 😀\n#2 you: ÿ\n"
    assert output.flushes >= 2


async def test_bytes_that_are_no_text_do_not_end_the_script(scene: Scene) -> None:
    source = io.TextIOWrapper(io.BytesIO(b"a\xff\nb\n"), "utf-8")
    output = io.StringIO()

    await scene.talk(source, output)

    assert output.getvalue() == "#1 you: a\ufffd\n#2 you: b\n"


async def test_a_closed_pipe_ends_the_printing_and_not_the_script(scene: Scene) -> None:
    reader, writer = os.pipe()
    os.close(reader)

    with os.fdopen(writer, "w") as output:
        status = await scene.talk(io.StringIO("one\ntwo\n"), output)

    assert status == 0
    assert [m.text for m in scene.store.room.messages.values()] == ["one", "two"]


async def test_a_message_that_comes_whilenobody_types_is_printed_at_once(scene: Scene) -> None:
    reader, writer = os.pipe()
    output = io.StringIO()

    with os.fdopen(reader) as source, os.fdopen(writer, "w") as typing:
        talk = asyncio.create_task(scene.talk(source, output))
        typing.write("one\n")
        typing.flush()
        await until(lambda: "#1 you: one" in output.getvalue())
        await scene.room.post(PLACE, Text("a notice"), key="notice")
        await until(lambda: "#2 attune: a notice" in output.getvalue())
        typing.close()
        assert await talk == 0
