"""Time and memory of `attune import` with a file of 100,000 rows."""

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

MAX_TIMES = 20
MAX_BYTES = 50_000_000

_ROUNDS = 3
_FEW_ROWS = 10


def measure() -> Iterable[Figure]:
    with TemporaryDirectory() as folder:
        path, small = Path(folder) / "rows.jsonl", Path(folder) / "few.jsonl"
        write(path, ROWS)
        write(small, _FEW_ROWS)
        # As in the service: objects that exist now are not scanned by the garbage collector.
        gc.collect()
        gc.freeze()
        load_times, runs, import_times = [], [], []
        for _ in range(_ROUNDS):
            load_times.append(processor_seconds(partial(load, path)))
            runs.append(_run_import(path))
            import_times.append(processor_seconds(partial(_import_here, path)))
        yield _ratio_figure(
            f"import {ROWS:,} rows, start-up included", _median(runs), median(load_times)
        )
        yield _ratio_figure(
            f"import {ROWS:,} rows, in a running process", median(import_times), median(load_times)
        )
        added_bytes = max(run.peak_bytes for run in runs) - _run_import(small).peak_bytes
        yield Figure(
            f"memory for importing {ROWS:,} rows",
            f"+{megabytes(added_bytes)}",
            f"≤ +{megabytes(MAX_BYTES)}",
            added_bytes <= MAX_BYTES,
        )


def _run_import(file: Path) -> Run:
    with TemporaryDirectory() as data:
        return run_attune("import", str(file), data=Path(data))


def _import_here(file: Path) -> None:
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
                confirm=lambda lines, is_sure: True,
            )
        )
    assert tally.new == ROWS


def _median(runs: Iterable[Run]) -> float:
    return median(run.processor_seconds for run in runs)


def _ratio_figure(name: str, seconds: float, bare: float) -> Figure:
    ratio = seconds / bare
    measured = f"{ratio:.1f} × json.loads ({seconds:.1f} s)"
    return Figure(name, measured, f"≤ {MAX_TIMES} ×", ratio <= MAX_TIMES)
