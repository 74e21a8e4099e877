"""Builds the ECharts options of a chart in the studio's colours."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from typing import Any

from bot.replies import Chart

_COLOURS = ("#5c6bc0", "#26a69a", "#f06292", "#ffa726")
_MAX_POINTS = 600


def chart_options(chart: Chart, *, can_zoom: bool = False) -> dict[str, Any]:
    """Returns ECharts options: a line per series; one of 12 points or fewer has point symbols."""
    settings: dict[str, Any] = {
        "animation": False,
        "color": list(_COLOURS),
        "textStyle": {"fontFamily": "inherit"},
        "grid": {"left": 8, "right": 18, "top": 30, "bottom": 40 if can_zoom else 8}
        | {"containLabel": True},
        "legend": {"top": 0, "right": 0, "icon": "roundRect", "itemWidth": 12, "itemHeight": 4}
        | {"textStyle": {"color": "#8a8f9c", "fontSize": 11}},
        "tooltip": {"trigger": "axis", "confine": True},
        "xAxis": _axis() | {"splitLine": {"show": False}, "min": "dataMin", "max": "dataMax"},
        "yAxis": _axis() | {"scale": True},
        "series": [_line(series.name, _thinned(series.points)) for series in chart.series],
        "aria": {"enabled": True, "label": {"description": f"{chart.title}. {chart.summary}"}},
    }
    if can_zoom:
        settings["dataZoom"] = [{"type": "inside"}, {"type": "slider", "height": 18, "bottom": 6}]
    return settings


def _axis() -> dict[str, Any]:
    return {
        "type": "value",
        "axisLabel": {"color": "#8a8f9c", "fontSize": 11},
        "axisLine": {"show": False},
        "axisTick": {"show": False},
        "splitLine": {"lineStyle": {"color": "rgba(128,134,150,.18)"}},
    }


def _line(name: str, points: list[tuple[float, float]]) -> dict[str, Any]:
    return {
        "type": "line",
        "name": name,
        "data": [list(point) for point in points],
        "showSymbol": len(points) <= 12,
        "symbolSize": 7,
        "smooth": 0.15,
        "lineStyle": {"width": 2},
    }


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    listed = [(x, y) for x, y in points if isfinite(x) and isfinite(y)]
    step = max(1, len(listed) // _MAX_POINTS)
    return [*listed[:-1:step], *listed[-1:]]
