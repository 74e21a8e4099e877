"""The dashboard: what was asked, liked and refused in four weeks, by which model, at what cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta

from bot.commands import Handlers
from bot.domain import DailyAnswers, ModelName, Role
from bot.ports.dependencies import Dependencies
from bot.ports.provider import Hosts
from bot.replies import Card, Chart, Fact, Reply, Series
from bot.request import Request
from bot.significance import wilson
from bot.words import Words

handlers = Handlers()

_DAYS = 28
_SUMS = ("answered", "liked", "disliked", "refused")
_MODELS = 5


@handlers.button("dashboard", Role.CURATOR, is_for_pages=True)
async def dashboard(request: Request, deps: Dependencies) -> Reply:
    """Sums of the last 28 days, today among them, and a line a day."""
    today, words = request.now.date(), request.words
    since = request.now.replace(hour=0, minute=0, second=0, microsecond=0)
    async with deps.store.reading() as records:
        found = await records.answer_stats.daily(
            request.workspace_id, request.assistant.id, since=since - timedelta(days=_DAYS - 1)
        )
        models = await records.models.all(request.workspace_id, request.assistant.id)
    names = {model.name: model.display_name for model in models}
    if not found:
        return Card(words("dashboard.title"), (words("dashboard.empty"),))
    return Card(
        words("dashboard.title"),
        facts=tuple(_facts(found, names, deps.hosts, words)),
        chart=_chart(found, today, words),
    )


def _facts(
    found: Sequence[DailyAnswers], names: Mapping[ModelName, str], hosts: Hosts, words: Words
) -> Iterator[Fact]:
    total = {name: sum(getattr(one, name) for one in found) for name in _SUMS}
    yield Fact(words("dashboard.answered"), f"{total['answered']:,}", "answered")
    rated = total["liked"] + total["disliked"]
    shares = (("liked", rated), ("disliked", rated), ("refused", total["answered"]))
    for name, of in shares:
        yield Fact(words(f"dashboard.{name}"), _share(total[name], of), name)
    by_model = Counter[ModelName]()
    for one in found:
        by_model[one.model] += one.answered
    for model, count in by_model.most_common(_MODELS):
        label = words("dashboard.share", model=names.get(model, model))
        yield Fact(label, _share(count, total["answered"]), f"share.{model}")
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in found)
    cost = words("dashboard.tokens", tokens=f"{tokens:,}", price=words.price(_price(found, hosts)))
    yield Fact(words("dashboard.cost"), cost, "cost")


def _share(count: int, total: int) -> str:
    """As `12 of 20, 39–78 %`: the interval says how much chance is in it."""
    if total == 0:
        return "0"
    found = wilson(count, total)
    return f"{count:,} / {total:,} ({100 * found.low:.0f}–{100 * found.high:.0f} %)"


def _price(found: Sequence[DailyAnswers], hosts: Hosts) -> float | None:
    """US dollars; None where the price of one of the models is not known."""
    total = 0.0
    for one in found:
        if one.host not in hosts.names():
            return None
        price = hosts.get(one.host).price(one.model)
        if price.prompt is None or price.completion is None:
            return None
        total += one.prompt_tokens * price.prompt + one.completion_tokens * price.completion
    return total / 1_000_000


def _chart(found: Sequence[DailyAnswers], today: date, words: Words) -> Chart:
    """A point for every day, also those on which nothing was asked; today is 0."""
    days = [today - timedelta(days=back) for back in range(_DAYS - 1, -1, -1)]
    series = []
    for name in _SUMS:
        by_day = Counter[date]()
        for one in found:
            by_day[one.day] += getattr(one, name)
        points = [(float((day - today).days), float(by_day[day])) for day in days]
        series.append(Series(words(f"dashboard.{name}"), points))
    title = words("dashboard.title")
    return Chart(title, words("dashboard.days"), series, words("dashboard.note"))
