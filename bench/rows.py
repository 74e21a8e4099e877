"""Checking 100,000 rows, beside a bare loop of json.loads over the same file."""

import json
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

from bot.rows import Method, check_rows, read_lines

ROWS = 100_000
ROUNDS = 5
_BLOCK_BYTES = 1 << 16
_WORDS = "the team answers every question in its own warm voice, briefly and kindly — merci".split()


def measure() -> Iterable[tuple[str, str]]:
    """Yield each measurement's name with its figure."""
    with TemporaryDirectory() as folder:
        for name, extra in (("plain rows", {}), ("rows with weights", {"weight": 1})):
            path = Path(folder) / "rows.jsonl"
            _write(path, ROWS, extra)
            yield f"checking {ROWS:,} {name}", _ratio(path)
            yield f"  … read line by line instead of in blocks", _ratio(path, _lines)
        small = Path(folder) / "small.jsonl"
        _write(small, ROWS // 10, {})
        _write(path, ROWS, {})
        yield "memory at most", f"{_peak(path):,} bytes ({_peak(small):,} for a tenth of the rows)"


def _write(path: Path, rows: int, extra: dict[str, object]) -> None:
    dice = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            texts = [" ".join(dice.choices(_WORDS, k=n)) for n in (8, 15, 40)]
            messages: list[dict[str, object]] = [
                {"role": role, "content": text}
                for role, text in zip(("system", "user", "assistant"), texts, strict=True)
            ]
            messages[-1] |= extra
            file.write(json.dumps({"messages": messages}, ensure_ascii=False) + "\n")


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(partial(file.read, _BLOCK_BYTES), b"")


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from file


def _ratio(path: Path, chunks_of: Callable[[Path], Iterator[bytes]] = _blocks) -> str:
    checked, bare = [], []
    for _ in range(ROUNDS):
        bare.append(_seconds(partial(_load, path)))
        checked.append(_seconds(partial(_check, path, chunks_of)))
    ratio = median(checked) / median(bare)
    return f"{ratio:.2f} x bare json.loads ({median(checked):.2f} s : {median(bare):.2f} s)"


def _seconds(act: Callable[[], None]) -> float:
    start = perf_counter()
    act()
    return perf_counter() - start


def _load(path: Path) -> None:
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def _check(path: Path, chunks_of: Callable[[Path], Iterator[bytes]] = _blocks) -> None:
    for _, row in check_rows(read_lines(chunks_of(path)), Method.SUPERVISED):
        assert isinstance(row, dict)


def _peak(path: Path) -> int:
    tracemalloc.start()
    try:
        _check(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


if __name__ == "__main__":
    for name, figure in measure():
        print(f"{name}: {figure}")
