"""Jobs, their events and what they leave, at a host that goes wrong on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from adapters.openai.host_kinds import Dialect, HyperparameterPlacement
from adapters.openai.openai_host import OpenAIHost
from bot.domain import Hyperparameters, ModelName
from bot.errors import (
    HostBusy,
    HostError,
    HostNotFound,
    HostRefused,
    HostServerError,
    HostTimeout,
    TrainingClosed,
)
from bot.rows import Method
from tests.fakes.connected import (
    CREATE,
    EVENTS,
    JOB,
    ROW,
    SOON,
    a_job,
    connected,
    listing,
    request,
    with_,
)
from tests.fakes.faults import (
    Fault,
    answers,
    busy,
    cut,
    cut_after,
    hangs,
    html,
    reshaped,
    training_closed,
)
from tests.fakes.faulty_host import FaultyHost, faulty_host


@pytest.fixture
async def fake() -> AsyncIterator[FaultyHost]:
    async with faulty_host() as host:
        yield host


@pytest.fixture
async def host(fake: FaultyHost) -> AsyncIterator[OpenAIHost]:
    async with connected(fake) as client:
        yield client


async def test_a_job_is_asked_for_with_what_was_chosen_and_nothing_else(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    file = (await host.upload("a.jsonl", [ROW])).id
    chosen = Hyperparameters(n_epochs=3, beta=0.5)

    await host.create_job(request(file, method=Method.DPO, hyperparameters=chosen, seed=0))

    assert fake.last(CREATE).body == {
        "model": "base",
        "training_file": file,
        "seed": 0,
        "metadata": {"attune_start": "s1"},
        "method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 3, "beta": 0.5}}},
    }


async def test_suffix_and_validation_file_travel_along(fake: FaultyHost, host: OpenAIHost) -> None:
    file = (await host.upload("a.jsonl", [ROW])).id

    await host.create_job(request(file, validation_file=file, suffix="voice"))

    assert fake.last(CREATE).body["validation_file"] == file
    assert fake.last(CREATE).body["suffix"] == "voice"


async def test_an_older_host_takes_hyperparameters_at_the_top(fake: FaultyHost) -> None:
    fake.is_legacy = True
    async with connected(fake, dialect=Dialect(HyperparameterPlacement.TOP)) as host:
        file = (await host.upload("a.jsonl", [ROW])).id
        await host.create_job(request(file, hyperparameters=Hyperparameters(n_epochs=2)))

    assert fake.last(CREATE).body["hyperparameters"] == {"n_epochs": 2}
    assert "method" not in fake.last(CREATE).body


@pytest.mark.parametrize(
    ("fault", "expected", "jobs"),
    [
        (training_closed(), TrainingClosed, 0),
        (answers(403, "Not you."), HostRefused, 0),
        (answers(500), HostServerError, 0),
        (busy(0.001), HostBusy, 0),
        (cut(), HostTimeout, 0),
        (cut_after(), HostTimeout, 1),
        (hangs(), HostTimeout, 0),
        (html(200), HostServerError, 0),
    ],
)
async def test_a_job_is_never_created_twice(
    fake: FaultyHost, fault: Fault, expected: type[HostError], jobs: int
) -> None:
    fake.fail(CREATE, fault)

    async with connected(fake, retries=2, patience=SOON) as host:
        with pytest.raises(HostError) as raised:
            await a_job(host)

    assert type(raised.value) is expected
    assert (fake.count(CREATE), len(fake.jobs)) == (1, jobs)


@pytest.mark.parametrize("error", [None, {}, {"code": None, "message": None, "param": None}])
async def test_a_healthy_job_has_no_error(
    fake: FaultyHost, host: OpenAIHost, error: object
) -> None:
    fake.fail(JOB, with_(error=error))

    job = await host.job(await a_job(host))

    assert (job.error_code, job.error_message) == (None, None)
    assert job.model is None
    assert job.resolved_hyperparameters == {
        "n_epochs": 3,
        "batch_size": 1,
        "learning_rate_multiplier": 1.8,
    }


async def test_a_failed_job_says_why(fake: FaultyHost, host: OpenAIHost) -> None:
    why = {"code": "invalid_training_file", "message": "Line 3.", "param": "training_file"}
    fake.fail(JOB, with_(status="failed", error=why))

    job = await host.job(await a_job(host))

    assert (job.status, job.error_code, job.error_message) == (
        "failed",
        "invalid_training_file",
        "Line 3.",
    )


async def test_a_job_lives_and_leaves_a_model(fake: FaultyHost, host: OpenAIHost) -> None:
    job = await a_job(host)

    statuses = [(await host.job(job)).status for _ in fake.life]

    done = await host.job(job)
    assert statuses == ["queued", "running", "running", "succeeded"]
    assert done.trained_tokens == 1000
    assert done.model in [model.name for model in await host.models()]


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("paused", "paused"),
        ("reticulating", "reticulating"),
        ({"status": "running", "epoch": 1}, "running"),
        ({"state": "pending"}, "queued"),
        (None, "unknown"),
    ],
)
async def test_a_status_of_any_shape_comes_out_as_text(
    fake: FaultyHost, host: OpenAIHost, told: object, status: str
) -> None:
    fake.fail(JOB, with_(status=told))

    assert (await host.job(await a_job(host))).status == status


@pytest.mark.parametrize(
    "told",
    [1_800_000_000, 1_800_000_000.0, "1800000000", "2027-01-15T08:00:00Z", "2027-01-15T08:00:00"],
)
async def test_a_time_of_any_shape_comes_out_aware(
    fake: FaultyHost, host: OpenAIHost, told: object
) -> None:
    fake.fail(JOB, with_(estimated_finish=told))

    job = await host.job(await a_job(host))

    assert job.estimated_finish == datetime(2027, 1, 15, 8, tzinfo=UTC)


@pytest.mark.parametrize("told", [None, "yesterday", -1, "1e400", True, [], {}])
async def test_a_time_that_makes_no_sense_is_unknown(
    fake: FaultyHost, host: OpenAIHost, told: object
) -> None:
    fake.fail(JOB, with_(estimated_finish=told))

    assert (await host.job(await a_job(host))).estimated_finish is None


async def test_a_job_of_nothing_but_an_id_is_still_a_job(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    fake.fail(JOB, reshaped(lambda body: {"id": body["id"]}))

    job = await host.job(await a_job(host))

    assert (job.status, job.training_file, job.resolved_hyperparameters) == ("unknown", "", {})


@pytest.mark.parametrize(
    "shape",
    [
        {"method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 4}}}},
        {"hyperparameters": {"n_epochs": 4, "batch_size": "auto", "beta": None}},
        {
            "hyperparameters": {"n_epochs": 4},
            "method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": "auto"}}},
        },
    ],
)
async def test_resolved_hyperparameters_are_found_wherever_they_stand(
    fake: FaultyHost, host: OpenAIHost, shape: dict[str, object]
) -> None:
    fake.fail(JOB, reshaped(lambda body: {"id": body["id"], **shape}))

    assert (await host.job(await a_job(host))).resolved_hyperparameters == {"n_epochs": 4}


async def test_a_job_can_be_paused_resumed_and_cancelled(host: OpenAIHost) -> None:
    job = await a_job(host)

    assert (await host.pause_job(job)).status == "paused"
    assert (await host.resume_job(job)).status == "queued"
    assert (await host.cancel_job(job)).status == "cancelled"
    with pytest.raises(HostRefused, match="already completed"):
        await host.cancel_job(job)


async def test_a_job_that_vanished_is_forgotten(fake: FaultyHost, host: OpenAIHost) -> None:
    job = await a_job(host)
    fake.forget(job)

    with pytest.raises(HostNotFound):
        await host.job(job)


async def test_a_poll_without_an_answer_ends(fake: FaultyHost) -> None:
    fake.fail(JOB, hangs())

    async with connected(fake, patience=SOON) as host:
        with pytest.raises(HostTimeout):
            await host.job("ftjob-1")


async def test_events_come_oldest_first_with_their_metrics(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    job = await a_job(host)
    for _ in fake.life:
        await host.job(job)

    events = await host.job_events(job, frozenset())

    assert [event.step for event in events] == [None, 1, 2, None]
    assert [event.total_steps for event in events] == [None, 2, 2, None]
    assert events[1].metrics == {"train_loss": 1.0}
    assert events[-1].message == "The job has successfully completed"


async def test_events_already_seen_are_left_out(fake: FaultyHost, host: OpenAIHost) -> None:
    job = await a_job(host)
    await host.job(job)
    await host.job(job)
    first, second = await host.job_events(job, frozenset())

    assert await host.job_events(job, frozenset({first.id})) == [second]


async def test_reading_stops_at_the_first_page_of_seen_events(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    fake.life, fake.page_rows = ["running"] * 9, 2
    job = await a_job(host)
    for _ in fake.life:
        await host.job(job)
    seen = frozenset(event.id for event in await host.job_events(job, frozenset()))
    before = fake.count(EVENTS)

    assert await host.job_events(job, seen) == []
    assert fake.count(EVENTS) - before == 1


@pytest.mark.parametrize("ignores_after", [False, True])
async def test_events_with_new_ids_at_every_call_are_told_once(
    fake: FaultyHost, host: OpenAIHost, ignores_after: bool
) -> None:
    job = await a_job(host)
    fake.invents_event_ids, fake.ignores_after = True, ignores_after
    fake.omits_has_more = True

    assert len(await host.job_events(job, frozenset())) == 1
    assert fake.count(EVENTS) == 2


async def test_doubled_and_shuffled_events_are_put_in_order(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    def event(number: int, at: int, step: int | None) -> dict[str, object]:
        data = {"step": step, "total_steps": 3} if step else None
        return {"id": f"e-{number}", "created_at": at, "message": f"m{number}", "data": data}

    job = await a_job(host)
    rows = [event(2, 20, 1), event(1, 10, None), event(3, 20, 2), event(3, 20, 2)]
    fake.fail(EVENTS, listing(*rows, event(9, 30, None), event(11, 30, None)))

    told = await host.job_events(job, frozenset())

    assert [event.id for event in told] == ["e-1", "e-2", "e-3", "e-9", "e-11"]


async def test_numbers_that_are_none_are_dropped_from_metrics(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    job = await a_job(host)
    data = {"step": 1.0, "train_loss": 0.5, "valid_loss": "NaN", "note": "x", "full": None}
    fake.fail(EVENTS, listing({"id": "e-1", "data": data}))

    [event] = await host.job_events(job, frozenset())

    assert (event.step, event.metrics, event.level) == (1, {"train_loss": 0.5}, "info")


async def test_an_event_without_an_id_is_given_a_lasting_one(
    fake: FaultyHost, host: OpenAIHost
) -> None:
    job = await a_job(host)
    fake.fail_always(EVENTS, listing({"created_at": 1, "message": "Hello"}))

    [event] = await host.job_events(job, frozenset())

    assert await host.job_events(job, frozenset({event.id})) == []


async def test_checkpoints_carry_their_numbers(fake: FaultyHost, host: OpenAIHost) -> None:
    job = await a_job(host)
    for _ in fake.life:
        await host.job(job)

    [checkpoint] = await host.checkpoints(job)

    assert (checkpoint.step, checkpoint.metrics) == (2, {"train_loss": 0.5})
    assert checkpoint.model.endswith(":ckpt-step-2")


async def test_a_model_tells_its_last_day(fake: FaultyHost, host: OpenAIHost) -> None:
    fake.fail("GET /models", listing({"id": "m", "owned_by": "us", "shutdown_date": "2027-01-14"}))

    [model] = await host.models()

    assert (model.name, model.expires_on) == ("m", "2027-01-14")


async def test_a_deleted_model_is_gone(fake: FaultyHost, host: OpenAIHost) -> None:
    fake.tuned.append("ft:base:team/one")

    await host.delete_model(ModelName("ft:base:team/one"))

    assert not fake.tuned
