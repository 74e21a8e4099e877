"""What stands at hosts: seen, deleted, warned of before it ends, traced to where it comes from."""

from __future__ import annotations

import pytest

from bot.domain import ChannelId, Role
from bot.events import ButtonClicked, CommandInvoked
from tests.fakes.faults import answers
from tests.scene import SLACK, Scene
from tests.test_profiles import at
from tests.test_tuning_watch import LONG, watching

MODELS = "GET /models"
DELETE_MODEL = "DELETE /models/{id:path}"
DAY = 24 * 3600
ENDS = "ends on 2027-01-14"


async def dying(scene: Scene, model: str | None = None) -> None:
    """A tuned model answers, and its host says when it ends. It is 2026-11-03."""
    await scene.tuned()
    scene.host.shutdown_dates = {model or scene.host.tuned[0]: "2027-01-14"}


async def days(scene: Scene, count: int) -> None:
    """So many days go by, one by one."""
    for _ in range(count):
        await scene.app.runners.jobs.calendar.poll()
        await scene.app.deliver_notices()
        scene.advance(DAY)


async def warnings(scene: Scene) -> list[str]:
    return await scene.said(ENDS)


async def test_a_channel_hears_sixty_thirty_and_seven_days_before(scene: Scene) -> None:
    await dying(scene)

    heard: list[int] = []
    for left in range(72, -3, -1):
        before = len(await warnings(scene))
        await days(scene, 1)
        if len(await warnings(scene)) > before:
            assert f"in {left} days" in (await warnings(scene))[-1]
            heard.append(left)

    assert heard == [60, 30, 7]


async def test_it_is_heard_once_each_also_over_restarts(scene: Scene) -> None:
    await dying(scene)
    scene.advance(20 * DAY)

    for _ in range(3):
        await days(scene, 1)
        await scene.restart()

    assert len(await warnings(scene)) == 1


async def test_after_a_long_silence_only_the_nearest_is_told(scene: Scene) -> None:
    await dying(scene)
    scene.advance(66 * DAY)

    await days(scene, 2)

    (told,) = await warnings(scene)
    assert "in 6 days" in told


async def test_the_warning_comes_with_a_button_to_train_again(scene: Scene) -> None:
    await dying(scene)
    scene.advance(20 * DAY)
    await days(scene, 1)

    await scene.click("Train again")

    assert (await scene.last_card()).title == "Train “attune”?"


async def test_no_model_outlives_its_base(scene: Scene) -> None:
    await dying(scene, "base")
    scene.advance(20 * DAY)

    await days(scene, 1)

    assert len(await warnings(scene)) == 1
    assert [model.expires_on for model in await scene.models()] == ["2027-01-14"] * 2
    await scene.command("models")
    assert "ends on 2027-01-14" in (await scene.last_listing()).lines[0].note


async def test_channels_with_the_assistant_hear_of_it_too(scene: Scene) -> None:
    await dying(scene)
    what = CommandInvoked("assistant bind", {"name": "attune"})
    await scene.handle(scene.event(what, key="e", channel=ChannelId("support")))
    scene.advance(20 * DAY)

    await days(scene, 1)

    assert len(await warnings(scene)) == 1
    support = await scene.app.room.recent(ChannelId("support"), limit=9)
    assert len([message for message in support if ENDS in message.text]) == 1


async def test_a_model_that_does_not_answer_is_not_spoken_of(scene: Scene) -> None:
    await dying(scene)
    await scene.command("rollback")
    scene.advance(20 * DAY)

    await days(scene, 1)

    assert await warnings(scene) == []


@pytest.mark.parametrize("odd", ["soon", "", "2027-13-99"])
async def test_a_day_that_makes_no_sense_is_no_day(scene: Scene, odd: str) -> None:
    await scene.tuned()
    scene.host.shutdown_dates = {scene.host.tuned[0]: odd}

    await days(scene, 1)

    assert await scene.said("ends on") == []


async def test_a_host_that_does_not_answer_is_asked_the_next_time(scene: Scene) -> None:
    await dying(scene)
    scene.advance(20 * DAY)
    scene.host.fail(MODELS, answers(500))

    await days(scene, 1)
    assert await warnings(scene) == []
    await days(scene, 1)

    assert len(await warnings(scene)) == 1


# Files, models and deployments


async def button(scene: Scene, line: str, label: str) -> None:
    """Click the button of the line that begins so."""
    listing = await scene.last_listing()
    (found,) = [one for one in listing.lines if one.text.startswith(line)]
    (action,) = [one.action for one in found.buttons if one.label == label]
    await scene.handle(scene.event(ButtonClicked(action), key=f"{line} {label}"))


async def test_what_stands_at_the_host_is_listed(scene: Scene) -> None:
    job = await scene.tuned()

    await scene.command("hosted")

    lines = (await scene.last_listing()).lines
    assert lines[0].text == f"attune-{job.idempotency_key}-training.jsonl"
    assert "file · sandbox · training 1" in lines[0].note
    assert {line.text for line in lines[1:]} == {job.model, f"{job.model}:ckpt-step-2"}


async def test_a_file_is_deleted_at_the_host_and_forgotten(scene: Scene) -> None:
    await scene.tuned()
    await scene.command("hosted")

    await button(scene, "attune-", "Delete")
    scene.advance(11)
    await scene.settle()

    assert scene.host.files == {}
    assert (await scene.job()).training_file is None
    assert await scene.audited("file.deleted") == 1


async def test_a_file_that_a_training_needs_is_kept(scene: Scene) -> None:
    await watching(scene, *LONG)
    (file,) = scene.host.files

    await scene.command("hosted")
    assert (await scene.last_listing()).lines[0].buttons == ()
    await scene.handle(scene.event(ButtonClicked(f"file.delete:1/{file}"), key="e"))

    assert "still needs that file" in await scene.last()
    assert file in scene.host.files


async def test_files_of_others_at_the_same_host_are_neither_seen_nor_deleted(scene: Scene) -> None:
    await scene.tuned()
    (file,) = scene.host.files.values()
    scene.host.files["file-x"] = type(file)("file-x", "theirs.jsonl", b"{}", 0, 0)

    await scene.command("hosted")
    assert "theirs" not in str((await scene.last_listing()).lines)
    await scene.handle(scene.event(ButtonClicked("file.delete:1/file-x"), key="e"))

    assert "There is no file" in await scene.last()
    assert "file-x" in scene.host.files


async def test_a_foreign_workspace_sees_and_deletes_nothing(scene: Scene) -> None:
    job = await scene.tuned("use:no")
    (file,) = scene.host.files
    await scene.slack_event(ButtonClicked("counts"), key="first")
    await scene.grant("you", Role.ADMIN, SLACK)

    for action in (f"file.delete:1/{file}", f"model.delete_sure:0:{job.model}"):
        await scene.slack_event(ButtonClicked(action), key=action)

    assert file in scene.host.files
    assert scene.host.tuned == [job.model]


async def test_a_model_is_deleted_after_a_second_yes(scene: Scene) -> None:
    job = await scene.tuned("use:no")
    await scene.command("hosted")

    await button(scene, "ft:base:team:attune:ftjob-000002:ckpt", "Delete")
    assert "that is for good" in await scene.last()
    await scene.click("Keep it")
    assert await scene.last() == "Nothing was deleted."
    await scene.handle(scene.event(ButtonClicked(f"model.delete:{job.model}"), key="again"))
    await scene.click("Delete")
    assert scene.host.tuned == [job.model]
    scene.advance(11)
    await scene.settle()

    assert scene.host.tuned == []
    assert job.model not in [model.name for model in await scene.models()]


async def test_the_model_that_answers_is_not_deleted(scene: Scene) -> None:
    job = await scene.tuned()

    await scene.handle(scene.event(ButtonClicked(f"model.delete_sure:0:{job.model}"), key="e"))

    assert "answers now. Go back first: /tune rollback" in await scene.last()
    assert scene.host.tuned == [job.model]


async def test_a_host_that_does_not_let_a_model_be_deleted_is_quoted(scene: Scene) -> None:
    job = await scene.tuned("use:no")
    scene.host.fail_always(DELETE_MODEL, answers(403, "Owners only."))

    await scene.handle(scene.event(ButtonClicked(f"model.delete:{job.model}"), key="e"))
    await scene.click("Delete")
    scene.advance(11)
    await scene.settle()

    assert "Owners only." in await scene.last()
    assert job.model in [model.name for model in await scene.models()]


async def test_a_host_that_is_away_is_a_line_and_the_models_are_still_told(scene: Scene) -> None:
    job = await scene.tuned()
    scene.host.fail_always("GET /files", answers(503, "Down for repair."))

    await scene.command("hosted")

    lines = (await scene.last_listing()).lines
    assert "Down for repair." in lines[0].text
    assert job.model in [line.text for line in lines]


async def test_a_deployment_is_listed_and_taken_down(scene: Scene) -> None:
    await at(scene, "nebius")
    await scene.confirm("use:no")
    await scene.settle()
    await scene.command("hosted")

    await button(scene, "base-LoRa:attune-", "Stop serving")

    assert scene.host.deployments == []
    assert "is no longer served" in await scene.last()
    await scene.command("hosted")
    assert "LoRa" not in str((await scene.last_listing()).lines)


async def test_only_admins_delete(scene: Scene) -> None:
    await scene.tuned("use:no")
    await scene.grant("tom", Role.TRAINER)
    (file,) = scene.host.files

    await scene.handle(scene.event(ButtonClicked(f"file.delete:1/{file}"), key="e", by="tom"))

    assert file in scene.host.files


# Lineage


async def test_a_model_is_traced_to_its_examples_and_its_parents(scene: Scene) -> None:
    first = await scene.tuned()
    scene.host.bases.append(str(first.model))
    await scene.confirm("base:latest")
    await scene.settle()
    second = (await scene.jobs())[0]

    await scene.command("models lineage:latest")

    lines = [line.text for line in (await scene.last_listing()).lines]
    assert lines == [
        second.model,
        "Training 2",
        "Snapshot 2",
        first.model,
        "Training 1",
        "Snapshot 1",
        "base",
    ]
    notes = [line.note for line in (await scene.last_listing()).lines]
    assert notes[2].startswith("12 examples: #1, #2, #3, ")


async def test_an_example_is_followed_to_the_models_that_learned_it(scene: Scene) -> None:
    job = await scene.tuned()
    await scene.handle(scene.event(ButtonClicked("example.show:3"), key="show"))

    await scene.click("Where it went")

    (line,) = (await scene.last_listing()).lines
    assert line.text == "Training 1"
    assert str(job.model) in line.note


async def test_an_example_that_nobody_learned_from_says_so(scene: Scene) -> None:
    await scene.learn(12)

    await scene.handle(scene.event(ButtonClicked("example.lineage:3"), key="e"))

    assert "Nothing has learned from example 3 yet." in await scene.last()


async def test_a_model_with_a_very_long_name_can_be_used_by_its_button(scene: Scene) -> None:
    scene.host.life = ("succeeded",)
    await scene.learn(12)
    await scene.confirm(f"suffix:{'x' * 64} use:no")
    await scene.settle()
    name = str((await scene.job()).model)
    await scene.command("models")
    (line,) = [line for line in (await scene.last_listing()).lines if line.text == name]

    await scene.handle(scene.event(ButtonClicked(line.buttons[0].action), key="e"))

    assert len(line.buttons[0].action) <= 100
    assert "answers with attune 1 from now on" in await scene.last()
