"""What is asked of a host, found at it, and read from what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from bot.datasets import training_line
from bot.domain import (
    Assistant,
    Job,
    JobEvent,
    RequestedAction,
    SnapshotRow,
    Split,
    StepMetrics,
)
from bot.errors import (
    HostForgot,
)
from bot.ports.provider import Host, JobRequest, Profile, RemoteFile, RemoteJob
from bot.tuning import limits

T = TypeVar("T")

_UNITS = ((120, 10), (1800, 60), (float("inf"), 300))
"""Below so many seconds, the grain in which time left is told."""


def file_name(job: Job, split: Split) -> str:
    """By this name a file is found again after a crash."""
    part = "training" if split is Split.TRAIN else "validation"
    return f"attune-{job.start}-{part}.jsonl"


def training_lines(
    rows: Iterable[SnapshotRow], assistant: Assistant, profile: Profile
) -> Iterator[bytes]:
    for row in rows:
        if row.row is not None:
            plain = row.row if profile.takes_weight else limits.without_weights(row.row)
            yield training_line(plain, assistant.instructions)


async def find_file(host: Host, name: str) -> RemoteFile | None:
    """The file of that name; should there be several, one stays."""
    found = [file async for file in host.files() if file.name == name]
    for stray in found[1:]:
        with contextlib.suppress(HostForgot):
            await host.delete_file(stray.id)
    return found[0] if found else None


async def find_job(host: Host, training_file: str) -> RemoteJob | None:
    async for remote in host.jobs():
        if remote.training_file == training_file:
            return remote
    return None


def request(job: Job) -> JobRequest:
    return JobRequest(
        start=job.start,
        base=job.base,
        training_file=job.training_file or "",
        validation_file=job.validation_file,
        method=job.method,
        hyperparameters=job.hyperparameters,
        suffix=job.suffix,
        seed=job.seed,
    )


def news_of(
    job: Job, remote: RemoteJob, events: Sequence[JobEvent], *, now: datetime
) -> dict[str, object]:
    """What the host says now; numbers come only from its events."""
    told: dict[str, object] = {"status": remote.status}
    if remote.resolved:
        told["resolved"] = remote.resolved
    if remote.result_files:
        told["result_files"] = remote.result_files
    for event in events:
        if event.step is not None:
            told["step"] = event.step
        if event.total_steps is not None:
            told["total_steps"] = event.total_steps
        for metric in ("train_loss", "valid_loss"):
            if metric in event.metrics:
                told[metric] = event.metrics[metric]
    told["seconds_left"] = _seconds_left(job, remote, told, now)
    return told


def _seconds_left(
    job: Job, remote: RemoteJob, told: Mapping[str, object], now: datetime
) -> float | None:
    """The host's own word, else by the pace of its steps; rounded, so that it seldom changes."""
    if remote.status != "running":
        return None
    if remote.estimated_finish is not None:
        return _rounded((remote.estimated_finish - now).total_seconds())
    step, total = (told.get(name, getattr(job, name)) for name in ("step", "total_steps"))
    if job.running_at is None or not isinstance(step, int) or not isinstance(total, int):
        return None
    took = (now - job.running_at).total_seconds()
    return _rounded(took / step * (total - step)) if step else None


def _rounded(seconds: float) -> float | None:
    if seconds <= 0:
        return None
    unit = next(unit for limit, unit in _UNITS if seconds < limit)
    return float(max(unit, round(seconds / unit) * unit))


async def result_measures(host: Host, remote: RemoteJob) -> Sequence[StepMetrics]:
    """From all its result files, though hosts give one."""
    files = [await host.result_file(file) for file in remote.result_files]
    return [one for file in files for one in file.measures]


def is_granted(requested_action: RequestedAction | None, status: str) -> bool:
    if requested_action is RequestedAction.PAUSE:
        return status == "paused"
    return requested_action is RequestedAction.RESUME and status in ("queued", "running")
