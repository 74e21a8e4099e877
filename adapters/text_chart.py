"""Renders a chart as lines of text, for surfaces that show only text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean

from bot.replies import Chart, Series

SERIES_MARKS = ("*", "o")
_LABEL_WIDTH = 8


@dataclass(frozen=True, slots=True)
class _Span:
    """The range of the values along an axis; `high` is greater than `low`."""

    low: float
    high: float

    def cell(self, value: float, cells: int) -> int:
        return round((value - self.low) / (self.high - self.low) * (cells - 1))


def plot_lines(chart: Chart, *, width: int = 60, height: int = 10) -> list[str]:
    """Returns the lines of a chart with its first two series, including axes and labels.

    `width` and `height` are in characters. Empty if no point is finite.
    """
    lines = [_finite(series) for series in chart.series[: len(SERIES_MARKS)]]
    if not any(lines):
        return []
    x_span = _span(x for line in lines for x, _ in line)
    y_span = _span(y for line in lines for _, y in line)
    rows = height - 2
    labels = _labels(y_span, rows)
    margin = max(map(len, labels))
    columns = width - margin - 2
    canvas = [[" "] * columns for _ in range(rows)]
    for mark, line in zip(SERIES_MARKS, lines, strict=False):
        _draw_line(canvas, line, mark, x_span, y_span)
    plotted = [
        f"{label:>{margin}} {'┤' if label else '│'}{''.join(row)}".rstrip()
        for label, row in zip(labels, canvas, strict=True)
    ]
    indent = " " * (margin + 1)
    return [*plotted, f"{indent}└{'─' * columns}", _x_axis(chart, x_span, columns, indent)]


def legend(chart: Chart) -> str:
    """Returns the names of the series with their marks."""
    return "  ".join(
        f"{mark} {series.name}" for mark, series in zip(SERIES_MARKS, chart.series, strict=False)
    )


def _finite(series: Series) -> list[tuple[float, float]]:
    return [(x, y) for x, y in series.points if isfinite(x) and isfinite(y)]


def _span(values: Iterable[float]) -> _Span:
    finite = list(values)
    low, high = min(finite), max(finite)
    # A range of equal values is widened, as its length is a divisor.
    slack = 0.5 * (abs(low) or 1.0) if low == high else 0.0
    return _Span(low - slack, high + slack)


def _labels(y_span: _Span, rows: int) -> list[str]:
    labels = [""] * rows
    for row in (0, rows // 2, rows - 1):
        value = y_span.high - (y_span.high - y_span.low) * row / (rows - 1)
        labels[row] = f"{value:.3g}"[:_LABEL_WIDTH]
    return labels


def _draw_line(
    canvas: list[list[str]],
    line: Sequence[tuple[float, float]],
    mark: str,
    x_span: _Span,
    y_span: _Span,
) -> None:
    """Draws the mean of the points in each column of the canvas."""
    heights: dict[int, list[float]] = {}
    for x, y in line:
        heights.setdefault(x_span.cell(x, len(canvas[0])), []).append(y)
    for column, values in heights.items():
        canvas[-1 - y_span.cell(fmean(values), len(canvas))][column] = mark


def _x_axis(chart: Chart, x_span: _Span, columns: int, indent: str) -> str:
    low, high = f"{x_span.low:g}", f"{x_span.high:g}"
    middle = columns - len(low) - len(high)
    return f"{indent} {low}{chart.x_label[: middle - 2].center(middle)}{high}"
