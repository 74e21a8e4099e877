"""Start-up time of commands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.figures import Figure, told
from bench.processes import run_attune

_ROUNDS = 5


def measure() -> Iterable[Figure]:
    yield told("attune --help", f"{_median_seconds('--help'):.2f} s")
    yield told("attune chat on an empty folder, there and back", f"{_median_seconds('chat'):.2f} s")


def _median_seconds(word: str) -> float:
    return median(_seconds(word) for _ in range(_ROUNDS))


def _seconds(word: str) -> float:
    with TemporaryDirectory() as data:
        return run_attune(word, data=Path(data)).seconds
