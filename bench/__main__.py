"""Prints every measurement with its goal: `python -m bench`, or `python -m bench rows idling`.

The exit status is 1 if a goal is missed. Absolute times depend on the machine and its load, so
most measurements are ratios to a bare baseline. `local_training`, `local_serving` and `learning`
need the extra `local` and run only when they are named.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.live import Live
from rich.table import Table

from bench import (
    first_text,
    idling,
    importing,
    learning,
    local_serving,
    local_training,
    on_discord,
    rows,
    scale,
    slack,
    starting,
    studio,
    training,
)
from bench.figures import NO_GOAL, Figure

MODULES = (
    rows,
    importing,
    starting,
    first_text,
    slack,
    on_discord,
    training,
    idling,
    studio,
    scale,
)
WITH_TORCH = (local_training, local_serving, learning)


def main() -> int:
    table = Table("what", "measured", "goal", "")
    missed = 0
    with Live(table, console=Console()):
        for figure in _figures(sys.argv[1:]):
            table.add_row(figure.name, figure.measured, figure.goal, _verdict(figure))
            missed += not figure.is_met
    return 1 if missed else 0


def _figures(chosen: list[str]) -> Iterator[Figure]:
    for module in (*MODULES, *WITH_TORCH):
        is_chosen = module.__name__.removeprefix("bench.") in chosen
        if is_chosen or (not chosen and module in MODULES):
            yield from module.measure()


def _verdict(figure: Figure) -> str:
    if figure.goal == NO_GOAL:
        return ""
    return "[green]met[/]" if figure.is_met else "[red]missed[/]"


if __name__ == "__main__":
    sys.exit(main())
