"""Large changes are made in parts: a death loses none of them, and the rest is made up for."""

from __future__ import annotations

import pytest

from bot import example_files
from bot.domain import LOCAL, Attachment, ExampleFilter
from bot.events import CommandInvoked
from tests.scene import Death, Scene

ROWS, PART = 2000, 200


async def count(scene: Scene) -> int:
    async with scene.database.reading() as records:
        return await records.examples.count(LOCAL, ExampleFilter())


@pytest.mark.parametrize("moment", [6, 7, 8, 9])
async def test_an_import_that_was_cut_off_is_made_whole(
    scene: Scene, moment: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(example_files, "_MIN_BATCH", PART)
    monkeypatch.setattr(example_files, "_MAX_BATCH", PART)
    path = scene.folder / "rows.csv"
    path.write_text("\n".join(["question,answer", *(f"q {n},a {n}" for n in range(ROWS))]))
    await scene.say("hello")
    await scene.end()
    await scene.open(dies_at=moment)
    what = CommandInvoked("import yes", attachment=Attachment(path.name, str(path)))

    with pytest.raises(Death):
        await scene.handle(scene.event(what, key="import"))
    await scene.end()
    await scene.open()
    before = await count(scene)
    await scene.settle()

    assert 0 < before < ROWS
    assert await count(scene) == ROWS
    assert await scene.audited("examples.imported") == 1
