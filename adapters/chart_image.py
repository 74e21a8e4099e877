"""Renders a chart as a PNG for surfaces that show only images; imports matplotlib on first use."""

from __future__ import annotations

import asyncio
import io
from math import isfinite

from bot.replies import Card, Chart, Drawn

_INK, _SOFT = "#1f2937", "#e5e7eb"
_COLOURS = ("#2563eb", "#f59e0b", "#10b981", "#ef4444")


async def draw_reply_chart(reply: Drawn) -> bytes | None:
    """Returns the chart of a card as a PNG, drawn in a thread; None without a chart."""
    if not isinstance(reply, Card) or reply.chart is None:
        return None
    return await asyncio.to_thread(draw_chart, reply.chart)


def draw_chart(chart: Chart) -> bytes:
    """Returns the chart as a PNG; blocks, so call it in a thread."""
    # Without pyplot, which has global state and is not thread-safe.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.2), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for series, colour in zip(chart.series, _COLOURS, strict=False):
        points = [(x, y) for x, y in series.points if isfinite(x) and isfinite(y)]
        xs, ys = [x for x, _ in points], [y for _, y in points]
        marker = "o" if len(points) < 40 else ""
        axes.plot(xs, ys, color=colour, linewidth=2, marker=marker, markersize=4, label=series.name)
    axes.set_title(chart.title, loc="left", color=_INK, fontsize=13)
    axes.set_xlabel(chart.x_label, color=_INK)
    axes.grid(color=_SOFT, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if len(chart.series) > 1:
        axes.legend(frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()
