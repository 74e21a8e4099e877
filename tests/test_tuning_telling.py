"""What a channel hears while it waits, and when it goes wrong: true, once, in its own language."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.domain import Phase
from bot.tuning.snapshot import row_number_in_error
from tests.fakes.connected import CREATE, EVENTS, JOB, UPLOAD, with_
from tests.fakes.faults import answers, reshaped, training_closed
from tests.scene import Scene
from tests.test_tuning_watch import LONG, look, status, watching
from tests.waiting import until

HOUR = 3600
LATE = "unusually long"


async def test_the_time_left_is_told_by_the_pace_of_the_steps(scene: Scene) -> None:
    await watching(scene, *("running",) * 10)
    await look(scene, 5)

    assert "· about" in await status(scene)
    assert "left" in await status(scene)


async def test_the_hosts_own_word_on_its_end_is_believed(scene: Scene) -> None:
    end = scene.clock.now().timestamp() + 600
    scene.host.fail_always(JOB, with_(estimated_finish=int(end)))
    await watching(scene, *LONG)

    await look(scene, 2)

    assert "about 10 minutes left" in await status(scene)


@pytest.mark.parametrize("odd", [0, -5, "soon", "1970-01-01T00:00:00Z", 1e30])
async def test_an_end_that_makes_no_sense_is_not_told(scene: Scene, odd: object) -> None:
    scene.host.fail_always(JOB, with_(estimated_finish=odd))
    scene.host.fail_always(EVENTS, reshaped(lambda body: {**body, "data": []}))
    await watching(scene, *LONG)

    await look(scene, 2)

    assert "left" not in await status(scene)


async def test_a_job_that_takes_unusually_long_is_spoken_of_once(scene: Scene) -> None:
    await watching(scene, *LONG)
    await look(scene, 2)
    assert await scene.said(LATE) == []
    scene.advance(7 * HOUR)

    await look(scene, 3)
    await scene.restart()
    await look(scene, 3)

    (told,) = await scene.said(LATE)
    assert "Training 1: running for about 7 hours." in told
    assert "Nothing is lost" in told


async def test_usual_is_what_trainings_took_before(scene: Scene) -> None:
    scene.host.life = ("running",) * 20 + ("succeeded",)
    await scene.tuned()
    scene.host.life = LONG
    await scene.confirm()
    await look(scene, 8)
    scene.advance(HOUR)

    await look(scene, 3)

    (told,) = await scene.said(LATE)
    assert "Trainings like this one took about" in told


async def test_a_long_queue_is_spoken_of_too(scene: Scene) -> None:
    await watching(scene, *("queued",) * 50)
    scene.advance(3 * HOUR)

    await look(scene, 3)

    (told,) = await scene.said(LATE)
    assert "waiting in the host's queue for about 3 hours" in told


async def test_a_pause_is_not_unusually_long(scene: Scene) -> None:
    await watching(scene, "running", *("paused",) * 50)
    await look(scene, 2)
    scene.advance(30 * HOUR)

    await look(scene, 3)

    assert await scene.said(LATE) == []


async def test_what_a_host_does_wrong_is_said_in_the_channels_language(scene: Scene) -> None:
    await scene.command("assistant edit language:zh")
    await scene.learn(12)
    await scene.command("start")
    await scene.click("确认")
    scene.host.fail_always(UPLOAD, answers(503, "Down for repair."))

    await look(scene, 8)

    (live,) = await scene.said("训练 1")
    assert "模型服务“sandbox”自己出了故障" in live
    assert "Down for repair." in live
    assert "has a fault" not in live


async def test_a_bad_end_is_said_in_the_channels_language(scene: Scene) -> None:
    await scene.command("assistant edit language:zh")
    await scene.learn(12)
    await scene.command("start")
    scene.host.fail(CREATE, training_closed())
    await scene.click("确认")

    await scene.settle()

    assert "no longer lets" not in await scene.last()
    assert "/tune start host:" in await scene.last()


async def test_the_hosts_own_words_are_quoted_with_the_example_they_mean(scene: Scene) -> None:
    error = {"code": "invalid_file", "message": "Example 3 contains an invalid token: <|im_end|>"}
    scene.host.life = ("running", "failed")
    scene.host.fail(JOB, with_(), with_(error=error))
    await scene.learn(12)
    await scene.confirm()
    await until(lambda: scene.host.jobs, meanwhile=scene.step)
    third = next(iter(scene.host.files.values())).content.splitlines()[2]
    await scene.settle()

    why, means = (await scene.last_card()).lines

    assert why == "Example 3 contains an invalid token: <|im_end|> (invalid_file)"
    number = int(means.removeprefix("The host means example ").rstrip("."))
    assert (await scene.examples())[number - 1].row == json.loads(third)
    await scene.click("Show it")
    assert json.loads(third)["messages"][0]["content"] in await scene.last()


async def test_a_row_of_the_validation_file_is_looked_for_there(scene: Scene) -> None:
    error = {"code": "invalid_file", "message": "Line 1 is bad.", "param": "validation_file"}
    scene.host.life = ("failed",)
    scene.host.fail(JOB, with_(error=error))
    await scene.learn(20)
    await scene.confirm("validation:25%")

    await scene.settle()

    held = {example.id for example in await scene.examples() if example.held_out}
    (told,) = [line for line in (await scene.last_card()).lines if "means example" in line]
    assert int(told.split()[-1].rstrip(".")) in held


@pytest.mark.parametrize(
    ("message", "number"),
    [
        ("Example 6174 message contains an invalid token: <|fim_suffix|>", 6174),
        ("Line 1 is not a dictionary (HINT: line starts with…)", 1),
        ("Problem in row #12", 12),
        ("line no. 7: missing key", 7),
        ("The job failed after 30 steps", None),
        ("example 0", None),
        ("", None),
    ],
)
def test_a_row_is_known_by_its_number(message: str, number: int | None) -> None:
    assert row_number_in_error(message) == number


async def test_a_failed_job_without_a_row_shows_no_example(scene: Scene) -> None:
    scene.host.life = ("failed",)
    scene.host.fail(JOB, with_(error={"message": "It broke.", "code": "x"}))
    await scene.learn(12)
    await scene.confirm()

    await scene.settle()

    assert (await scene.job()).phase is Phase.FAILED
    assert (await scene.last_card()).buttons == ()


async def test_a_row_beyond_the_file_shows_no_example(scene: Scene) -> None:
    def broken(body: dict[str, Any]) -> object:
        return {**body, "error": {"message": "Line 999 is bad.", "code": "x"}}

    scene.host.life = ("failed",)
    scene.host.fail(JOB, reshaped(broken))
    await scene.learn(12)
    await scene.confirm()

    await scene.settle()

    assert (await scene.last_card()).buttons == ()
