"""The dashboard: answers, votes, refusals, models and cost of the last four weeks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from bot.commands import Handlers
from bot.domain import DailyAnswers, ModelName, Role
from bot.ports.dependencies import Dependencies
from bot.ports.model_hosts import Hosts
from bot.replies import Card, Chart, Fact, Reply, Series
from bot.request import Request
from bot.significance import wilson_interval
from bot.words import Words

handlers = Handlers()

_DAYS = 28
_SUMS = ("answered", "liked", "disliked", "refused")
_MODELS = 5


@handlers.button("dashboard", Role.CURATOR, is_for_pages=True)
async def show_dashboard(request: Request, deps: Dependencies) -> Reply:
    """Shows sums of the last 28 days including today, and a chart with a point a day."""
    today, words = request.now.date(), request.words
    since = request.now.replace(hour=0, minute=0, second=0, microsecond=0)
    async with deps.store.reading() as records:
        stats = await records.answer_stats.daily(
            request.workspace_id, request.assistant.id, since=since - timedelta(days=_DAYS - 1)
        )
        models = await records.models.all(request.workspace_id, request.assistant.id)
    names = {model.name: model.display_name for model in models}
    if not stats:
        return Card(words("dashboard.title"), (words("dashboard.empty"),))
    return Card(
        words("dashboard.title"),
        facts=tuple(_facts(stats, names, deps.hosts, words)),
        chart=_chart(stats, today, words),
    )


def _facts(
    stats: Sequence[DailyAnswers], names: Mapping[ModelName, str], hosts: Hosts, words: Words
) -> Iterator[Fact]:
    total = {name: sum(getattr(day, name) for day in stats) for name in _SUMS}
    yield Fact(words("dashboard.answered"), f"{total['answered']:,}", "answered")
    rated = total["liked"] + total["disliked"]
    shares = (("liked", rated), ("disliked", rated), ("refused", total["answered"]))
    for name, whole in shares:
        yield Fact(words(f"dashboard.{name}"), _share(total[name], whole), name)
    by_model = Counter[ModelName]()
    for day in stats:
        by_model[day.model] += day.answered
    for model, count in by_model.most_common(_MODELS):
        label = words("dashboard.share", model=names.get(model, model))
        yield Fact(label, _share(count, total["answered"]), f"share.{model}")
    tokens = sum(day.prompt_tokens + day.completion_tokens for day in stats)
    cost = words(
        "dashboard.tokens", tokens=f"{tokens:,}", price=words.price_text(_price(stats, hosts))
    )
    yield Fact(words("dashboard.cost"), cost, "cost")


def _share(count: int, total: int) -> str:
    """Returns a share with its Wilson interval, such as "12 / 20 (39–78 %)"."""
    if total == 0:
        return "0"
    interval = wilson_interval(count, total)
    return f"{count:,} / {total:,} ({100 * interval.low:.0f}–{100 * interval.high:.0f} %)"


def _price(stats: Sequence[DailyAnswers], hosts: Hosts) -> float | None:
    """Returns the cost in US dollars, or None if the price of one of the models is unknown."""
    total = 0.0
    for day in stats:
        if day.host not in hosts.names():
            return None
        price = hosts.get(day.host).price(day.model)
        if price.prompt is None or price.completion is None:
            return None
        total += day.prompt_tokens * price.prompt + day.completion_tokens * price.completion
    return total / 1_000_000


def _chart(stats: Sequence[DailyAnswers], today: date, words: Words) -> Chart:
    """Returns a chart with a point for each day; x is the days since today, 0 or negative."""
    days = [today - timedelta(days=back) for back in range(_DAYS - 1, -1, -1)]
    series = []
    for name in _SUMS:
        by_day = Counter[date]()
        for answers in stats:
            by_day[answers.day] += getattr(answers, name)
        points = [(float((day - today).days), float(by_day[day])) for day in days]
        series.append(Series(words(f"dashboard.{name}"), points))
    title = words("dashboard.title")
    return Chart(title, words("dashboard.days"), series, words("dashboard.note"))
