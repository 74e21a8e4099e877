"""A measurement with its goal, and functions that measure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

NO_GOAL = "—"


@dataclass(frozen=True, slots=True)
class Figure:
    """A row of the table."""

    name: str
    measured: str
    goal: str
    is_met: bool


def told(name: str, measured: str) -> Figure:
    """Returns a figure without a goal."""
    return Figure(name, measured, NO_GOAL, is_met=True)


def seconds(act: Callable[[], object]) -> float:
    """Returns the wall-clock seconds of a call."""
    start = perf_counter()
    act()
    return perf_counter() - start


def processor_seconds(act: Callable[[], object]) -> float:
    """Returns the CPU seconds of a call, which other processes affect less than wall-clock time."""
    start = process_time()
    act()
    return process_time() - start


def interleaved(*acts: Callable[[], object], rounds: int) -> list[float]:
    """Returns the median CPU seconds of each function; the functions take turns."""
    times_by_round = [[processor_seconds(act) for act in acts] for _ in range(rounds)]
    return [median(times) for times in zip(*times_by_round, strict=True)]


async def interleaved_results(
    *acts: Callable[[], Awaitable[float]], rounds: int, pause: float
) -> list[float]:
    """Returns the median result of each function; they take turns, with pauses in between."""
    results_by_round: list[list[float]] = []
    for _ in range(rounds):
        results = []
        for act in acts:
            results.append(await act())
            await asyncio.sleep(pause)
        results_by_round.append(results)
    return [median(results) for results in zip(*results_by_round, strict=True)]
