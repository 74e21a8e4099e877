"""How long a person waits for the first sign of life."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from bench.figures import Figure, told
from bench.processes import run_attune

_ROUNDS = 5


def measure() -> Iterable[Figure]:
    yield told("attune --help", f"{_taken('--help'):.2f} s")
    yield told("attune chat on an empty folder, there and back", f"{_taken('chat'):.2f} s")


def _taken(word: str) -> float:
    return median(_once(word) for _ in range(_ROUNDS))


def _once(word: str) -> float:
    with TemporaryDirectory() as data:
        return run_attune(word, data=Path(data)).seconds
