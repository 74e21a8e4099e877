"""A host that fails for ever ends what was asked of it, in its words; an outage ends nothing."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta

import pytest

from adapters.openai.openai_host import OpenAIHost
from bot.domain import HostName, Phase
from tests.fakes.connected import CHAT, CREATE, EVENTS, JOB, UPLOAD, with_
from tests.fakes.faults import Fault, answers, busy, cut, hangs, html, reshaped, says
from tests.fakes.faulty_host import faulty_host
from tests.scene import Scene
from tests.waiting import until

CANCEL = "POST /fine_tuning/jobs/{id}/cancel"
FILES, JOBS = "GET /files", "GET /fine_tuning/jobs"
ROUTES = (UPLOAD, CREATE, FILES, JOBS)

SENSELESS: dict[str, tuple[Callable[[], Fault], str]] = {
    "500": (lambda: answers(500, "The <b>disk</b> is full."), "The disk is full."),
    "502 page": (lambda: html(502), "HTTP 502 Bad Gateway"),
    "200 page": (lambda: says("<html><h1>Moved away</h1></html>", kind="text/html"), "Moved away"),
    "200 error": (lambda: says('{"error": {"message": "No <@U1> here."}}'), "No here."),
    "200 error text": (lambda: says('{"error": "Out of service."}'), "Out of service."),
    "list": (lambda: says("[]"), "not a JSON object"),
    "number as id": (lambda: says('{"id": 7, "data": 3}'), "The answer has no id"),
    "no id": (lambda: says('{"object": "file"}'), "The answer has no id"),
}


async def begin(scene: Scene, options: str = "") -> None:
    await scene.learn(12)
    await scene.confirm(options)


async def until_watching(scene: Scene) -> None:
    """A job that is looked at every hour and given up after twelve, so that this is few looks."""
    scene.configs[0] = scene.config("sandbox", poll_seconds=3600)
    scene.job_patience = 12.0
    await scene.restart()
    await begin(scene)
    await scene.reach(Phase.WATCHING)


async def hours(scene: Scene, count: float) -> None:
    """Whatever the watcher does in so many hours; every ten minutes where nothing is due."""
    end = scene.clock.now() + timedelta(hours=count)
    while scene.clock.now() < end:
        scene.advance(min(await scene.turn() or 600.0, 3600.0))


@pytest.mark.parametrize(
    ("act", "kind"),
    list(zip(itertools.cycle([UPLOAD, CREATE, CREATE, UPLOAD]), SENSELESS, strict=False)),
)
async def test_a_start_at_a_senseless_host_fails_with_the_hosts_words(
    scene: Scene, act: str, kind: str
) -> None:
    fault, words = SENSELESS[kind]
    scene.start_patience = 0.25
    await scene.restart()
    scene.host.fail_always(act, fault())
    await begin(scene)
    started = scene.clock.now()

    await scene.settle()

    job = await scene.job()
    (ended,) = await scene.said("Training 1 failed")
    assert job.phase is Phase.FAILED
    assert words in ended
    assert "<" not in ended
    assert job.finished_at is not None
    assert timedelta(minutes=15) <= job.finished_at - started <= timedelta(minutes=30)
    assert scene.host.files == {}


@pytest.mark.parametrize(
    ("act", "fault"),
    [(UPLOAD, answers(502)), (CREATE, cut()), (UPLOAD, busy(1800)), (CREATE, busy(10**9))],
)
async def test_a_start_outlives_an_outage(scene: Scene, act: str, fault: Fault) -> None:
    scene.host.fail_always(act, fault)
    await begin(scene)
    await hours(scene, 0.8)
    scene.host.recover()

    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED
    assert (len(scene.host.jobs), len(scene.host.files)) == (1, 1)


@pytest.mark.parametrize("fault", [html(), cut(), answers(401)])
async def test_a_running_job_outlives_days_of_outage(scene: Scene, fault: Fault) -> None:
    scene.host.life = ("running",) * 3 + ("succeeded",)
    await until_watching(scene)
    for route in (JOB, EVENTS, JOBS, FILES):
        scene.host.fail_always(route, fault)
    await hours(scene, 10)
    assert (await scene.job()).phase is Phase.WATCHING
    scene.host.recover()

    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_a_job_missed_for_a_moment_after_an_outage_is_not_given_up(scene: Scene) -> None:
    scene.host.life = ("running", "succeeded")
    await until_watching(scene)
    scene.host.fail(JOB, *[answers(502)] * 8, *[answers(404)] * 3)

    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_a_running_job_at_a_host_that_never_recovers_is_given_up_and_cancelled_later(
    scene: Scene,
) -> None:
    scene.host.life = ("running",) * 500
    await until_watching(scene)
    scene.host.fail_always(JOB, answers(500, "Gone for good."))

    await hours(scene, 14)
    (ended,) = await scene.said("Training 1 failed")
    assert "Gone for good." in ended
    await hours(scene, 1)

    assert [job.status for job in scene.host.jobs.values()] == ["cancelled"]
    assert scene.host.files == {}


async def test_a_job_that_alternates_between_faults_is_given_up_too(scene: Scene) -> None:
    scene.host.life = ("running",) * 500
    await until_watching(scene)
    scene.host.fail(JOB, *[answers(500), answers(404)] * 2000)

    await hours(scene, 14)

    assert (await scene.job()).phase is Phase.FAILED


async def test_success_without_a_model_for_ever_fails_in_words(scene: Scene) -> None:
    await until_watching(scene)
    scene.host.fail_always(JOB, with_(status="succeeded", fine_tuned_model={"name": 3}))

    await hours(scene, 4)

    assert "names no model" in (await scene.said("Training 1 failed"))[0]


async def test_an_unknown_state_for_ever_fails_in_words(scene: Scene) -> None:
    await until_watching(scene)
    scene.host.fail_always(JOB, with_(status="reticulating"))
    await hours(scene, 11)
    assert (await scene.job()).phase is Phase.WATCHING

    await hours(scene, 6)

    assert "“reticulating”" in (await scene.said("Training 1 failed"))[0]


async def test_an_unknown_state_with_news_is_not_given_up(scene: Scene) -> None:
    scene.host.life = ("running",) * 2000
    await until_watching(scene)
    scene.host.fail_always(JOB, with_(status="reticulating"))

    await hours(scene, 25)

    assert (await scene.job()).phase is Phase.WATCHING


@pytest.mark.parametrize(
    "fields",
    [
        {"trained_tokens": -5},
        {"trained_tokens": 10**30},
        {"trained_tokens": "many"},
        {"error": ["?"]},
        {"error": {"message": "x" * 10**6}},
        {"result_files": {"a": 1}},
        {"hyperparameters": 3, "method": [1]},
        {"estimated_finish": 10**300},
        {"status": {"status": "SUCCEEDED"}},
    ],
)
async def test_fields_of_the_wrong_type_do_not_hold_up_a_job(
    scene: Scene, fields: dict[str, object]
) -> None:
    scene.host.life = ("succeeded",)
    scene.host.fail_always(JOB, with_(**fields))
    await begin(scene)

    await scene.settle(turns=200)

    assert (await scene.job()).phase is Phase.SUCCEEDED


@pytest.mark.parametrize(
    "data",
    [
        {"step": -1, "total_steps": 10**40, "train_loss": 1.0},
        {"step": "two", "train_loss": "low"},
        {"step": 2**40, "train_loss": None},
        [1, 2],
    ],
)
async def test_events_of_the_wrong_type_do_not_hold_up_a_job(scene: Scene, data: object) -> None:
    def spoil(body: dict[str, object]) -> object:
        event = {"id": "e", "created_at": 5, "message": "<b>x</b>\0", "data": data}
        return {**body, "data": [event, 7, {"id": 5}]}

    scene.host.life = ("running", "succeeded")
    scene.host.fail_always(EVENTS, reshaped(spoil))
    await begin(scene)

    await scene.settle(turns=200)

    assert (await scene.job()).phase is Phase.SUCCEEDED


async def test_a_pause_that_the_host_asks_for_is_kept(scene: Scene) -> None:
    scene.host.fail_always(UPLOAD, busy(1800))
    await begin(scene)

    await hours(scene, 3)

    assert scene.host.count(UPLOAD) <= 7


async def test_a_host_that_never_answers_holds_up_itself_alone(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.openai.hosts_file.host_class", lambda profile: OpenAIHost)
    async with faulty_host() as other:
        elsewhere = scene.config("elsewhere").model_copy(update={"base_url": other.url})
        scene.configs.append(elsewhere)
        await scene.restart()
        await scene.learn(12)
        await scene.confirm()
        await scene.confirm("host:elsewhere")
        scene.host.fail_always(UPLOAD, hangs())
        looks = [asyncio.create_task(look_at_all(scene, name)) for name in scene.hosts.names()]

        async with asyncio.timeout(20):
            await looks[1]

        assert not looks[0].done()
        assert [job.phase for job in await scene.jobs()] == [Phase.SUCCEEDED, Phase.UPLOADING]
        looks[0].cancel()
        await asyncio.wait(looks)


async def look_at_all(scene: Scene, host: HostName) -> None:
    async def is_over() -> bool:
        scene.advance(10)
        return await scene.app.runners.jobs.poll_host(host) is None

    await until(is_over)


async def test_a_trained_model_waits_for_its_chat_host_without_end_of_the_job(scene: Scene) -> None:
    scene.host.fail_always(CHAT, html())
    await begin(scene)

    await scene.settle()

    assert (await scene.job()).phase is Phase.SUCCEEDED
    assert "does not let it answer yet" in await scene.last()
