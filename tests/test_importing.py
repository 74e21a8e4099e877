"""An import is shown before it is learned: the preview, its buttons, and what ends it."""

from __future__ import annotations

import os

import pytest

from bot.domain import LOCAL, ExampleFilter
from bot.events import ButtonClicked
from bot.replies import Card, Refused
from bot.rows import Method
from storage.import_folder import ImportFolder
from tests.chat_export_files import zipped
from tests.event_loop import calls_in_event_loop
from tests.scene import Scene
from tests.studio_desk import Desk

GUESSED = "user,subject,question,agent reply\nkim,Tube,How much?,Seven euros.\nlee,Tyre,Any?,\n"
UNKNOWN = "topic,text a,text b\nTube,How much?,Seven.\n"


async def count(scene: Scene) -> int:
    async with scene.database.reading() as records:
        return await records.examples.count(LOCAL, ExampleFilter())


async def shown(
    scene: Scene, table: str | bytes, wishes: str = "", *, name: str = "rows.csv"
) -> Card:
    path = scene.folder / name
    path.write_bytes(table if isinstance(table, bytes) else table.encode())
    await scene.command(f"import {path} {wishes}".strip())
    return await scene.last_card()


def kept(scene: Scene) -> list[str]:
    return [path.name for path in (scene.folder / "imports").glob("*")]


async def test_nothing_is_learned_before_it_was_shown(scene: Scene) -> None:
    card = await shown(scene, GUESSED)

    assert [button.label for button in card.buttons] == ["Import", "Change columns", "Cancel"]
    assert card.lines[0] == "1. How much? → Seven euros."
    assert "Questions ← question, Answers ← agent reply" in card.lines[-2]
    assert card.lines[-1] == "Left out: user, subject"
    assert await count(scene) == 0

    await scene.click("Import")

    assert (await scene.last_card()).title == "Imported rows.csv"
    assert await count(scene) == 1
    assert kept(scene) == []


PREPARING = ("bot/imports/", "bot/private_text/", "bot/domain/row_text", "bot/rows")
"""What takes time for each row of a file."""


@pytest.mark.parametrize("must_mask", [False, True])
async def test_rows_are_prepared_beside_the_event_loop(scene: Scene, must_mask: bool) -> None:
    rows = "".join(f"How do I reach {n}?,Write to ann{n}@example.org\n" for n in range(50))
    await shown(scene, f"question,answer\n{rows}")
    async with scene.database.writing() as records:
        await records.workspaces.set_must_mask(LOCAL, must_mask)

    with calls_in_event_loop(*PREPARING) as calls:
        await scene.click("Import")
        await scene.last_card()

    assert calls <= {"bot/rows:content_text"}
    assert await count(scene) == 50


async def test_answers_that_are_labelled_bad_become_preferences(scene: Scene) -> None:
    rows = "prompt,completion,label\nWhich?,Blue.,true\nWhich?,None.,false\nWhen?,Never.,false\n"
    card = await shown(scene, rows)
    assert any(line.startswith("Good answers become examples.") for line in card.lines)

    await scene.click("Import")

    card = await scene.last_card()
    assert [fact.value for fact in card.facts][:3] == ["2", "0", "1"]
    async with scene.database.reading() as records:
        filters = ExampleFilter(method=Method.DPO)
        assert await records.examples.count(LOCAL, filters) == 1


async def test_each_row_file_of_a_zip_is_imported(scene: Scene) -> None:
    files = {
        "b.csv": GUESSED.encode(),
        "a/rows.jsonl": b'{"prompt": "Who?", "completion": "Me."}\n{"prompt": "Where?"}\n',
        "README.md": b"hello",
    }
    card = await shown(scene, zipped(files), name="rows.zip")
    assert card.lines[0] == "1. Who? → Me."
    assert "a/rows.jsonl: Line 2: “completion” is missing" in card.lines[1]
    assert "b.csv: Left out: user, subject" in card.lines

    await scene.click("Import")

    card = await scene.last_card()
    assert [fact.value for fact in card.facts][:3] == ["2", "0", "2"]
    assert any(line.startswith("b.csv: Line 3: ") for line in card.lines)
    assert (await count(scene), kept(scene)) == (2, [])


async def test_a_zip_with_a_file_that_cannot_be_read_brings_nothing_in(scene: Scene) -> None:
    files = {"a.csv": GUESSED.encode(), "b.db": b"SQLite format 3\0"}

    for wishes in ("", "yes"):
        (scene.folder / "rows.zip").write_bytes(zipped(files))
        await scene.command(f"import {scene.folder / 'rows.zip'} {wishes}".strip())
        assert "b.db: This is a database" in await scene.last()

    assert await count(scene) == 0


async def test_a_cancelled_import_leaves_nothing(scene: Scene) -> None:
    await shown(scene, GUESSED)

    await scene.click("Cancel")

    assert (await scene.last_card()).title == "rows.csv is not imported."
    assert (await count(scene), kept(scene)) == (0, [])


async def test_columns_that_say_nothing_are_chosen(scene: Scene) -> None:
    card = await shown(scene, UNKNOWN)
    assert [button.label for button in card.buttons] == ["Change columns", "Cancel"]

    await scene.click("Change columns")
    await scene.submit(question="text a", answer="text b")

    assert (await scene.last_card()).lines[0] == "1. How much? → Seven."
    await scene.click("Import")
    assert await count(scene) == 1


@pytest.mark.parametrize("wishes", ["yes", "yes:yes", 'columns:"question=text a,answer=text b"'])
async def test_a_script_says_that_it_is_right(scene: Scene, wishes: str) -> None:
    table = UNKNOWN if wishes.startswith("columns") else GUESSED

    card = await shown(scene, table, wishes)

    assert card.title == "Imported rows.csv"
    assert (await count(scene), kept(scene)) == (1, [])


async def test_columns_that_are_changed_to_the_same_change_nothing(scene: Scene) -> None:
    # More purposes than a form has fields.
    table = (
        "Case Ref,Msg Date,Sender Type,Sent By,Msg Visibility,Msg Content,Case State\n"
        + "".join(
            f"{ticket},2026-01-0{day} 10:00,{side},{name},Public,{text},Solved\n"
            for ticket in ("LH-1", "LH-2")
            for day, (side, name, text) in enumerate(
                (("Customer", "Ann Lee", "How much?"), ("Agent", "Bo Ek", "Seven euros.")), 1
            )
        )
    )
    before = await shown(scene, table)

    await scene.click("Change columns")
    await scene.submit(time="Msg Date")

    assert (await scene.last_card()).lines == before.lines


async def test_an_uncertain_encoding_is_chosen_by_its_sample(scene: Scene) -> None:
    file = "question,answer\nמתי אתם פותחים?,בתשע בבוקר.\n".encode("cp1255")

    card = await shown(scene, file)
    assert any(line.startswith("cp1255: ") and "מתי" in line for line in card.lines)

    await scene.click("Change columns")
    await scene.submit(encoding="cp1255")

    assert (await scene.last_card()).lines[0] == "1. מתי אתם פותחים? → בתשע בבוקר."


async def test_a_file_of_another_workspace_or_gone_is_refused(scene: Scene, desk: Desk) -> None:
    card = await shown(scene, GUESSED)
    go = card.buttons[0].action

    await scene.click("Cancel")

    for action in (go, "import.go:../../attune", "import.change:0"):
        assert isinstance(await desk.ask(ButtonClicked(action)), Refused)
    assert await count(scene) == 0


async def test_files_that_nobody_decided_about_go_after_a_day(scene: Scene) -> None:
    await shown(scene, GUESSED)
    folder = scene.folder / "imports"
    (folder / "cut-off.part").write_bytes(b"question")
    await ImportFolder(folder).remove_old()
    assert len(kept(scene)) == 3

    for path in folder.iterdir():
        os.utime(path, (0, 0))
    await ImportFolder(folder).remove_old()

    assert kept(scene) == []
    await ImportFolder(scene.folder / "nowhere").remove_old()
