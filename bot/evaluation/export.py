"""Exports every answer of an evaluation with its scores as a CSV or JSONL file."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping

from bot.commands import Handlers
from bot.domain import Contender, Evaluation, EvaluationAnswer, EvaluationQuestion, Role
from bot.errors import deserialize
from bot.evaluation.cards import visible_evaluation
from bot.evaluation.planning import answered_pages, prompt_and_reference
from bot.evaluation.report import missing_answer_reason
from bot.example_files import csv_line
from bot.ports.dependencies import Dependencies
from bot.ports.store import Store
from bot.replies import Document, Reply
from bot.request import Request
from bot.words import Words

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
    *("missing", "why", "answer", *_SCORES),
    *("prompt_tokens", "completion_tokens", "first_text_seconds"),
)


@handlers.button("evaluation.export", Role.CURATOR)
async def export_answers(request: Request, deps: Dependencies) -> Reply:
    """Returns a file with a row for each question and model, named by `ID.csv` or `ID.jsonl`."""
    number, _, ending = request.argument.partition(".")
    async with deps.store.reading() as records:
        evaluation = await visible_evaluation(request, number, records)
    rows = _rows(evaluation, deps.store, request.words)
    is_csv = ending == "csv"
    name = f"evaluation-{evaluation.id}.{'csv' if is_csv else 'jsonl'}"
    return Document(name, _csv(rows) if is_csv else _jsonl(rows), request.words("evaluation.file"))


async def _rows(
    evaluation: Evaluation, store: Store, words: Words
) -> AsyncIterator[Mapping[str, object]]:
    async for page, answers in answered_pages(store, evaluation):
        answers_by_key = {(answer.number, answer.contender): answer for answer in answers}
        for question in page:
            for index, contender in enumerate(evaluation.contenders):
                yield _row(contender, question, answers_by_key.get((question.number, index)), words)


def _row(
    contender: Contender,
    question: EvaluationQuestion,
    answer: EvaluationAnswer | None,
    words: Words,
) -> Mapping[str, object]:
    """Returns a row; `missing` is a value of `missing_answer_reason`, `why` the error in words."""
    pair = prompt_and_reference(question.row, "")
    trouble = deserialize(answer.error) if answer else None
    scores = answer.scores if answer else {}
    values = (
        question.number,
        question.example,
        question.is_must_answer,
        pair[0][-1]["content"] if pair else "",
        pair[1] if pair else "",
        contender.kind.value,
        contender.model,
        answer.state.value if answer else "",
        missing_answer_reason(answer),
        words.error_text_without_host_message(trouble) if trouble else "",
        answer.text if answer else "",
        *(scores.get(name) for name in _SCORES),
        answer.prompt_tokens if answer else None,
        answer.completion_tokens if answer else None,
        answer.first_text_seconds if answer else None,
    )
    return dict(zip(_COLUMNS, values, strict=True))


async def _csv(rows: AsyncIterator[Mapping[str, object]]) -> AsyncIterator[bytes]:
    yield csv_line(_COLUMNS)
    async for row in rows:
        yield csv_line(["" if value is None else str(value) for value in row.values()])


async def _jsonl(rows: AsyncIterator[Mapping[str, object]]) -> AsyncIterator[bytes]:
    async for row in rows:
        yield json.dumps(row, ensure_ascii=False).encode() + b"\n"
