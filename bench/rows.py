"""Checking 100,000 rows, compared with a bare loop of json.loads over the same file."""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.figures import Figure, interleaved, told
from bot.rows import Method, check_rows, read_lines

Messages = list[dict[str, object]]
Row = dict[str, object]

ROWS = 100_000
MAX_TIMES = 4

_ROUNDS = 5
_BLOCK_BYTES = 1 << 16
_WORDS = ("the", "team", "answers", "every", "question", "in", "its", "voice,", "kindly", "— merci")
_FUNCTION = {"name": "look_up", "arguments": '{"order": 7}'}
_TOOL_CALL_MESSAGES = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call_1", "type": "function", "function": _FUNCTION}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "It left on Monday."},
]
_TOOL = {
    "name": "look_up",
    "description": "Finds an order.",
    "parameters": {"type": "object", "properties": {"order": {"type": "integer"}}},
}


def plain(messages: Messages) -> Row:
    return {"messages": messages}


def _with_weight(messages: Messages) -> Row:
    return {"messages": [*messages[:-1], {**messages[-1], "weight": 1}]}


def _with_name(messages: Messages) -> Row:
    return {"messages": [*messages[:-1], {**messages[-1], "name": "ann"}]}


def _with_tool_calls(messages: Messages) -> Row:
    """Adds tool calls, which are checked rule by rule instead of by the fast path."""
    tools = [{"type": "function", "function": _TOOL}]
    return {"messages": [*messages[:-1], *_TOOL_CALL_MESSAGES, messages[-1]], "tools": tools}


_KINDS = {
    "plain rows": plain,
    "rows with weights": _with_weight,
    "rows with names": _with_name,
    "rows with tools": _with_tool_calls,
}


def measure() -> Iterable[Figure]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        for kind, shape in _KINDS.items():
            write(path, ROWS, shape)
            yield _ratio_figure(f"check {ROWS:,} {kind}", path)
        yield told(f"memory for checking {ROWS:,} rows", f"{_peak_bytes(path) / 1e6:.1f} MB")


def write(path: Path, rows: int, shape: Callable[[Messages], Row] = plain) -> None:
    """Writes rows of a system message, a question and an answer, transformed by `shape`."""
    generator = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        for _ in range(rows):
            texts = [" ".join(generator.choices(_WORDS, k=n)) for n in (8, 15, 40)]
            messages: Messages = [
                {"role": role, "content": text}
                for role, text in zip(("system", "user", "assistant"), texts, strict=True)
            ]
            file.write(json.dumps(shape(messages), ensure_ascii=False) + "\n")


def load(path: Path) -> None:
    """Parses each line as JSON, as the baseline."""
    with path.open("rb") as file:
        for line in file:
            json.loads(line)


def _ratio_figure(name: str, path: Path) -> Figure:
    bare, checked = interleaved(partial(load, path), partial(_check, path), rounds=_ROUNDS)
    ratio = checked / bare
    measured = f"{ratio:.1f} × json.loads ({checked:.2f} s)"
    return Figure(name, measured, f"≤ {MAX_TIMES} ×", ratio <= MAX_TIMES)


def _check(path: Path) -> None:
    for _, row in check_rows(read_lines(_blocks(path)), Method.SUPERVISED):
        assert isinstance(row, dict)


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(partial(file.read, _BLOCK_BYTES), b"")


def _peak_bytes(path: Path) -> int:
    tracemalloc.start()
    try:
        _check(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
