"""Whatever the host does wrong, wherever: one file, one job, one model, and the truth told once."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from bot.domain import Phase
from tests.fakes.connected import CHAT, CREATE, EVENTS, JOB, UPLOAD, with_
from tests.fakes.faults import (
    Fault,
    answers,
    busy,
    cut,
    cut_after,
    empty_stream,
    half_upload,
    html,
    says,
    training_closed,
)
from tests.fakes.faulty_host import FaultyHost
from tests.scene import Scene

FILES, JOBS = "GET /files", "GET /fine_tuning/jobs"
CHECKPOINTS = "GET /fine_tuning/jobs/{id}/checkpoints"
DELETE = "DELETE /files/{id}"

PASSING: dict[str, Callable[[], Fault]] = {
    "429": lambda: busy(3),
    "429 for an hour": lambda: busy(3600),
    "500": lambda: answers(500),
    "503 page": html,
    "408": lambda: answers(408),
    "cut": cut,
    "cut after": cut_after,
    "nonsense": lambda: says("[]"),
    "no json": lambda: says("soon", kind="text/plain"),
}
ACTS = (UPLOAD, CREATE)
READS = (JOB, EVENTS, CHECKPOINTS, CHAT)
MANY_TIMES = ("429", "500", "cut after", "cut")
Step = TypeVar("Step")


def alternating(steps: Sequence[Step]) -> list[tuple[Step, str]]:
    """Every fault that passes, at one step after the other."""
    return list(zip(itertools.cycle(steps), PASSING, strict=False))


async def begin(scene: Scene, *, rows: int = 20, options: str = "validation:25%") -> None:
    if scene.host.life == FaultyHost().life:
        scene.host.life = ("succeeded",)
    await scene.learn(rows)
    await scene.confirm(options)


async def one_of_everything(scene: Scene) -> None:
    """DESIGN: one confirmed start is one training file, one validation file, one job, one model."""
    names = sorted(file.name.rpartition("-")[2] for file in scene.host.files.values())
    assert names == ["training.jsonl", "validation.jsonl"]
    assert len(scene.host.jobs) == 1
    assert len(scene.host.tuned) == 1
    assert [m.name for m in await scene.models() if "ckpt" not in m.name] == scene.host.tuned
    assert (await scene.job()).phase is Phase.SUCCEEDED
    assert len(await scene.said("Training 1 succeeded")) == 1
    (live,) = await scene.said("Training 1: attune")
    assert "\nsucceeded" in live


async def nothing_is_left(scene: Scene, *, phase: Phase, because: str) -> None:
    """Nothing was trained: our words are gone from the host, and the channel knows why."""
    assert scene.host.files == {}
    assert await scene.models() == []
    assert (await scene.job()).phase is phase
    (ended,) = [*await scene.said("Training 1 failed"), *await scene.said("was not started")]
    assert because in ended
    (live,) = await scene.said("Training 1: attune")
    assert f"\n{phase}" in live


@pytest.mark.parametrize(
    ("act", "fault", "times"),
    [
        *((act, fault, 1) for act, fault in alternating(ACTS)[::2]),
        *((act, fault, 4) for act, fault in zip(ACTS * 2, MANY_TIMES, strict=True)),
        *((act, "cut after", 1) for act in ACTS),
    ],
)
async def test_an_act_that_fails_for_a_while_is_done_once(
    scene: Scene, act: str, fault: str, times: int
) -> None:
    scene.host.lag_seconds = 30
    scene.host.fail(act, *(PASSING[fault]() for _ in range(times)))
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)


@pytest.mark.parametrize("fault", PASSING)
async def test_reads_that_fail_for_a_while_change_nothing(scene: Scene, fault: str) -> None:
    for step in READS:
        scene.host.fail(step, PASSING[fault]())
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)
    assert {step: scene.host.count(step) >= 2 for step in READS} == dict.fromkeys(READS, True)


@pytest.mark.parametrize(("steps", "fault"), alternating([(CREATE, JOBS), (UPLOAD, FILES)]))
async def test_a_look_that_fails_is_never_taken_for_nothing_there(
    scene: Scene, steps: tuple[str, str], fault: str
) -> None:
    """The act was done, its answer lost, and the look for it fails as well."""
    act, look = steps
    scene.host.lag_seconds = 30
    scene.host.fail(act, cut_after())
    scene.host.fail(look, PASSING[fault](), PASSING[fault]())
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)


@pytest.mark.parametrize(
    ("act", "look", "refusal"),
    [
        (UPLOAD, FILES, answers(403, "Not you.")),
        (CREATE, JOBS, answers(404)),
        (UPLOAD, FILES, answers(400)),
    ],
)
async def test_a_look_that_is_refused_for_a_while_is_not_the_end(
    scene: Scene, act: str, look: str, refusal: Fault
) -> None:
    scene.host.fail(act, cut_after())
    scene.host.fail(look, refusal, refusal)
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)


async def test_a_host_that_never_lets_us_look_is_given_up_in_words(scene: Scene) -> None:
    scene.host.fail(CREATE, cut())
    scene.host.fail_always(JOBS, answers(403, "No lists here."))
    await begin(scene)

    await scene.settle()

    await nothing_is_left(scene, phase=Phase.FAILED, because="No lists here.")


@pytest.mark.parametrize(("act", "seconds"), [(UPLOAD, 30), (CREATE, 0), (CREATE, 59)])
async def test_what_appears_late_in_a_list_is_found(scene: Scene, act: str, seconds: int) -> None:
    scene.host.lag_seconds = seconds
    scene.host.fail(act, cut_after())
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)


@pytest.mark.parametrize("fault", [half_upload, cut])
async def test_half_an_upload_is_no_upload(scene: Scene, fault: Callable[[], Fault]) -> None:
    scene.host.fail(UPLOAD, fault(), fault())
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)
    sizes = {file.name: len(file.content.splitlines()) for file in scene.host.files.values()}
    assert sorted(sizes.values()) == [5, 15]


async def test_two_files_of_one_name_become_one(scene: Scene) -> None:
    """The host did it twice, as one does that answers a retry of its own proxy."""

    async def twice(call: Any) -> Any:
        await call.act()
        first = list(scene.host.files.values())[-1]
        scene.host.files["file-copy"] = type(first)(
            "file-copy", first.name, first.content, first.created_at, first.listings_before
        )
        return await cut()(call)

    scene.host.fail(UPLOAD, twice)
    scene.host.fail(DELETE, answers(404))
    await begin(scene)

    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED
    assert len(scene.host.jobs) == 1


async def test_a_host_that_closed_training_is_told_with_what_to_do(scene: Scene) -> None:
    scene.host.fail(CREATE, training_closed())
    await begin(scene)

    await scene.settle()

    await nothing_is_left(scene, phase=Phase.FAILED, because="/tune start host:NAME")


@pytest.mark.parametrize(
    ("step", "refusal", "because"),
    [
        (UPLOAD, answers(400, "The file is too large."), "The file is too large."),
        (CREATE, answers(401, "Bad key."), "must check KEY"),
        (
            CREATE,
            answers(403, "No quota.", code="insufficient_quota"),
            "No quota. (insufficient_quota)",
        ),
        (UPLOAD, answers(404, "No such route."), "No such route."),
    ],
)
async def test_a_refusal_ends_the_start_with_the_hosts_own_words(
    scene: Scene, step: str, refusal: Fault, because: str
) -> None:
    scene.host.fail(step, refusal)
    await begin(scene)

    await scene.settle()

    await nothing_is_left(scene, phase=Phase.FAILED, because=because)
    assert "error." not in await scene.last()
    assert "(–)" not in await scene.last()


@pytest.mark.parametrize(
    ("step", "fault"), [(EVENTS, answers(403)), (CHECKPOINTS, answers(404, "Not Found"))]
)
async def test_a_host_without_events_or_checkpoints_trains_all_the_same(
    scene: Scene, step: str, fault: Fault
) -> None:
    scene.host.fail_always(step, fault)
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)


@pytest.mark.parametrize(
    ("error", "because"),
    [
        ({}, "The host did not say why."),
        (None, "The host did not say why."),
        ({"code": None, "message": None}, "The host did not say why."),
        ({"code": "bad_rows", "message": "Row 3 is bad."}, "Row 3 is bad. (bad_rows)"),
        ({"message": "Row 3 is bad."}, "Row 3 is bad."),
        ("It broke.", "It broke."),
    ],
)
async def test_a_job_that_failed_says_why(scene: Scene, error: object, because: str) -> None:
    scene.host.life = ("running", "failed")
    scene.host.fail(JOB, *[with_(error={})] * 1, with_(error=error))
    await begin(scene)

    await scene.settle()

    await nothing_is_left(scene, phase=Phase.FAILED, because=because)
    assert "(–)" not in await scene.last()


async def test_a_healthy_job_with_an_empty_error_is_healthy(scene: Scene) -> None:
    scene.host.fail_always(JOB, with_(error={}))
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)


async def test_a_job_cancelled_at_the_host_is_told_as_cancelled(scene: Scene) -> None:
    scene.host.life = ("running", "cancelled")
    await begin(scene)

    await scene.settle()

    assert len(await scene.said("Training 1 was cancelled")) == 1
    assert scene.host.files == {}


async def test_a_job_that_vanishes_is_given_up_after_some_patience(scene: Scene) -> None:
    scene.host.life = ("running",) * 100
    await begin(scene)
    await scene.reach(Phase.WATCHING)
    (job,) = scene.host.jobs
    scene.host.forget(job)

    await scene.settle()

    await nothing_is_left(scene, phase=Phase.FAILED, because="no longer knows this job")
    assert scene.host.count(JOB) >= 6


async def test_a_job_that_is_missed_for_a_moment_is_not_given_up(scene: Scene) -> None:
    scene.host.fail(JOB, *[answers(404)] * 5)
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)


async def test_a_paused_job_is_waited_for(scene: Scene) -> None:
    scene.host.life = ("running", "paused", "running", "succeeded")
    await begin(scene)
    await scene.settle()
    (live,) = await scene.said("Training 1: attune")
    assert "\npaused" in live

    await scene.command("resume")
    await scene.settle()

    await one_of_everything(scene)


async def test_the_model_may_wake_up_empty_handed(scene: Scene) -> None:
    scene.host.fail(CHAT, empty_stream())
    await begin(scene)

    await scene.settle()

    await one_of_everything(scene)


async def test_while_a_host_is_away_the_status_says_what_is_waited_for(scene: Scene) -> None:
    scene.host.fail_always(UPLOAD, answers(503, "Down for repair."))
    await begin(scene)
    for _ in range(12):
        scene.advance(await scene.turn() or 0.0)

    (live,) = await scene.said("Training 1: attune")
    assert "Waiting: The host “sandbox” has a fault of its own: Down for repair." in live
    scene.host.recover()
    await scene.settle()

    await one_of_everything(scene)


async def test_a_host_is_not_asked_in_a_hurry(scene: Scene) -> None:
    scene.host.fail_always(UPLOAD, answers(429, headers={"Retry-After": "1e30"}))
    await begin(scene)
    started = scene.clock.now()

    for _ in range(10):
        scene.advance(await scene.turn() or 0.0)

    waited = (scene.clock.now() - started).total_seconds()
    assert 60 < waited < 3600
    scene.host.recover()
    await scene.settle()
    await one_of_everything(scene)


async def test_files_are_removed_even_if_the_host_is_away_at_first(scene: Scene) -> None:
    scene.host.fail(CREATE, training_closed())
    scene.host.fail(DELETE, answers(500), answers(500), answers(404))
    await begin(scene)

    await scene.settle()

    assert (await scene.job()).training_file is None
    assert len(scene.host.files) <= 1
    assert scene.host.count(DELETE) >= 4
