"""A classifier's measures for a positive label and betas of one's own choice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.commands import Handlers
from bot.domain import Evaluation, Role
from bot.errors import BadInput, NotNow
from bot.evaluation.cards import name_of, visible_evaluation
from bot.evaluation.report import Report, load
from bot.option_values import read_number
from bot.ports.dependencies import Dependencies
from bot.replies import Field, FieldKind, Form, Listing, ListingRow, Reply
from bot.request import Request
from bot.rows.classification import Confusion, accuracy, metrics_of
from bot.words import Words

handlers = Handlers()

_USUAL = "0.5, 1, 2"
_MOST_BETAS = 10


@handlers.button("evaluation.labels", Role.MEMBER, opens_form=True)
async def choose(request: Request, deps: Dependencies) -> Reply:
    """Which label counts as found, and how much its recall counts beside its precision."""
    _, found = await _report(request, deps)
    words = request.words
    labels = tuple((label, label) for label in _labels(found, words))
    return Form(
        id=f"evaluation.labels:{request.argument}",
        title=words("button.labels"),
        fields=(
            Field("positive", words("labels.positive"), FieldKind.CHOICE, choices=labels),
            Field("betas", words("labels.betas"), value=_USUAL, hint=words("labels.betas.hint")),
        ),
        submit_label=words("button.measure"),
    )


@handlers.form("evaluation.labels", Role.MEMBER)
async def label_scores(request: Request, deps: Dependencies) -> Reply:
    """Of each model: accuracy, and precision, recall and F-beta of the label, with its table."""
    evaluation, found = await _report(request, deps)
    words, positive = request.words, request.options.get("positive", "")
    if positive not in _labels(found, words):
        raise BadInput(problem=words("labels.unknown", label=positive))
    betas = _betas(request.options.get("betas", ""), words)
    rows = [
        ListingRow("", name_of(who, words), line)
        for who, one in zip(evaluation.contenders, found.contenders, strict=True)
        if one.confusion
        for line in _lines(one.confusion, positive, betas, words)
    ]
    return Listing(words("labels.title", label=positive), tuple(rows), private=True)


async def _report(request: Request, deps: Dependencies) -> tuple[Evaluation, Report]:
    async with deps.store.reading() as records:
        evaluation = await visible_evaluation(request, request.argument, records)
    found = load(evaluation.report)
    if found is None:
        raise NotNow(problem=request.words("labels.none"))
    return evaluation, found


def _labels(found: Report, words: Words) -> Sequence[str]:
    confusion = next((one.confusion for one in found.contenders if one.confusion), None)
    if confusion is None:
        raise NotNow(problem=words("labels.none"))
    return list(confusion)


def _betas(text: str, words: Words) -> Sequence[float]:
    """Several numbers with commas between them. Raises BadInput."""
    parts = [part.strip() for part in text.split(",") if part.strip()] or ["1"]
    if len(parts) > _MOST_BETAS:
        raise BadInput(problem=words("labels.many", most=_MOST_BETAS))
    return [read_number("betas", part, words, least=0.01, most=100) for part in parts]


def _lines(
    confusion: Confusion, positive: str, betas: Sequence[float], words: Words
) -> Iterator[str]:
    measures = metrics_of(confusion, positive, betas=betas)
    said = [
        words("evaluation.accuracy", value=f"{accuracy(confusion):.2f}"),
        words("labels.precision", value=f"{measures.precision:.2f}"),
        words("labels.recall", value=f"{measures.recall:.2f}"),
    ]
    said += [f"F{beta:g} {value:.2f}" for beta, value in measures.f_beta.items()]
    yield " · ".join(said)
    for label, row in confusion.items():
        answered = ", ".join(f"{other} {count}" for other, count in row.items() if count)
        yield words("labels.row", label=label, answered=answered or "–")
