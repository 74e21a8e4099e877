"""The form and listing of a classifier's metrics for a chosen positive label and betas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot.commands import Handlers
from bot.domain import Evaluation, Role
from bot.errors import BadInput, NotNow
from bot.evaluation.cards import contender_name, visible_evaluation
from bot.evaluation.report import Report, load_report
from bot.option_validation import parse_number
from bot.ports.dependencies import Dependencies
from bot.replies import Field, FieldKind, Form, Listing, ListingRow, Reply
from bot.request import Request
from bot.rows.classification_metrics import ConfusionMatrix, accuracy, label_metrics
from bot.words import Words

handlers = Handlers()

_DEFAULT_BETAS = "0.5, 1, 2"
_MAX_BETAS = 10


@handlers.button("evaluation.labels", Role.MEMBER, opens_form=True)
async def choose_positive_label(request: Request, deps: Dependencies) -> Reply:
    """Returns the form for the positive label and the betas of F-beta."""
    _, result = await _report(request, deps)
    words = request.words
    labels = tuple((label, label) for label in _labels(result, words))
    return Form(
        id=f"evaluation.labels:{request.argument}",
        title=words("button.labels"),
        fields=(
            Field("positive", words("labels.positive"), FieldKind.CHOICE, choices=labels),
            Field(
                "betas",
                words("labels.betas"),
                value=_DEFAULT_BETAS,
                hint=words("labels.betas.hint"),
            ),
        ),
        submit_label=words("button.measure"),
    )


@handlers.form("evaluation.labels", Role.MEMBER)
async def show_classifier_metrics(request: Request, deps: Dependencies) -> Reply:
    """Returns accuracy, precision, recall, F-beta and the confusion matrix of each model."""
    evaluation, result = await _report(request, deps)
    words, positive = request.words, request.options.get("positive", "")
    if positive not in _labels(result, words):
        raise BadInput(problem=words("labels.unknown", label=positive))
    betas = _betas(request.options.get("betas", ""), words)
    rows = [
        ListingRow("", contender_name(contender, words), line)
        for contender, totals in zip(evaluation.contenders, result.contenders, strict=True)
        if totals.confusion
        for line in _lines(totals.confusion, positive, betas, words)
    ]
    return Listing(words("labels.title", label=positive), tuple(rows), private=True)


async def _report(request: Request, deps: Dependencies) -> tuple[Evaluation, Report]:
    async with deps.store.reading() as records:
        evaluation = await visible_evaluation(request, request.argument, records)
    result = load_report(evaluation.report)
    if result is None:
        raise NotNow(problem=request.words("labels.none"))
    return evaluation, result


def _labels(result: Report, words: Words) -> Sequence[str]:
    confusion = next((totals.confusion for totals in result.contenders if totals.confusion), None)
    if confusion is None:
        raise NotNow(problem=words("labels.none"))
    return list(confusion)


def _betas(text: str, words: Words) -> Sequence[float]:
    """Parses numbers separated by commas. Raises BadInput."""
    parts = [part.strip() for part in text.split(",") if part.strip()] or ["1"]
    if len(parts) > _MAX_BETAS:
        raise BadInput(problem=words("labels.many", most=_MAX_BETAS))
    return [parse_number("betas", part, words, minimum=0.01, maximum=100) for part in parts]


def _lines(
    confusion: ConfusionMatrix, positive: str, betas: Sequence[float], words: Words
) -> Iterator[str]:
    measures = label_metrics(confusion, positive, betas=betas)
    parts = [
        words("evaluation.accuracy", value=f"{accuracy(confusion):.2f}"),
        words("labels.precision", value=f"{measures.precision:.2f}"),
        words("labels.recall", value=f"{measures.recall:.2f}"),
    ]
    parts += [f"F{beta:g} {value:.2f}" for beta, value in measures.f_beta.items()]
    yield " · ".join(parts)
    for label, row in confusion.items():
        answered = ", ".join(f"{other} {count}" for other, count in row.items() if count)
        yield words("labels.row", label=label, answered=answered or "–")
