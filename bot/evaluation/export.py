"""Every answer of an evaluation as a file, to be reckoned anew by other programs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

from bot.commands import Handlers
from bot.datasets import csv_line
from bot.domain import Evaluation, EvaluationAnswer, EvaluationQuestion, Role
from bot.evaluation.cards import visible_evaluation
from bot.evaluation.questions import answered_pages, exchange
from bot.ports.dependencies import Dependencies
from bot.ports.store import Store
from bot.replies import Document, Reply
from bot.request import Request

handlers = Handlers()

_SCORES = (
    "score",
    "exact",
    "chrf",
    "facts_found",
    "facts",
    "json",
    "length",
    "language",
    "refusal",
)
_COLUMNS = (
    *("question", "example", "must_answer", "asked", "taught", "contender", "model", "state"),
    *("answer", *_SCORES, "prompt_tokens", "completion_tokens", "first_text_seconds"),
)


@handlers.button("evaluation.export", Role.CURATOR)
async def export(request: Request, deps: Dependencies) -> Reply:
    """A row for each answer; `ID.csv` or, a line of JSON each, `ID.jsonl`."""
    named, _, ending = request.argument.partition(".")
    async with deps.store.reading() as records:
        evaluation = await visible_evaluation(request, named, records)
    rows = _rows(evaluation, deps.store)
    is_csv = ending == "csv"
    name = f"evaluation-{evaluation.id}.{'csv' if is_csv else 'jsonl'}"
    return Document(name, _csv(rows) if is_csv else _jsonl(rows), request.words("evaluation.file"))


async def _rows(evaluation: Evaluation, store: Store) -> AsyncIterator[Mapping[str, object]]:
    async for asked, answers in answered_pages(store, evaluation):
        by_number = {question.number: question for question in asked}
        for answer in answers:
            yield _row(evaluation, by_number[answer.number], answer)


def _row(
    evaluation: Evaluation, question: EvaluationQuestion, answer: EvaluationAnswer
) -> Mapping[str, object]:
    who, pair = evaluation.contenders[answer.contender], exchange(question.row, "")
    values = (
        question.number,
        question.example,
        question.is_must_answer,
        pair[0][-1]["content"] if pair else "",
        pair[1] if pair else "",
        who.kind.value,
        who.model,
        answer.state.value,
        answer.text,
        *(answer.scores.get(name) for name in _SCORES),
        answer.prompt_tokens,
        answer.completion_tokens,
        answer.first_text_seconds,
    )
    return dict(zip(_COLUMNS, values, strict=True))


async def _csv(rows: AsyncIterator[Mapping[str, object]]) -> AsyncIterator[bytes]:
    yield csv_line(_COLUMNS)
    async for row in rows:
        yield csv_line(["" if value is None else str(value) for value in row.values()])


async def _jsonl(rows: AsyncIterator[Mapping[str, object]]) -> AsyncIterator[bytes]:
    async for row in rows:
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"
