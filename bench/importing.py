"""A file of 100,000 rows through the whole of `attune import`, its memory included."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from attune.operator_commands import import_file
from attune.settings import Settings
from bench.figures import Figure, processor_seconds
from bench.processes import Run, megabytes, run_attune
from bench.rows import ROWS, load, write
from bot.domain import LOCAL
from bot.imports import ImportOptions
from bot.words import Words

MOST_TIMES = 20
MOST_BYTES = 50_000_000

_ROUNDS = 3
_FEW_ROWS = 10


def measure() -> Iterable[Figure]:
    with TemporaryDirectory() as folder:
        path, small = Path(folder) / "rows.jsonl", Path(folder) / "few.jsonl"
        write(path, ROWS)
        write(small, _FEW_ROWS)
        # As the service does it: what the bench holds is not looked through for garbage.
        gc.collect()
        gc.freeze()
        bare, wholes, inside = [], [], []
        for _ in range(_ROUNDS):
            bare.append(processor_seconds(partial(load, path)))
            wholes.append(_whole(path))
            inside.append(processor_seconds(partial(_inside, path)))
        yield _times(f"import {ROWS:,} rows, start-up included", _median(wholes), median(bare))
        yield _times(f"import {ROWS:,} rows, in a running process", median(inside), median(bare))
        more = max(run.peak_bytes for run in wholes) - _whole(small).peak_bytes
        yield Figure(
            f"memory for importing {ROWS:,} rows",
            f"+{megabytes(more)}",
            f"≤ +{megabytes(MOST_BYTES)}",
            more <= MOST_BYTES,
        )


def _whole(file: Path) -> Run:
    with TemporaryDirectory() as data:
        return run_attune("import", str(file), data=Path(data))


def _inside(file: Path) -> None:
    with TemporaryDirectory() as data:
        settings = Settings.model_validate({"ATTUNE_DATA_DIR": data})
        _, tally = asyncio.run(
            import_file(
                settings,
                file,
                workspace=LOCAL,
                assistant=None,
                words=Words("en"),
                options=ImportOptions(),
                confirm=lambda plan: True,
            )
        )
    assert tally.new == ROWS


def _median(runs: Iterable[Run]) -> float:
    return median(run.processor_seconds for run in runs)


def _times(name: str, taken: float, bare: float) -> Figure:
    times = taken / bare
    measured = f"{times:.1f} × json.loads ({taken:.1f} s)"
    return Figure(name, measured, f"≤ {MOST_TIMES} ×", times <= MOST_TIMES)
