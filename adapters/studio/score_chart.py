"""Draws the scores of several models with their intervals, as a chart and as text."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from adapters.studio.page_session import PageSession
from adapters.studio.reply_drawing import facts_by_name
from adapters.studio.safe_html import quoted_prop
from bot.replies import Listing

Score = tuple[str, float, float, float]
"""A model's name, its mean score, and the low and high end of the score's interval."""

_LINE = 34
"""Height in pixels for each model."""


def draw_scores(session: PageSession, measures: Listing) -> None:
    """Draws a point and an interval for each row with scores, and all measures, folded."""
    say, scores = session.translate, scores_of(measures)
    with ui.element("section").classes("card plain"):
        title = say("studio.scores")
        ui.label(title).classes("card-title").props("role=heading aria-level=2")
        if scores:
            sentence = "; ".join(
                say("studio.score_of", name=name, mean=f"{m:.2f}", low=f"{a:.2f}", high=f"{b:.2f}")
                for name, m, a, b in scores
            )
            chart = ui.echart(_options(scores, title)).classes("chart")
            chart.style(f"height: {50 + _LINE * len(scores)}px")
            chart.props(f"role=img aria-label={quoted_prop(f'{title}. {sentence}')}")
            ui.label(sentence).classes("fine")
        with ui.element("details").classes("measures"):
            with ui.element("summary"):
                ui.label(measures.title)
            for line in measures.lines:
                ui.label(line.text).classes("measure-who")
                ui.label(line.note).classes("fine")


def scores_of(measures: Listing) -> list[Score]:
    """Returns the scores of the rows that have some."""
    scores: list[Score] = []
    for line in measures.lines:
        facts = facts_by_name(line)
        if "mean" in facts:
            mean, low, high = (float(facts[name]) for name in ("mean", "low", "high"))
            scores.append((line.text, mean, low, high))
    return scores


def _options(scores: list[Score], title: str) -> dict[str, Any]:
    """Returns the ECharts options: a transparent bar, the interval stacked on it, and the mean."""
    shown = list(reversed(scores))
    plain = {"color": "#8a8f9c", "fontSize": 11}
    return {
        "animation": False,
        "grid": {"left": 8, "right": 24, "top": 6, "bottom": 6, "containLabel": True},
        "xAxis": {"type": "value", "min": 0, "max": 1, "axisLabel": plain},
        "yAxis": {
            "type": "category",
            "data": [name for name, *_ in shown],
            "axisLabel": {**plain, "width": 150, "overflow": "truncate"},
            "axisTick": {"show": False},
        },
        "tooltip": {"trigger": "item", "confine": True},
        "aria": {"enabled": True, "label": {"description": title}},
        "series": [
            {
                "type": "bar",
                "stack": "interval",
                "silent": True,
                "itemStyle": {"color": "transparent"},
                "data": [low for *_, low, _ in shown],
            },
            {
                "type": "bar",
                "stack": "interval",
                "silent": True,
                "barWidth": 10,
                "itemStyle": {"color": "rgba(92,107,192,.45)", "borderRadius": 5},
                "data": [round(high - low, 4) for *_, low, high in shown],
            },
            {
                "type": "scatter",
                "symbolSize": 11,
                "itemStyle": {"color": "#3f51b5"},
                "data": [mean for _, mean, *_ in shown],
            },
        ],
    }
