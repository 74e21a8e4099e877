"""What the studio's pages ask the house: files, comparisons, the audit, the rows of a training."""

from __future__ import annotations

from pathlib import Path

from bot.domain import LOCAL, Attachment, ChannelId, ExampleFilter, Place
from bot.events import ButtonClicked, CommandInvoked, Event, FormSubmitted
from bot.replies import Card, Comparison, Document, Listing, Progress, Refused, Tone
from tests.scene import SLACK, Scene
from tests.studio_desk import OWNER, Desk

# Files


def rows_file(folder: Path, count: int) -> Attachment:
    file = folder / "rows.csv"
    lines = [f"Question {number}?,Answer {number}." for number in range(count)]
    file.write_text("\n".join(["question,answer", *lines, "Half?,"]), encoding="utf-8")
    return Attachment("rows.csv", str(file), platform=LOCAL)


async def test_a_file_of_the_studio_comes_into_any_workspace(
    scene: Scene, desk: Desk, tmp_path: Path
) -> None:
    await scene.slack_event(CommandInvoked("help"), key="e1")
    await scene.settle()
    place = Place(SLACK, ChannelId("general"))
    what = FormSubmitted("import", {}, rows_file(tmp_path, 12))

    seen = await scene.app.handle_for_page(Event("page:1", place, OWNER, scene.clock.now(), what))
    assert isinstance(seen, Card)
    go = ButtonClicked(seen.buttons[0].action)
    told = await scene.app.handle_for_page(Event("page:2", place, OWNER, scene.clock.now(), go))

    assert isinstance(told, Card)
    assert told.lines[-1].startswith("Line 14")
    async with scene.app.store.reading() as records:
        assert await records.examples.count(SLACK, ExampleFilter()) == 12
        assert await records.examples.count(LOCAL, ExampleFilter()) == 0


async def test_a_page_hears_how_far_an_import_is(scene: Scene, tmp_path: Path) -> None:
    heard: list[Progress] = []
    place, what = (
        Place(LOCAL, ChannelId("general")),
        FormSubmitted("import", {}, rows_file(tmp_path, 9)),
    )
    seen = await scene.app.handle_for_page(Event("page:1", place, OWNER, scene.clock.now(), what))
    assert isinstance(seen, Card)
    go = ButtonClicked(seen.buttons[0].action)

    await scene.app.handle_for_page(
        Event("page:2", place, OWNER, scene.clock.now(), go), progress=heard.append
    )

    shares = [progress.done / progress.total for progress in heard]
    assert shares == sorted(shares)
    assert shares[-1] >= 0.5


# Comparison


async def test_the_chosen_answer_side_by_side_and_are_paid_for(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)
    await scene.tuned()
    who = await desk.query("compare.who")
    assert isinstance(who, Listing)
    wanted = "\n".join(line.id for line in who.lines if line.tone is Tone.GOOD)

    told = await desk.ask(FormSubmitted("compare", {"question": "Where is it?", "who": wanted}))

    assert isinstance(told, Comparison)
    assert len(told.answers) == 3
    for answer in told.answers:
        text = "".join([piece async for piece in answer.pieces])
        column = answer.final_column()
        assert column is not None
        assert column.text == text
        assert "tokens" in column.note
    async with scene.app.store.reading() as records:
        spent, _ = await records.daily_tokens.tokens_of_day(
            LOCAL, OWNER.id, scene.clock.now().date()
        )
    assert spent > 0


async def test_a_comparison_of_nobody_is_refused(desk: Desk) -> None:
    told = await desk.ask(FormSubmitted("compare", {"question": "Where?", "who": "somebody"}))

    assert isinstance(told, Refused)


# The audit


async def test_the_audit_is_saved_as_it_is_filtered(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)
    await desk.ask(FormSubmitted("examples:tag", {"all": "yes", "name": "shop"}))

    told = await desk.ask(FormSubmitted("audit.export", {"what": "examples.imported"}))

    assert isinstance(told, Document)
    text = b"".join([chunk async for chunk in told.chunks]).decode("utf-8-sig")
    assert "examples.imported" in text
    assert "examples.tag" not in text


async def test_a_training_shows_the_rows_it_learned(scene: Scene, desk: Desk) -> None:
    await scene.learn(12)
    await scene.tuned()

    told = await desk.query("job.rows:1")

    assert isinstance(told, Listing)
    assert len(told.lines) == 12
    assert all("to learn" in line.note for line in told.lines)
