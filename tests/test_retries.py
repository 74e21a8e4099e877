"""How long a host is left alone after a failure, and when a start is given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain import AssistantId, Job, Phase, Snapshot, SnapshotId
from bot.errors import HostBusy, HostError, HostNotFound, HostRefused, HostTimeout
from bot.rows import Method
from bot.tuning import retries
from tests.fakes.connected import UPLOAD
from tests.fakes.faults import busy
from tests.scene import Scene
from tests.stores import HOME, NOW, a_job
from tests.waiting import until

POLL = 10.0
SNAPSHOT = Snapshot(SnapshotId(1), HOME, AssistantId(1), Method.SUPERVISED, 10, 2, NOW)


def failed(**changes: Any) -> Job:
    return replace(a_job(SNAPSHOT), **changes)


@pytest.mark.parametrize("asked", [11.0, 90.0, 3600.0])
def test_a_host_is_left_alone_for_as_long_as_it_asks(asked: float) -> None:
    busy = HostBusy(host="sandbox", retry_after=asked)

    assert retries.retry_delay(failed(attempts=3), busy, poll_seconds=POLL) == asked


@pytest.mark.parametrize("asked", [None, 0.0, 3601.0, 1e9])
def test_without_a_sensible_pause_the_wait_doubles_up_to_its_limit(asked: float | None) -> None:
    busy = HostBusy(host="sandbox", retry_after=asked)

    waits = [
        retries.retry_delay(failed(attempts=n), busy, poll_seconds=POLL) for n in (0, 1, 3, 9, 99)
    ]

    assert waits == [10.0, 20.0, 80.0, 300.0, 300.0]


def test_a_host_is_never_asked_more_often_than_it_is_polled() -> None:
    busy = HostBusy(host="sandbox", retry_after=1.0)

    assert retries.retry_delay(failed(), busy, poll_seconds=POLL) == POLL


def test_a_refusal_is_final_only_where_nothing_may_have_been_done() -> None:
    refused = HostRefused(host="sandbox")
    attempted = failed(phase=Phase.CREATING, attempted_at=NOW)

    assert retries.is_final_refusal(failed(phase=Phase.CREATING), refused)
    assert not retries.is_final_refusal(attempted, refused)


def test_a_job_that_a_host_no_longer_knows_is_believed_to_be_gone_after_six_looks() -> None:
    job, error = failed(phase=Phase.WATCHING), HostNotFound(host="sandbox")
    looks = 1

    while not retries.is_final_refusal(job, error):
        changes = retries.job_fields_of_repeated_error(
            job, error, now=NOW + timedelta(seconds=looks)
        )
        job, looks = failed(phase=Phase.WATCHING, **changes), looks + 1

    assert looks == retries.MAX_REFUSALS


@pytest.mark.parametrize(
    ("phase", "error", "hours"),
    [
        (Phase.UPLOADING, HostBusy(host="sandbox"), 6),
        (Phase.UPLOADING, HostTimeout(host="sandbox"), 6),
        (Phase.WATCHING, HostTimeout(host="sandbox"), 72),
    ],
)
def test_a_running_job_is_waited_for_longer_than_a_start(
    phase: Phase, error: HostError, hours: int
) -> None:
    assert retries.RetryLimits().limit_for(failed(phase=phase), error) == timedelta(hours=hours)


async def test_a_host_that_was_busy_has_done_nothing_that_must_be_looked_for(scene: Scene) -> None:
    scene.host.fail(UPLOAD, busy(3))
    await scene.learn(12)
    await scene.confirm()

    await until(lambda: scene.host.count(UPLOAD), meanwhile=scene.step)

    assert (await scene.job()).attempted_at is None
