"""From a confirmed wish to the end: watched, steered, told, put to use."""

from __future__ import annotations

from typing import Any

import pytest

from bot.domain import ChannelId, ModelKind, Phase, RequestedAction
from bot.errors import HostError, HostNotFound, HostRefused, HostServerError
from bot.events import ButtonClicked, CommandInvoked, FormSubmitted
from bot.words import Words
from tests.fakes.connected import CHAT, CREATE, EVENTS, JOB, with_
from tests.fakes.faults import answers, empty_stream, reshaped
from tests.scene import Scene

PAUSE = "POST /fine_tuning/jobs/{id}/pause"
CANCEL = "POST /fine_tuning/jobs/{id}/cancel"
CHECKPOINTS = "GET /fine_tuning/jobs/{id}/checkpoints"
LONG = ("running",) * 50


async def watching(scene: Scene, *life: str) -> None:
    """A job that the host has and works on."""
    scene.host.life = life or LONG
    await scene.learn(12)
    await scene.confirm()
    await scene.reach(Phase.WATCHING)


async def look(scene: Scene, times: int = 1) -> None:
    for _ in range(times):
        scene.advance(await scene.turn() or 0.0)


async def status(scene: Scene) -> str:
    """The one live message."""
    (text,) = await scene.said("Training 1: attune")
    return text


async def test_one_message_follows_the_job_to_its_end(scene: Scene) -> None:
    await watching(scene, "queued", "running", "running", "succeeded")
    seen = []
    for _ in range(6):
        await look(scene)
        seen.append((await status(scene)).splitlines()[1])

    await scene.settle()

    assert "waiting in the host's queue" in seen[0]
    assert any("step 1 of 2 · loss 1.00" in line for line in seen)
    assert "succeeded" in await status(scene)
    assert len(await scene.said("Training 1 succeeded")) == 1


async def test_the_end_is_told_with_the_model_and_its_chart(scene: Scene) -> None:
    await scene.tuned()

    card = await scene.last_card()

    assert card.title == "Training 1 succeeded"
    assert "attune 1" in card.lines[0]
    assert card.chart is not None
    assert [point for point, _ in card.chart.series[0].points] == [1.0, 2.0]
    assert [button.label for button in card.buttons] == ["Roll back"]


async def test_a_job_without_steps_shows_no_bar(scene: Scene) -> None:
    scene.host.fail_always(EVENTS, reshaped(lambda body: {**body, "data": []}))
    await watching(scene)

    await look(scene, 3)

    assert "step" not in await status(scene)
    assert "running" in await status(scene)


async def test_a_status_nobody_has_seen_before_is_shown_and_not_an_end(scene: Scene) -> None:
    await watching(scene, "polishing", "polishing", "succeeded")
    await look(scene)
    assert "the host says “polishing”" in await status(scene)

    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_success_without_a_model_is_not_yet_success(scene: Scene) -> None:
    scene.host.fail(JOB, *[with_(status="succeeded")] * 3)
    await watching(scene, "running", "running", "running", "running", "succeeded")

    await look(scene, 2)
    assert (await scene.job()).phase is Phase.WATCHING
    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_rising_loss_on_the_rows_held_back_is_warned_of(scene: Scene) -> None:
    def add_losses(body: dict[str, Any]) -> object:
        for event in body["data"]:
            if event["data"]:
                event["data"]["valid_loss"] = [1.0, 0.8, 0.9, 1.1][event["data"]["step"] - 1]
        return body

    scene.host.fail_always(EVENTS, reshaped(add_losses))
    scene.host.life = ("running",) * 4 + ("succeeded",)
    await scene.tuned()

    assert "learning by heart" in await scene.last()


async def test_falling_loss_is_not_warned_of(scene: Scene) -> None:
    def add_losses(body: dict[str, Any]) -> object:
        for event in body["data"]:
            if event["data"]:
                event["data"]["valid_loss"] = 1 / event["data"]["step"]
        return body

    scene.host.fail_always(EVENTS, reshaped(add_losses))
    scene.host.life = ("running",) * 4 + ("succeeded",)
    await scene.tuned()

    assert "learning by heart" not in await scene.last()
    assert (await scene.last_card()).chart is not None


async def test_the_tuned_model_answers_first_of_all(scene: Scene) -> None:
    job = await scene.tuned()

    await scene.say("@attune hi")

    assert scene.host.last(CHAT).body["model"] == job.model


async def test_a_model_answers_before_it_is_announced(scene: Scene) -> None:
    scene.host.loading_calls = 3
    await scene.learn(12)
    await scene.confirm()

    await scene.settle()

    assert scene.host.count(CHAT) == 4
    assert len(await scene.said("Training 1 succeeded")) == 1


async def test_a_model_that_never_wakes_is_told_of_and_not_put_to_use(scene: Scene) -> None:
    scene.host.fail_always(CHAT, answers(404, "Still loading.", code="model_not_found"))
    await scene.learn(12)
    await scene.confirm()

    await scene.settle()

    assert "does not let it answer yet" in await scene.last()
    assert [button.label for button in (await scene.last_card()).buttons] == ["Use it"]
    scene.host.recover()
    await scene.say("@attune hi")
    assert scene.host.last(CHAT).body["model"] == "base"


async def test_a_model_may_be_trained_without_being_put_to_use(scene: Scene) -> None:
    await scene.tuned("use:no")

    await scene.say("@attune hi")
    assert scene.host.last(CHAT).body["model"] == "base"
    await scene.click("Use it", on=await scene.number_of("Training 1 succeeded"))
    await scene.say("@attune hi again")

    assert scene.host.last(CHAT).body["model"] == (await scene.job()).model


async def test_the_status_of_no_job_says_how_the_dataset_stands(scene: Scene) -> None:
    await scene.learn(3)

    await scene.command("status")

    assert "3 examples so far" in await scene.last()


async def test_the_status_tells_ids_and_settings(scene: Scene) -> None:
    job = await scene.tuned("seed:7")

    await scene.command("status")

    told = {fact.label: fact.value for fact in (await scene.last_card()).facts}
    assert told["Job at the host"] == job.host_job
    assert told["Training file"] == job.training_file
    assert told["Seed"] == "7"
    assert told["Epochs"] == "auto (3)"
    assert told["Tokens trained"] == "1000"


async def test_all_jobs_are_listed_with_why_they_failed(scene: Scene) -> None:
    await scene.tuned()
    scene.host.fail(CREATE, answers(400, "No such base.", code="bad_base"))
    await scene.confirm()
    await scene.settle()

    await scene.command("jobs")

    newest, oldest = (await scene.last_listing()).lines
    assert "failed" in newest.note
    assert "No such base." in newest.note
    assert "succeeded" in oldest.note


async def test_jobs_are_listed_page_by_page(scene: Scene) -> None:
    await scene.learn(12)
    for _ in range(11):
        await scene.confirm()
    await scene.command("jobs")
    assert [line.id for line in (await scene.last_listing()).lines] == [
        str(n) for n in range(11, 1, -1)
    ]

    await scene.click("More")

    assert [line.id for line in (await scene.last_listing()).lines] == ["1"]


async def test_a_job_is_cancelled_at_the_host(scene: Scene) -> None:
    await watching(scene)

    await scene.command("cancel")
    await scene.settle()

    assert (await scene.job()).phase is Phase.CANCELLED
    assert len(await scene.said("Training 1 was cancelled")) == 1
    assert scene.host.files == {}


async def test_a_job_cancelled_before_it_left_the_house_sends_nothing(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm()
    await scene.command("cancel")

    await scene.settle()

    assert scene.host.sent == []
    assert (await scene.job()).phase is Phase.CANCELLED


async def test_what_is_over_cannot_be_cancelled(scene: Scene) -> None:
    await scene.tuned()

    await scene.command("cancel 1")

    assert "over already" in await scene.last()


async def test_without_a_job_there_is_nothing_to_cancel(scene: Scene) -> None:
    await scene.command("cancel")

    assert "No training is running" in await scene.last()


async def test_a_job_pauses_and_goes_on(scene: Scene) -> None:
    await watching(scene, "running", "running", "running", "succeeded")
    await scene.command("pause")
    await look(scene, 2)
    assert "paused" in await status(scene)
    assert (await scene.job()).requested_action is None

    await scene.settle()
    assert (await scene.job()).phase is Phase.WATCHING
    await scene.click("Resume", on=await scene.number_of("Training 1: attune"))
    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_a_wish_to_pause_waits_until_the_host_runs_the_job(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm()

    await scene.command("pause")
    await scene.settle()

    assert [job.status for job in scene.host.jobs.values()] == ["paused"]
    assert (await scene.job()).requested_action is None


async def test_a_host_that_cannot_pause_is_no_reason_to_lose_the_job(scene: Scene) -> None:
    scene.host.fail_always(PAUSE, answers(404, "Not Found"))
    await watching(scene, *("running",) * 10, "succeeded")

    await scene.command("pause")
    await look(scene)
    assert "Training 1 could not be paused." in "".join(await scene.texts())
    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_a_wish_survives_a_host_that_is_busy(scene: Scene) -> None:
    await watching(scene)
    scene.host.fail(CANCEL, answers(503), answers(429))
    await scene.command("cancel")

    await look(scene)
    assert (await scene.job()).requested_action is RequestedAction.CANCEL
    await scene.settle()

    assert (await scene.job()).phase is Phase.CANCELLED


async def test_cancelling_what_has_just_succeeded_keeps_the_model(scene: Scene) -> None:
    await watching(scene)
    (job,) = scene.host.jobs.values()
    scene.host._set_status(job, "succeeded")

    await scene.command("cancel")
    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED
    assert "Training 1 had ended before that." in "".join(await scene.texts())


async def test_a_member_may_look_but_not_steer(scene: Scene) -> None:
    await watching(scene)
    number = await scene.number_of("Training 1: attune")
    await look(scene)

    await scene.click("Cancel", on=number, by="mina")
    await scene.command("status", by="mina")

    assert (await scene.job()).requested_action is None
    assert "Training 1" in (await scene.last_card()).title


async def test_models_are_listed_newest_first_with_their_checkpoints(scene: Scene) -> None:
    job = await scene.tuned()

    await scene.command("models")

    lines = (await scene.last_listing()).lines
    assert [line.text for line in lines][-1] == "base"
    assert sorted(line.text for line in lines[:-1]) == [job.model, f"{job.model}:ckpt-step-2"]
    assert [line.text for line in lines if "answers now" in line.note] == [job.model]


async def test_a_model_has_a_name_that_people_can_say(scene: Scene) -> None:
    await scene.tuned()
    await scene.command("models")
    assert (await scene.last_listing()).lines[0].id == "attune 1"

    await scene.click("Name it")
    await scene.submit(label="  brand   voice 3 ", note="after the spring campaign")
    await scene.command("use base")
    await scene.command("use brand voice 3")

    assert "answers with brand voice 3 from now on" in await scene.last()
    await scene.command("models")
    named = (await scene.last_listing()).lines[0]
    assert named.id == "brand voice 3"
    assert named.note.startswith("after the spring campaign · tuned")


async def test_two_models_do_not_share_a_name(scene: Scene) -> None:
    await scene.tuned()
    await scene.confirm()
    await scene.settle()
    await scene.command("models")
    lines = (await scene.last_listing()).lines
    labels = {line.id for line in lines}
    form = next(one.action for one in lines[0].buttons if one.label == "Name it")

    for label in ("attune 1", "1", "latest", "base"):
        await scene.handle(scene.event(FormSubmitted(form, {"label": label}), key=label))

        assert f"Another model is called “{label}” already" in await scene.last()
    assert {"attune 1", "attune 2"} <= labels


async def test_a_model_is_used_by_name_by_its_end_or_by_its_job(scene: Scene) -> None:
    job = await scene.tuned()

    for name in (str(job.model), str(job.model).rpartition(":")[2], "1", "latest"):
        await scene.command("use base")
        assert "answers with base" in await scene.last()

        await scene.command(f"use {name}")

        assert "answers with attune 1 from now on" in await scene.last(), name


async def test_a_checkpoint_may_answer(scene: Scene) -> None:
    job = await scene.tuned()
    scene.host.tuned.append(f"{job.model}:ckpt-step-2")

    await scene.command("use ckpt-step-2")
    await scene.say("@attune hi")

    assert scene.host.last(CHAT).body["model"] == f"{job.model}:ckpt-step-2"
    assert [m.kind for m in await scene.models() if "ckpt" in m.name] == [ModelKind.CHECKPOINT]


async def test_a_model_that_is_not_there_is_not_used(scene: Scene) -> None:
    await scene.command("use nothing")

    assert "There is no model “nothing”" in await scene.last()


async def test_rolling_back_returns_to_what_answered_before(scene: Scene) -> None:
    await scene.tuned()
    await scene.confirm()
    await scene.settle()

    await scene.command("rollback")

    assert "Rolled back: attune 1 answers again, instead of attune 2." in await scene.last()


async def test_there_is_nothing_to_roll_back_to_at_the_beginning(scene: Scene) -> None:
    await scene.command("rollback")

    assert "nothing to go back to" in await scene.last()


async def test_models_are_compared_side_by_side(scene: Scene) -> None:
    job = await scene.tuned()

    await scene.command("compare What do you sell?")

    card = await scene.last_card()
    assert [column.title for column in card.columns] == ["Base", "Base with 8 examples", "Tuned"]
    assert all(column.text == "Hello from the model" for column in card.columns)
    asked = [call.body["model"] for call in scene.host.asked if call.route == CHAT][-3:]
    assert sorted(str(model) for model in asked) == ["base", "base", str(job.model)]


async def test_a_model_that_fails_in_a_comparison_is_told_in_its_column(scene: Scene) -> None:
    await scene.tuned()
    scene.host.tuned.clear()

    await scene.command("compare hello")

    assert "does not know this, or not any more" in (await scene.last_card()).columns[-1].text


async def test_the_base_answers_for_a_tuned_model_that_is_gone(scene: Scene) -> None:
    await scene.tuned()
    scene.host.tuned.clear()

    for question in ("one", "two", "three"):
        await scene.say(f"@attune {question}")
        assert await scene.last() == "Hello from the model"
        await scene.settle()

    notices = await scene.said("so the base model did")
    assert len(notices) == 1
    assert notices[0].startswith("attune 1 could not answer")


async def test_each_channel_hears_once_why_the_base_answered(scene: Scene) -> None:
    await scene.tuned()
    scene.host.tuned.clear()

    for number, channel in enumerate(("one", "two", "two")):
        spoken = scene.spoken("hi", number=100 + number)
        await scene.handle(scene.event(spoken, key=f"q{number}", channel=ChannelId(channel)))
        await scene.settle()

    for channel in ("one", "two"):
        said = await scene.app.room.recent(ChannelId(channel), limit=50)
        assert len([one for one in said if "so the base model did" in one.text]) == 1


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (HostNotFound, "deleted there"),
        (HostRefused, "refused"),
        (HostServerError, "fault of its own"),
    ],
)
def test_whoever_may_not_read_the_hosts_words_hears_the_reason(
    error: type[HostError], reason: str
) -> None:
    told = Words("en").error_text_without_host_message(
        error(host="somewhere", message="rt-4711: no such deployment")
    )

    assert reason in told
    assert "4711" not in told


async def test_why_the_base_answered_is_said_in_the_channels_language(scene: Scene) -> None:
    await scene.tuned()
    scene.host.tuned.clear()
    await scene.say("@attune one")
    await scene.command("assistant edit language:zh")

    await scene.settle()

    (notice,) = await scene.said("没能回答")
    assert "模型服务“sandbox”" in notice


async def test_curators_hear_of_it_again_the_next_day(scene: Scene) -> None:
    await scene.tuned()
    scene.host.tuned.clear()
    await scene.say("@attune one")
    scene.advance(24 * 3600)

    await scene.say("@attune two")
    await scene.settle()

    assert len(await scene.said("so the base model did")) == 2


@pytest.mark.parametrize("fault", [empty_stream(), answers(500), answers(404)])
async def test_the_base_answers_once_for_a_model_that_fails(scene: Scene, fault: Any) -> None:
    await scene.tuned()
    scene.host.fail(CHAT, fault)

    await scene.say("@attune hi")

    assert await scene.last() == "Hello from the model"
    assert scene.host.last(CHAT).body["model"] == "base"


async def test_where_the_base_fails_too_nobody_hears_that_it_answered(scene: Scene) -> None:
    await scene.tuned()
    scene.host.fail(CHAT, answers(500, "One."), answers(500, "Two."))

    await scene.say("@attune hi")
    await scene.settle()

    assert "Two." in await scene.last()
    assert await scene.said("so the base model did") == []


async def test_the_base_answers_where_the_host_of_the_model_is_gone(scene: Scene) -> None:
    scene.configs.append(scene.config("elsewhere"))
    await scene.restart()
    await scene.tuned("host:elsewhere")
    scene.configs.pop()
    await scene.restart()

    await scene.say("@attune hi")

    assert await scene.last() == "Hello from the model"


async def test_a_host_that_is_gone_ends_its_job_in_words(scene: Scene) -> None:
    scene.configs.append(scene.config("elsewhere"))
    await scene.restart()
    await scene.learn(12)
    await scene.confirm("host:elsewhere")
    scene.configs.pop()
    await scene.restart()

    await look(scene, 3)

    assert "There is no host “elsewhere” here." in await scene.last()


async def test_a_workspace_that_leaves_while_training_troubles_nobody(scene: Scene) -> None:
    await watching(scene)
    await scene.leave()

    await look(scene, 2)

    assert await scene.jobs() == []


async def test_a_click_on_an_old_card_is_told_that_it_is_over(scene: Scene) -> None:
    await scene.tuned()

    await scene.handle(scene.event(ButtonClicked("job.pause:1"), key="old"))

    assert "has not begun" in await scene.last() or "over" in await scene.last()


async def test_commands_with_a_foreign_jobs_number_find_nothing(scene: Scene) -> None:
    await scene.tuned()

    await scene.slack_event(CommandInvoked("status 1"), key="e1")

    assert "There is no job" in str(scene.slack.whispers[-1])
