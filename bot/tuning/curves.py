"""The measures of a job as charts, and what their shape says."""

from __future__ import annotations

from collections.abc import Sequence

from bot.commands import Handlers
from bot.domain import Role, StepMetrics
from bot.errors import NotNow
from bot.ports.dependencies import Dependencies
from bot.replies import Card, Chart, Reply, Series
from bot.request import Request
from bot.tuning import notices
from bot.words import Words

handlers = Handlers()


_HELD_LOSS = ("full_valid_loss", "valid_loss")
_HELD_ACCURACY = ("full_valid_mean_token_accuracy", "valid_mean_token_accuracy")
_RISEN = 1.05

Points = list[tuple[float, float]]


@handlers.button("job.accuracy", Role.MEMBER)
async def accuracy(ask: Request, deps: Dependencies) -> Reply:
    """How many tokens it guessed right, on rows it learned and on rows held back."""
    async with deps.store.reading() as records:
        job = await records.jobs.get(ask.id, notices.number(ask))
        measures = await records.jobs.measures(ask.id, job.id)
    drawn = accuracies(measures, ask.words)
    if drawn is None:
        raise NotNow(problem=ask.words("job.no_numbers", id=job.id))
    return Card(ask.words("accuracy.title", id=job.id), chart=drawn)


def losses(measures: Sequence[StepMetrics], words: Words) -> Chart | None:
    """Train and validation loss over steps."""
    train = _points(measures, "train_loss")
    if len(train) < 2:
        return None
    summary = words("chart.summary", first=f"{train[0][1]:.2f}", last=f"{train[-1][1]:.2f}")
    series = _series(train, _first_of(measures, _HELD_LOSS), words)
    return Chart(words("chart.title"), words("chart.step"), series, summary)


def accuracies(measures: Sequence[StepMetrics], words: Words) -> Chart | None:
    """The share of tokens guessed right, over steps."""
    train = _points(measures, "train_mean_token_accuracy")
    if len(train) < 2:
        return None
    summary = words("accuracy.summary", first=f"{train[0][1]:.0%}", last=f"{train[-1][1]:.0%}")
    series = _series(train, _first_of(measures, _HELD_ACCURACY), words)
    return Chart(words("accuracy.chart"), words("chart.step"), series, summary)


def is_rising(measures: Sequence[StepMetrics]) -> bool:
    """Validation loss ended clearly above its best: the model learned by heart."""
    held = _first_of(measures, _HELD_LOSS)
    return len(held) >= 3 and held[-1][1] > _RISEN * min(value for _, value in held)


def _series(train: Points, held: Points, words: Words) -> tuple[Series, ...]:
    learned = Series(words("chart.train"), train)
    return (learned, Series(words("chart.validation"), held)) if held else (learned,)


def _first_of(measures: Sequence[StepMetrics], names: Sequence[str]) -> Points:
    """The most telling measure there is; one value over all rows says more than one of a few."""
    found = (_points(measures, name) for name in names)
    return next((points for points in found if points), [])


def _points(measures: Sequence[StepMetrics], name: str) -> Points:
    return [(float(one.step), one.values[name]) for one in measures if name in one.values]
