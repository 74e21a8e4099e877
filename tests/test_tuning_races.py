"""What people wish while the watcher works: nothing is done against it, and no Cancel is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from fastapi import Response

from bot.domain import LOCAL, JobId, Phase, RequestedAction
from bot.events import ButtonClicked
from tests.fakes.connected import CREATE, JOB, UPLOAD
from tests.fakes.faults import Call, Fault, answers, cut
from tests.scene import Scene

CANCEL = "POST /fine_tuning/jobs/{id}/cancel"
PAUSE = "POST /fine_tuning/jobs/{id}/pause"
LONG = ("running",) * 50


async def begin(scene: Scene) -> None:
    scene.host.life = LONG
    await scene.learn(12)
    await scene.confirm()


def meanwhile(scene: Scene, action: str, then: Fault | None = None) -> Fault:
    """Somebody clicks while the host works on its answer."""

    async def fault(call: Call) -> Response:
        await scene.handle(scene.event(ButtonClicked(f"{action}:1"), key=f"{action} meanwhile"))
        return await (then(call) if then else call.act())

    return fault


async def test_a_cancel_while_a_pause_is_refused_is_not_lost(scene: Scene) -> None:
    await begin(scene)
    await scene.reach(Phase.WATCHING)
    scene.advance(await scene.turn() or 0.0)
    scene.host.fail(PAUSE, meanwhile(scene, "job.cancel", answers(409, "Not now.")))
    await scene.command("pause")

    await scene.settle()

    assert (await scene.job()).phase is Phase.CANCELLED
    assert len(await scene.said("Training 1 could not be paused.")) == 1


@pytest.mark.parametrize("act", [UPLOAD, CREATE, JOB])
@pytest.mark.parametrize("then", [None, answers(503), cut()])
async def test_a_cancel_while_the_host_answers_is_not_lost(
    scene: Scene, act: str, then: Fault | None
) -> None:
    scene.host.fail(act, meanwhile(scene, "job.cancel", then))
    await begin(scene)

    await scene.settle()

    assert (await scene.job()).phase is Phase.CANCELLED
    assert {job.status for job in scene.host.jobs.values()} <= {"cancelled"}
    assert scene.host.files == {}


async def test_a_cancel_does_not_wait_for_the_pause_that_a_host_asked_for(scene: Scene) -> None:
    await begin(scene)
    await scene.reach(Phase.WATCHING)
    busy = answers(429, headers={"Retry-After": "3000"})
    scene.host.fail(JOB, meanwhile(scene, "job.cancel", busy))
    started = scene.clock.now()

    await scene.settle()

    assert (await scene.job()).phase is Phase.CANCELLED
    assert (scene.clock.now() - started).total_seconds() < 600


async def test_a_pause_or_resume_does_not_replace_a_cancel(scene: Scene) -> None:
    await begin(scene)
    await scene.reach(Phase.WATCHING)
    await scene.command("cancel")

    for command in ("pause", "resume"):
        await scene.command(command)
        assert "is being cancelled already" in await scene.last()

    await scene.settle()
    assert (await scene.job()).phase is Phase.CANCELLED


async def test_a_job_is_read_again_before_anything_is_sent(scene: Scene) -> None:
    """The look knows an older job than the one that was cancelled since."""
    await begin(scene)
    watcher = scene.app.runners.jobs
    await scene.reach(Phase.CREATING)
    stale = await scene.job()
    await scene.command("cancel")

    await watcher._advance(stale)

    assert scene.host.count(CREATE) == 0
    assert (await scene.job()).phase is Phase.CANCELLED


async def test_the_intention_is_not_written_for_a_job_that_changed(scene: Scene) -> None:
    await begin(scene)
    watcher = scene.app.runners.jobs
    await scene.reach(Phase.CREATING)
    stale = await scene.job()
    await scene.command("cancel")

    await watcher._try_step(stale, None)

    assert scene.host.count(CREATE) == 0
    assert (await scene.job()).attempted_at is None


async def test_two_looks_at_once_do_each_step_once(scene: Scene) -> None:
    await begin(scene)

    for _ in range(6):
        await asyncio.gather(*(scene.app.runners.jobs.poll() for _ in range(3)))
        scene.advance(10)

    assert (scene.host.count(UPLOAD), scene.host.count(CREATE)) == (1, 1)


async def test_what_is_over_does_not_end_a_second_time(scene: Scene) -> None:
    await begin(scene)
    stale = await scene.job()
    await scene.command("cancel")
    await scene.settle()

    await scene.app.runners.jobs._record.end_job(
        replace(stale, requested_action=None), Phase.FAILED
    )
    await scene.settle()

    assert (await scene.job()).phase is Phase.CANCELLED
    assert await scene.said("Training 1 failed") == []


async def test_putting_off_a_job_does_not_put_off_a_new_wish(scene: Scene) -> None:
    await begin(scene)
    await scene.reach(Phase.WATCHING)
    stale = await scene.job()
    await scene.command("cancel")

    await scene.app.runners.jobs._record.postpone_polls(stale, seconds=3600)

    async with scene.database.reading() as records:
        job = await records.jobs.get(LOCAL, JobId(1))
    assert (job.requested_action, job.next_poll_at) == (RequestedAction.CANCEL, scene.clock.now())


async def test_a_cancel_is_asked_of_a_failing_host_again_and_not_in_a_hurry(scene: Scene) -> None:
    await begin(scene)
    await scene.reach(Phase.WATCHING)
    scene.host.fail_always(CANCEL, answers(503))
    await scene.command("cancel")
    started = scene.clock.now()

    for _ in range(6):
        scene.advance(await scene.turn() or 0.0)

    assert scene.host.count(CANCEL) >= 3
    assert (scene.clock.now() - started).total_seconds() > 60
    assert (await scene.job()).requested_action is RequestedAction.CANCEL
