"""The evaluations page of the studio: list of evaluations, table of one, and score history."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from bot.commands import Handlers
from bot.domain import (
    ALWAYS_TRAIN_TAG,
    MUST_ANSWER_TAG,
    ContenderKind,
    Evaluation,
    EvaluationAnswer,
    EvaluationId,
    EvaluationQuestion,
    EvaluationState,
    ExampleFilter,
    ExampleId,
    QuestionOrder,
    Role,
)
from bot.errors import NotFound
from bot.evaluation import cards, planning, report
from bot.examples import must_answer_tag
from bot.models_in_use import find_display_name
from bot.ports.dependencies import Dependencies
from bot.ports.store import Records
from bot.replies import Card, Chart, Fact, Listing, ListingRow, Reply, Series, Tone
from bot.request import Request
from bot.significance import Verdict
from bot.words import Words

handlers = Handlers()

QUESTIONS_PER_PAGE = 20
_RUNS = 50
_MAX_TEXT_LENGTH = 1000
"""Characters of a text in the table; the card of a question has longer texts."""
_KINDS = (ContenderKind.NEW, ContenderKind.IN_USE, ContenderKind.BASE, ContenderKind.EXAMPLES)


@handlers.button("evaluations", Role.CURATOR, is_for_pages=True)
async def list_evaluations(request: Request, deps: Dependencies) -> Reply:
    """Lists the newest evaluations of the assistant."""
    async with deps.store.reading() as records:
        evaluations = await records.evaluations.page(
            request.workspace_id, assistant=request.assistant.id, limit=_RUNS
        )
        models = {evaluation.model for evaluation in evaluations}
        display_names = {
            model: await find_display_name(records, request.workspace_id, model) for model in models
        }
    names = [display_names[evaluation.model] for evaluation in evaluations]
    rows = tuple(map(partial(_run, request.words), evaluations, names))
    return Listing(request.words("evaluations.title"), rows, request.words("evaluations.empty"))


@handlers.button("evaluations.history", Role.CURATOR, is_for_pages=True)
async def show_score_history(request: Request, deps: Dependencies) -> Reply:
    """Returns a chart of the mean scores over the evaluations."""
    async with deps.store.reading() as records:
        evaluations = await records.evaluations.page(
            request.workspace_id, assistant=request.assistant.id, limit=_RUNS
        )
    words = request.words
    loaded = [
        (evaluation, report.load_report(evaluation.report)) for evaluation in reversed(evaluations)
    ]
    series = tuple(_history(loaded, words))
    chart = Chart(
        words("evaluations.history"),
        words("noun.evaluation"),
        series,
        words("evaluations.history.note"),
    )
    has_line = any(len(line.points) > 1 for line in series)
    return Card(chart.title, chart=chart if has_line else None)


@handlers.button("evaluation.sheet", Role.CURATOR, is_for_pages=True)
async def list_questions_and_answers(request: Request, deps: Dependencies) -> Reply:
    """Lists a page of questions with the answers of all models; the argument is `ID.ORDER.FIRST`.

    The facts of a row are the taught reply and, for contender N, `answer.N` and `score.N`, or
    `state.N` if there is no score.
    """
    number, order, first = _sheet_of(request)
    async with deps.store.reading() as records:
        evaluation = await cards.with_display_names(
            await cards.visible_evaluation(request, str(number), records), records
        )
        page = await records.evaluations.questions_with_answers(
            request.workspace_id,
            evaluation.id,
            order,
            compared_contender=_against(evaluation),
            offset=first,
            limit=QUESTIONS_PER_PAGE,
        )
        marks = await _marks(request, [question.example for question, _ in page], records)
    words = request.words
    rows = tuple(
        _row(question, answers, marks.get(question.example, ""), words)
        for question, answers in page
    )
    title = words("evaluation.title", id=evaluation.id, model=evaluation.model)
    return Listing(
        title,
        rows,
        words("evaluation.no_questions"),
        facts=tuple(
            Fact(cards.contender_name(contender, words), contender.model, f"answer.{index}")
            for index, contender in enumerate(evaluation.contenders)
        ),
        total=evaluation.questions,
    )


async def _marks(
    request: Request, examples: Sequence[ExampleId], records: Records
) -> Mapping[ExampleId, str]:
    """Returns the marks of examples that are always trained on or asked of every new model."""
    marks: dict[ExampleId, str] = {}
    for tag, key in (
        (MUST_ANSWER_TAG, "mark.must_answer"),
        (ALWAYS_TRAIN_TAG, "mark.always_trained"),
    ):
        marked = await records.examples.list_ids(
            request.workspace_id, ExampleFilter(tag=tag), until=request.now, among=examples
        )
        marks |= dict.fromkeys(marked, request.words(key))
    return marks


def _sheet_of(request: Request) -> tuple[EvaluationId, QuestionOrder, int]:
    evaluation_number, _, rest = request.argument.partition(".")
    order, _, first = rest.partition(".")
    if order not in set(QuestionOrder) or not first.isdecimal():
        raise NotFound(noun="evaluation", name=request.argument)
    return cards.parse_evaluation_id(evaluation_number), QuestionOrder(order), int(first)


def _against(evaluation: Evaluation) -> int:
    """Returns the position of the contender that the verdict is about; 0 if there is none."""
    return report.baseline_position(evaluation) or 0


def _run(words: Words, evaluation: Evaluation, name: str) -> ListingRow:
    loaded = report.load_report(evaluation.report)
    is_done = evaluation.state is EvaluationState.DONE and loaded is not None
    verdict = loaded.verdict if loaded else Verdict.UNDECIDED
    state = words(f"verdict.{verdict}") if is_done else words(f"evaluations.{evaluation.state}")
    date = f"{evaluation.created_at:%Y-%m-%d %H:%M}" if evaluation.created_at else ""
    note = words("evaluations.note", count=evaluation.questions, state=state)
    return ListingRow(
        id=str(evaluation.id),
        text=name,
        note=" · ".join([note, *(cards.held_out_loss_lines(loaded, words) if loaded else ())]),
        facts=(
            Fact(words("fact.state"), state, "state"),
            Fact(words("fact.date"), date, "date"),
        ),
        tone=cards.VERDICT_TONES[verdict] if is_done else Tone.BUSY,
    )


def _history(
    loaded: Sequence[tuple[Evaluation, report.Report | None]], words: Words
) -> Iterator[Series]:
    """Yields a line for each kind of contender with scores."""
    for kind in _KINDS:
        points = [
            (float(evaluation.id), mean)
            for evaluation, loaded_report in loaded
            if (mean := _mean(evaluation, loaded_report, kind)) is not None
        ]
        if points:
            yield Series(words(f"evaluations.{kind}"), points)


def _mean(
    evaluation: Evaluation, loaded: report.Report | None, kind: ContenderKind
) -> float | None:
    kinds = [contender.kind for contender in evaluation.contenders]
    if loaded is None or kind not in kinds:
        return None
    return loaded.contenders[kinds.index(kind)].mean


def _row(
    question: EvaluationQuestion, answers: Sequence[EvaluationAnswer], mark: str, words: Words
) -> ListingRow:
    text, taught = planning.question_and_reference(question.row, words)
    return ListingRow(
        id=str(question.number),
        text=text[:_MAX_TEXT_LENGTH],
        note=mark,
        facts=(
            Fact(words("evaluation.taught"), taught[:_MAX_TEXT_LENGTH], "taught"),
            *(fact for answer in answers for fact in _cell(answer, words)),
        ),
        buttons=must_answer_tag.wrong_answer_buttons(question.example, words),
    )


def _cell(answer: EvaluationAnswer, words: Words) -> Iterator[Fact]:
    yield Fact("", answer.text[:_MAX_TEXT_LENGTH], f"answer.{answer.contender}")
    score = answer.scores.get("score")
    if isinstance(score, int | float):
        yield Fact("", f"{score:.2f}", f"score.{answer.contender}")
    else:
        yield Fact("", cards.score_text(answer, words), f"state.{answer.contender}")
