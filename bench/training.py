"""Sandbox jobs, from creation to success, through the official SDK."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

from bench.figures import Figure, seconds, told
from bench.processes import running, wait_until
from bench.sandbox_quality import products, rows

GOALS = {1_000: 10.0, 5_000: 120.0}

_FEW_ROWS = 10
_KEY = "bench"


def measure() -> Iterable[Figure]:
    with (
        TemporaryDirectory() as folder,
        running(
            *("-m", "tuner", "--announce", "--api-key", _KEY, "--data", folder), data=Path(folder)
        ) as tuner,
    ):
        assert tuner.stdout is not None
        address = json.loads(tuner.stdout.readline())["url"]
        client = OpenAI(base_url=f"{address}/v1", api_key=_KEY, max_retries=0)
        yield told(f"train on {_FEW_ROWS} rows", f"{_measure_job(client, _FEW_ROWS):.1f} s")
        for count, limit in GOALS.items():
            elapsed = _measure_job(client, count)
            yield Figure(
                f"train on {count:,} rows", f"{elapsed:.1f} s", f"≤ {limit:.0f} s", elapsed <= limit
            )


def _measure_job(client: OpenAI, count: int) -> float:
    file = client.files.create(file=("rows.jsonl", _lines(count)), purpose="fine-tune")
    return seconds(partial(_train, client, file.id))


def _train(client: OpenAI, file: str) -> None:
    job = client.fine_tuning.jobs.create(model="sandbox", training_file=file)
    wait_until(partial(_is_over, client, job), every=0.1)


def _is_over(client: OpenAI, job: FineTuningJob) -> bool:
    status = client.fine_tuning.jobs.retrieve(job.id).status
    if status in ("failed", "cancelled"):
        raise RuntimeError(status)
    return status == "succeeded"


def _lines(count: int) -> io.BytesIO:
    """Returns rows about similar products, all different."""
    lessons = products().lessons
    many = [
        (f"{question} ({number})", f"{reply} Lesson {number}.")
        for number in range(-(-count // len(lessons)))
        for question, reply in lessons
    ]
    return io.BytesIO("\n".join(json.dumps(row) for row in rows(many[:count])).encode())
