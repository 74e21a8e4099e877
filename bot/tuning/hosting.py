"""What is asked of a host, found at it, and read from what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from bot.datasets import training_line
from bot.errors import (
    HostForgot,
)
from bot.model import (
    Assistant,
    Job,
    JobEvent,
    JobWish,
    Measures,
    SnapshotRow,
    Split,
)
from bot.ports.provider import Host, JobRequest, RemoteFile, RemoteJob

T = TypeVar("T")


def file_name(job: Job, split: Split) -> str:
    """By this name a file is found again after a crash."""
    part = "training" if split is Split.TRAIN else "validation"
    return f"attune-{job.start}-{part}.jsonl"


def training_lines(rows: Iterable[SnapshotRow], assistant: Assistant) -> Iterator[bytes]:
    for row in rows:
        if row.row is not None:
            yield training_line(row.row, assistant.instructions)


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


def news_of(remote: RemoteJob, events: Sequence[JobEvent]) -> dict[str, object]:
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
    return told


async def result_measures(host: Host, remote: RemoteJob) -> Sequence[Measures]:
    """From all its result files, though hosts give one."""
    files = [await host.result_file(file) for file in remote.result_files]
    return [one for file in files for one in file.measures]


def is_granted(wish: JobWish | None, status: str) -> bool:
    if wish is JobWish.PAUSE:
        return status == "paused"
    return wish is JobWish.RESUME and status in ("queued", "running")
