"""A dataset with its card, what changed since a training, and what is deleted by its age."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import timedelta

import pytest

from bot.dataset_card import _size
from bot.domain import LOCAL, ExampleFilter, ExampleId
from bot.events import ButtonClicked, CommandInvoked
from bot.replies import Card, Document, Listing, Reply
from bot.retention import RetentionPeriods, delete_old_data
from tests.scene import Scene

FOR_EVER = RetentionPeriods(timedelta(0), timedelta(0), timedelta(0))
SECRET = "Call 415-555-0132 about the blue door"


async def tell(scene: Scene, words: str) -> Reply:
    scene.advance(1)
    return await scene.app.handle_for_page(
        scene.event(CommandInvoked(words), key=str(scene.clock.now()))
    )


async def press(scene: Scene, action: str) -> Reply:
    scene.advance(1)
    key = f"{action} {scene.clock.now()}"
    return await scene.app.handle_for_page(scene.event(ButtonClicked(action), key=key))


async def teach(scene: Scene, question: str, answer: str) -> None:
    await scene.command("teach")
    await scene.submit(question=question, answer=answer)


async def test_a_dataset_card_says_what_is_in_it_and_quotes_no_row(scene: Scene) -> None:
    await teach(scene, "when do you open", "we open at nine in the morning and close at six")
    await teach(scene, "什么时候开门", "我们早上九点开门，晚上六点关门。")
    await teach(scene, "and the door", SECRET)
    async with scene.store.writing() as records:
        await records.examples.set_held_out(LOCAL, [ExampleId(2)], held_out=True)

    document = await tell(scene, "export format:dataset")

    assert isinstance(document, Document)
    packed = io.BytesIO(b"".join([block async for block in document.chunks]))
    with zipfile.ZipFile(packed) as archive:
        readme = archive.read("README.md").decode()
        rows = {
            split: [json.loads(line) for line in archive.read(f"data/{split}.jsonl").splitlines()]
            for split in ("train", "validation")
        }
    assert {split: len(found) for split, found in rows.items()} == {"train": 2, "validation": 1}
    _, front, body = readme.split("---\n", 2)
    assert sorted(front.splitlines()[1:3]) == ["- en", "- zh"]
    assert "path: data/validation.jsonl" in front
    assert "2 rows to train on, 1 held out" in body
    assert "One row holds text that looks private" in body
    assert "blue door" not in readme
    assert "九点" not in readme


@pytest.mark.parametrize(
    ("rows", "size"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (99_999, "10K<n<100K"),
        (2_000_000, "1M<n<10M"),
    ],
)
def test_sizes_are_those_of_the_hub(rows: int, size: str) -> None:
    assert _size(rows) == size


async def test_what_changed_since_a_training(scene: Scene) -> None:
    first = await scene.tuned("use:no")
    same = await tell(scene, "assistant data")
    await scene.command("teach")
    await scene.submit(question="something new", answer="entirely")
    await scene.command("examples withdraw:1")
    await scene.command("examples edit:2")
    await scene.submit(answer="another answer")

    changed = await tell(scene, f"assistant data job:{first.id}")

    assert isinstance(same, Listing)
    assert same.lines == ()
    assert isinstance(changed, Listing)
    found = {line.note: int(line.id) for line in changed.lines}
    newest = max(one.id for one in await scene.examples())
    assert found == {"added": newest, "removed": 1, "changed": 2}
    assert changed.note == "1 added, 1 removed, 1 changed."
    await scene.confirm("use:no")
    second = max(one.id for one in await scene.jobs())
    between = await press(scene, f"job.changes:{second}")
    assert isinstance(between, Listing)
    assert between.note == changed.note


async def test_what_is_deleted_by_its_age_is_said_before(scene: Scene) -> None:
    await teach(scene, "old and approved", "yes")
    await teach(scene, "old and withdrawn", "no")
    await scene.command("examples withdraw:2")
    scene.advance(timedelta(days=20).total_seconds())
    await teach(scene, "new", "yes")

    said = await tell(scene, "admin retention unapproved:10 all:30")
    assert isinstance(said, Card)
    assert "one example would be deleted" in said.lines[0]
    await delete_old_data(FOR_EVER, store=scene.store, clock=scene.clock)
    untouched = await with_text(scene)
    await press(scene, said.buttons[0].action)
    late = await press(scene, said.buttons[0].action)
    await delete_old_data(FOR_EVER, store=scene.store, clock=scene.clock)
    unapproved_gone = await with_text(scene)
    scene.advance(timedelta(days=11).total_seconds())
    await delete_old_data(FOR_EVER, store=scene.store, clock=scene.clock)

    assert untouched == [1, 2, 3]
    assert not isinstance(late, Card)
    assert unapproved_gone == [1, 3]
    assert await with_text(scene) == [3]
    shown = await press(scene, "example.show:3")
    assert isinstance(shown, Card)
    assert "deleted_on" in [fact.name for fact in shown.facts]
    off = await tell(scene, "admin retention unapproved:off all:off")
    assert isinstance(off, Card)
    await press(scene, off.buttons[0].action)
    async with scene.store.reading() as records:
        assert await records.workspaces.list_with_retention() == []
        assert await records.examples.count(LOCAL, ExampleFilter()) == 3


async def with_text(scene: Scene) -> list[int]:
    return [one.id for one in await scene.examples() if one.row is not None]
