"""A measurement beside its goal, and the ways to take one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time

NO_GOAL = "—"


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    measured: str
    goal: str
    is_met: bool


def told(name: str, measured: str) -> Figure:
    """A figure that is worth knowing and has no goal."""
    return Figure(name, measured, NO_GOAL, is_met=True)


def seconds(act: Callable[[], object]) -> float:
    start = perf_counter()
    act()
    return perf_counter() - start


def processor_seconds(act: Callable[[], object]) -> float:
    """For ratios: on a shared machine the clock on the wall tells of the neighbours."""
    start = process_time()
    act()
    return process_time() - start


def interleaved(*acts: Callable[[], object], rounds: int) -> list[float]:
    """The median processor seconds of each act; a busy moment meets all of them."""
    taken = [[processor_seconds(act) for act in acts] for _ in range(rounds)]
    return [median(times) for times in zip(*taken, strict=True)]


async def interleaved_results(
    *acts: Callable[[], Awaitable[float]], rounds: int, pause: float
) -> list[float]:
    """The median of what each act says; between two acts the machine comes to rest."""
    said: list[list[float]] = []
    for _ in range(rounds):
        results = []
        for act in acts:
            results.append(await act())
            await asyncio.sleep(pause)
        said.append(results)
    return [median(results) for results in zip(*said, strict=True)]
