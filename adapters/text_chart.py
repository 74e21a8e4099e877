"""A chart as a few lines of text, for places that cannot draw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from bot.replies import Chart, Series

MARKS = ("*", "o")
_LABEL_WIDTH = 8


@dataclass(frozen=True, slots=True)
class _Span:
    """The values along one axis; never empty."""

    low: float
    high: float

    def cell(self, value: float, cells: int) -> int:
        return round((value - self.low) / (self.high - self.low) * (cells - 1))


def plot(chart: Chart, *, width: int = 60, height: int = 10) -> list[str]:
    """The first two series within so many characters, axes and labels included.

    Empty when there is no finite point to show.
    """
    lines = [_finite(series) for series in chart.series[: len(MARKS)]]
    if not any(lines):
        return []
    across = _span(x for line in lines for x, _ in line)
    up = _span(y for line in lines for _, y in line)
    rows = height - 2
    labels = _labels(up, rows)
    margin = max(map(len, labels))
    columns = width - margin - 2
    canvas = [[" "] * columns for _ in range(rows)]
    for mark, line in zip(MARKS, lines, strict=False):
        _mark(canvas, line, mark, across, up)
    drawn = [
        f"{label:>{margin}} {'┤' if label else '│'}{''.join(row)}".rstrip()
        for label, row in zip(labels, canvas, strict=True)
    ]
    indent = " " * (margin + 1)
    return [*drawn, f"{indent}└{'─' * columns}", _x_axis(chart, across, columns, indent)]


def legend(chart: Chart) -> str:
    """Which mark is which series."""
    return "  ".join(
        f"{mark} {series.name}" for mark, series in zip(MARKS, chart.series, strict=False)
    )


def _finite(series: Series) -> list[tuple[float, float]]:
    return [(x, y) for x, y in series.points if isfinite(x) and isfinite(y)]


def _span(values: Iterable[float]) -> _Span:
    found = list(values)
    low, high = min(found), max(found)
    # One point, or equal ones, would leave nothing to divide by.
    slack = 0.5 * (abs(low) or 1.0) if low == high else 0.0
    return _Span(low - slack, high + slack)


def _labels(up: _Span, rows: int) -> list[str]:
    labels = [""] * rows
    for row in (0, rows // 2, rows - 1):
        value = up.high - (up.high - up.low) * row / (rows - 1)
        labels[row] = f"{value:.3g}"[:_LABEL_WIDTH]
    return labels


def _mark(
    canvas: list[list[str]],
    line: Sequence[tuple[float, float]],
    mark: str,
    across: _Span,
    up: _Span,
) -> None:
    heights: dict[int, list[float]] = {}
    for x, y in line:
        heights.setdefault(across.cell(x, len(canvas[0])), []).append(y)
    for column, values in heights.items():
        canvas[-1 - up.cell(fmean(values), len(canvas))][column] = mark


def _x_axis(chart: Chart, across: _Span, columns: int, indent: str) -> str:
    low, high = f"{across.low:g}", f"{across.high:g}"
    middle = columns - len(low) - len(high)
    return f"{indent} {low}{chart.x_label[: middle - 2].center(middle)}{high}"
