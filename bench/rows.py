"""Checking 100,000 rows, beside a bare loop of json.loads over the same file."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure, interleaved, told
from bot.rows import Method, check_rows, read_lines

ROWS = 100_000
MOST_TIMES = 4

_ROUNDS = 5
_BLOCK_BYTES = 1 << 16
_WORDS = ("the", "team", "answers", "every", "question", "in", "its", "voice,", "kindly", "— merci")
_KINDS: dict[str, dict[str, object]] = {
    "plain rows": {},
    "rows with weights": {"weight": 1},
    "rows with names, which take the slow path": {"name": "ann"},
}


def measure() -> Iterable[Figure]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        for kind, extra in _KINDS.items():
            write(path, ROWS, extra)
            yield _beside_bare(f"check {ROWS:,} {kind}", path)
        yield told(f"memory for checking {ROWS:,} rows", f"{_peak(path) / 1e6:.1f} MB")


def write(path: Path, rows: int, extra: dict[str, object] | None = None) -> None:
    """Rows of three messages, the last with something extra."""
    dice = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            texts = [" ".join(dice.choices(_WORDS, k=n)) for n in (8, 15, 40)]
            messages: list[dict[str, object]] = [
                {"role": role, "content": text}
                for role, text in zip(("system", "user", "assistant"), texts, strict=True)
            ]
            messages[-1] |= extra or {}
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def load(path: Path) -> None:
    """The baseline: what nobody can do without."""
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def _beside_bare(name: str, path: Path) -> Figure:
    bare, checked = interleaved(partial(load, path), partial(_check, path), rounds=_ROUNDS)
    times = checked / bare
    measured = f"{times:.1f} × json.loads ({checked:.2f} s)"
    return Figure(name, measured, f"≤ {MOST_TIMES} ×", times <= MOST_TIMES)


def _check(path: Path) -> None:
    for _, row in check_rows(read_lines(_blocks(path)), Method.SUPERVISED):
        assert isinstance(row, dict)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(partial(file.read, _BLOCK_BYTES), b"")


def _peak(path: Path) -> int:
    tracemalloc.start()
    try:
        _check(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
