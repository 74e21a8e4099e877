"""Buttons, forms and files on the console."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain import MessageId
from bot.events import ButtonClicked, CommandInvoked, Event, FormSubmitted
from bot.replies import (
    Button,
    Document,
    Listing,
    ListingRow,
    Text,
)
from tests.fakes.console import CONFIRM, PLACE, TEACH, Scene


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


@pytest.mark.parametrize("line", ["/click 1 Confirm", "/click LAST conf", "/click confirm"])
async def test_a_button_is_found_by_label_or_prefix(scene: Scene, line: str) -> None:
    scene.answers(CONFIRM)

    printed = await scene.run("/tune jobs", line)

    assert printed == ["#1 attune: Start?", "  [Confirm] [Cancel]"]
    assert scene.happened()[1] == ButtonClicked("start:1", MessageId("1"))


async def test_the_last_message_of_a_click_is_the_last_one_with_buttons(scene: Scene) -> None:
    scene.answers(CONFIRM, Text("by the way"))

    await scene.run("/tune jobs", "/tune jobs", "/click LAST Confirm")

    assert scene.happened()[2] == ButtonClicked("start:1", MessageId("1"))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/click 1 Nope", "Message 1 has no button “Nope”. It has “Confirm”, “Cancel”."),
        ("/click 1 C", "“C” is several buttons of message 1: “Confirm”, “Cancel”."),
        ("/click 2 Confirm", "Message 2 has no buttons."),
        ("/click 1", "Write it as /click N LABEL."),
    ],
)
async def test_a_button_that_is_not_there_is_told_plainly(
    scene: Scene, line: str, told: str
) -> None:
    scene.answers(CONFIRM)

    printed = await scene.run("/tune jobs", "hello", line)

    assert printed[-1] == told
    assert len(scene.app.events) == 2


async def test_a_button_in_a_listing_is_named_with_its_line(scene: Scene) -> None:
    lines = [ListingRow(n, n, buttons=(Button("Approve", f"approve:{n}"),)) for n in ("7", "8")]
    scene.answers(Listing("Examples", tuple(lines)))

    await scene.run("/tune jobs", "/click LAST Approve", "/click LAST approve 8")

    assert scene.happened()[1:] == [ButtonClicked("approve:8", MessageId("1"))]


async def test_buttons_can_be_clicked_after_a_restart(scene: Scene) -> None:
    scene.answers(CONFIRM)
    await scene.run("/tune jobs")
    scene.restart()

    await scene.run("/click 1 Cancel")

    assert scene.happened()[1] == ButtonClicked("cancel:1", MessageId("1"))


async def test_a_form_is_filled_in_and_submitted(scene: Scene) -> None:
    scene.opens(TEACH)

    printed = await scene.run(
        "/tune teach", "/fill prompt one\\ntwo", "/fill kind apple", "/submit", "/submit"
    )

    assert printed == [
        "Form: Teach",
        "  prompt: Question [] (required)",
        "  kind: Kind [] (one of a)",
        "  file: File []",
        "  short: Short []",
        "Fill it in with /fill FIELD TEXT, then /submit (Save), or /dismiss it.",
        "prompt: Question [one\\ntwo] (required)",
        "kind: Kind [a] (one of a)",
        "No form is open.",
    ]
    values = {"prompt": "one\ntwo", "kind": "a", "file": "", "short": ""}
    assert scene.happened()[1:] == [FormSubmitted("teach:1", values)]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/fill nope x", "The form has no field “nope”. It has prompt, kind, file, short."),
        ("/fill kind pear", "“pear” is no choice for kind. Choose one of a."),
        ("/fill short long", "short takes at most 3 characters."),
        ("/fill file nope.txt", "There is no file nope.txt."),
        ("/submit", "Still to be filled in: prompt."),
        ("/dismiss", "The form is closed, and nothing was sent."),
    ],
)
async def test_what_a_form_cannot_take_is_told_plainly(scene: Scene, line: str, told: str) -> None:
    scene.opens(TEACH)

    assert (await scene.run("/tune teach", line))[-1] == told
    assert len(scene.app.events) == 1


async def test_a_file_comes_with_a_form(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}")
    scene.opens(TEACH)

    file = tmp_path / "rows.jsonl"
    await scene.run("/tune teach", "/fill prompt x", f"/fill file {file}", "/submit")

    submitted = scene.happened()[1]
    assert isinstance(submitted, FormSubmitted)
    assert submitted.attachment
    assert (submitted.attachment.reference, submitted.attachment.size) == (str(file), 2)


async def test_a_form_that_another_view_opened_is_not_shown(scene: Scene) -> None:
    async def answer(event: Event) -> None:
        elsewhere = Event("studio:run1:1", PLACE, event.user, event.at, event.what)
        await scene.room.open_form(elsewhere, TEACH)

    scene.app.answer = answer

    assert await scene.run("/tune teach") == []


async def test_a_command_goes_on_in_its_own_words(scene: Scene) -> None:
    await scene.run('/tune import starter:limericks assistant:"my own"', "/tune", "/tune nope x")

    assert scene.happened() == [
        CommandInvoked('import starter:limericks assistant:"my own"'),
        CommandInvoked(""),
        CommandInvoked("nope x"),
    ]


@pytest.mark.parametrize("form", ["{}", "file:{}", 'file:"{}"', '"{}"'])
async def test_a_file_is_attached_and_the_other_words_stay(
    scene: Scene, tmp_path: Path, form: str
) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text("{}\n")

    await scene.run(f"/tune import {form.format(file)} assistant:support")

    commanded = scene.happened()[0]
    assert isinstance(commanded, CommandInvoked)
    assert commanded.words == "import assistant:support"
    assert commanded.attachment
    assert commanded.attachment.reference == str(file)


@pytest.mark.parametrize("argument", ["nope.jsonl", "file:nope.jsonl", "file:", "/"])
async def test_a_missing_file_is_told_before_anything_is_sent(scene: Scene, argument: str) -> None:
    printed = await scene.run(f"/tune import {argument}")

    assert printed == [f"There is no file {argument.removeprefix('file:')}."]
    assert scene.app.events == []


async def test_words_of_a_command_without_files_are_no_paths(scene: Scene, tmp_path: Path) -> None:
    await scene.run(f"/tune teach {tmp_path}")

    assert scene.happened() == [CommandInvoked(f"teach {tmp_path}")]


async def test_an_export_says_where_it_lies(scene: Scene, tmp_path: Path) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}\n"

    async def answer(event: Event) -> None:
        await scene.room.send_file(event, Document("rows.jsonl", chunks(), "1 row"))

    scene.app.answer = answer

    path = tmp_path / "exports" / "rows.jsonl"
    assert await scene.run("/tune jobs") == ["#1 attune: 1 row", f"  {path}"]
