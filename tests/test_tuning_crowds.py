"""Many trainings at once: a dozen calls a round, and still every one of them to its end."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace

from bot.domain import LOCAL, Phase
from tests.fakes.connected import EVENTS, JOB
from tests.fakes.faults import answers
from tests.fakes.openai_shapes import FakeJob
from tests.scene import Scene

LIST = "GET /fine_tuning/jobs"
LONG = ("running",) * 99


async def crowd(scene: Scene, size: int, *, life: Sequence[str] = LONG) -> None:
    """So many jobs, known to the house and to its host, all running."""
    await scene.learn(12)
    await scene.command("start")
    async with scene.database.writing() as records:
        estimate = await records.jobs.get(LOCAL, await scene.estimate())
        for n in range(size):
            running = replace(
                estimate,
                idempotency_key=f"start-{n}",
                phase=Phase.WATCHING,
                host_job=f"ftjob-{n}",
                status="running",
                confirmed_at=scene.clock.now(),
                running_at=scene.clock.now(),
            )
            await records.jobs.add(LOCAL, running)
    for n in range(size):
        body = {"model": "base", "training_file": f"file-{n}"}
        job = FakeJob(f"ftjob-{n}", body, scene.host.now, 0, deque(life), "running")
        scene.host.jobs[job.id] = job
    scene.host.asked.clear()


async def rounds(scene: Scene, count: int) -> list[int]:
    """The calls that each round cost."""
    costs = []
    for _ in range(count):
        before = len(scene.host.asked)
        wait = await scene.app.runners.jobs.poll()
        costs.append(len(scene.host.asked) - before)
        scene.advance(wait or 0.0)
    return costs


async def test_a_thousand_jobs_cost_twelve_calls_a_round(scene: Scene) -> None:
    await crowd(scene, 1000)

    costs = await rounds(scene, 2)

    assert max(costs) <= 12
    assert scene.host.count(LIST) == 20
    assert scene.host.count(JOB) == 0
    assert scene.host.count(EVENTS) == 4


async def test_everybody_of_a_crowd_has_a_turn_to_tell(scene: Scene) -> None:
    await crowd(scene, 22)

    await rounds(scene, 2)

    heard = Counter(call.path for call in scene.host.asked if call.route == EVENTS)
    assert sorted(heard.values()) == [1] * 22


async def test_a_crowd_comes_to_its_end(scene: Scene) -> None:
    scene.host.ages_when_listed = True
    await crowd(scene, 12, life=("running", "running", "succeeded"))

    for _ in range(6):
        await rounds(scene, 1)

    assert {job.phase for job in await scene.jobs()} == {Phase.SUCCEEDED}
    assert len(await scene.models()) == 24


async def test_one_of_a_crowd_is_still_steered_at_once(scene: Scene) -> None:
    await crowd(scene, 20)

    await scene.command("cancel 5")
    await rounds(scene, 2)

    (cancelled,) = [job for job in await scene.jobs() if job.phase is Phase.CANCELLED]
    assert cancelled.id == 5


async def test_one_that_the_host_has_lost_is_asked_for_by_name(scene: Scene) -> None:
    await crowd(scene, 20)
    scene.host.forget("ftjob-7")

    for _ in range(8):
        await rounds(scene, 1)
        scene.advance(300)

    (lost,) = [job for job in await scene.jobs() if job.phase is Phase.FAILED]
    assert (lost.host_job, lost.error_code) == ("ftjob-7", "vanished")


async def test_a_list_that_fails_for_a_while_loses_nobody(scene: Scene) -> None:
    await crowd(scene, 20)
    scene.host.fail(LIST, answers(500), answers(429))

    await rounds(scene, 1)
    assert all(job.error_message for job in await scene.jobs())
    await rounds(scene, 4)

    assert {(job.phase, job.error_message) for job in await scene.jobs()} == {
        (Phase.WATCHING, None)
    }
