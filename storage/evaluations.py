"""Evaluations: their questions by example and revision, and the answers to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    tuple_,
    update,
)

from bot.database_batches import batched
from bot.domain import (
    JOB_EVALUATION_KEY_PREFIX,
    OPEN_EVALUATION_STATES,
    AnswerState,
    AssistantId,
    Contender,
    ContenderKind,
    Evaluation,
    EvaluationAnswer,
    EvaluationId,
    EvaluationQuestion,
    EvaluationState,
    ExampleId,
    GapQuestion,
    JobId,
    Phase,
    QuestionOrder,
    WorkspaceId,
)
from storage.column_types import row_fields
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection, foreign_key_as_not_found
from storage.evaluation_gaps import EvaluationGaps
from storage.evaluation_tables import evaluation_answers as answers
from storage.evaluation_tables import evaluation_questions as questions
from storage.evaluation_tables import evaluations
from storage.paid_runs import Runs
from storage.tables import evaluation_gaps, examples, jobs, revisions


class Evaluations(Runs[Evaluation]):
    """Repository of evaluations, which are unique by idempotency key."""

    _runs, _kind, _noun = evaluations, Evaluation, "evaluation"
    _parts = (questions, evaluation_gaps)

    async def add(
        self,
        workspace: WorkspaceId,
        run: Evaluation,
        questions_: Sequence[EvaluationQuestion] = (),
        gaps: Sequence[GapQuestion] = (),
    ) -> Evaluation:
        stored, is_new = await self._add(workspace, run)
        if is_new:
            await self.replace_questions(workspace, stored.id, questions_)
            await EvaluationGaps(self._connection).add_calls(workspace, stored.id, gaps)
        return stored

    async def page(
        self,
        workspace: WorkspaceId,
        *,
        assistant: AssistantId | None = None,
        before: EvaluationId | None = None,
        limit: int = 10,
    ) -> Sequence[Evaluation]:
        condition = evaluations.c.workspace == workspace
        condition = and_(condition, evaluations.c.is_vote.is_(False))
        query = select(evaluations).where(
            condition, evaluations.c.state != EvaluationState.ESTIMATED
        )
        if assistant is not None:
            query = query.where(evaluations.c.assistant == assistant)
        if before is not None:
            query = query.where(evaluations.c.id < before)
        rows = await self._connection.fetch_rows(
            query.order_by(evaluations.c.id.desc()), most=limit
        )
        return [_evaluation(row) for row in rows]

    async def find_started_by_job(self, workspace: WorkspaceId, job: JobId) -> Evaluation | None:
        condition = and_(evaluations.c.workspace == workspace, evaluations.c.job == job)
        key = evaluations.c.idempotency_key
        query = select(evaluations).where(condition, key.startswith(JOB_EVALUATION_KEY_PREFIX))
        row = await self._connection.fetch_first(query.limit(1))
        return None if row is None else _evaluation(row)

    async def find_by_idempotency_key(
        self, workspace: WorkspaceId, idempotency_key: str
    ) -> Evaluation | None:
        has_key = evaluations.c.idempotency_key == idempotency_key
        query = select(evaluations).where(evaluations.c.workspace == workspace, has_key)
        row = await self._connection.fetch_first(query)
        return None if row is None else _evaluation(row)

    async def list_open_in_workspace(self, workspace: WorkspaceId) -> Sequence[Evaluation]:
        is_open = evaluations.c.state.in_(OPEN_EVALUATION_STATES)
        query = select(evaluations).where(evaluations.c.workspace == workspace, is_open)
        rows = await self._connection.fetch_all(query, evaluations.c.id)
        return [_evaluation(row) for row in rows]

    async def replace_questions(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        questions_: Sequence[EvaluationQuestion],
    ) -> None:
        if not await self._connection.row_exists(evaluations, workspace, evaluation):
            return
        await self._connection.execute(
            delete(questions).where(questions.c.evaluation == evaluation)
        )
        rows = [
            (
                workspace,
                evaluation,
                question.number,
                question.example,
                question.revision,
                question.is_must_answer,
            )
            for question in questions_
        ]
        with foreign_key_as_not_found("example", "–"):
            await self._connection.insert_many(insert(questions), _QUESTION_COLUMNS, rows)

    async def questions(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        after: int = 0,
        limit: int = 200,
    ) -> Sequence[EvaluationQuestion]:
        query = _with_text(workspace, evaluation).where(questions.c.number > after)
        rows = await self._connection.fetch_rows(query.order_by(questions.c.number), most=limit)
        return [_question(row) for row in rows]

    async def pending_questions(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contender: int, *, limit: int
    ) -> Sequence[EvaluationQuestion]:
        is_asked = exists().where(
            answers.c.evaluation == questions.c.evaluation,
            answers.c.number == questions.c.number,
            answers.c.contender == contender,
        )
        query = _with_text(workspace, evaluation).where(~is_asked)
        rows = await self._connection.fetch_rows(query.order_by(questions.c.number), most=limit)
        return [_question(row) for row in rows]

    async def mark_asked(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        contender: int,
        numbers: Sequence[int],
    ) -> None:
        if not numbers or not await self._connection.row_exists(evaluations, workspace, evaluation):
            return
        rows = [
            {
                "workspace": workspace,
                "evaluation": evaluation,
                "number": number,
                "contender": contender,
                "state": AnswerState.ASKED,
                "text": "",
                "is_refusal": False,
                "scores": {},
                "error": {},
            }
            for number in numbers
        ]
        await self._connection.execute(self._connection.insert(answers).values(rows))

    async def unmark_asked(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contender: int, number: int
    ) -> None:
        condition = _is_asked(workspace, evaluation, [contender])
        await self._connection.execute(delete(answers).where(condition, answers.c.number == number))

    async def put_answer(
        self, workspace: WorkspaceId, evaluation: EvaluationId, answer: EvaluationAnswer
    ) -> None:
        values = {field.name: getattr(answer, field.name) for field in fields(answer)}
        condition = _is_asked(workspace, evaluation, [answer.contender])
        statement = update(answers).where(condition, answers.c.number == answer.number)
        await self._connection.execute(statement.values(values))

    async def mark_outcome_unknown(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contenders: Sequence[int]
    ) -> int:
        condition = _is_asked(workspace, evaluation, contenders)
        statement = update(answers).where(condition).values(state=AnswerState.LOST)
        return await self._connection.execute_counting_rows(statement)

    async def answers(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        after: int = 0,
        until: int | None = None,
    ) -> Sequence[EvaluationAnswer]:
        condition = and_(answers.c.workspace == workspace, answers.c.evaluation == evaluation)
        query = select(*_ANSWER_COLUMNS).where(condition, answers.c.number > after)
        if until is not None:
            query = query.where(answers.c.number <= until)
        rows = await self._connection.fetch_all(query, answers.c.number, answers.c.contender)
        return [EvaluationAnswer(**row._asdict()) for row in rows]

    async def questions_with_answers(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        order: QuestionOrder,
        *,
        compared_contender: int = 0,
        offset: int = 0,
        limit: int = 20,
    ) -> Sequence[tuple[EvaluationQuestion, Sequence[EvaluationAnswer]]]:
        query = self._ordered_numbers(workspace, evaluation, order, compared_contender)
        rows = await self._connection.fetch_rows(query.offset(offset), most=limit)
        numbers = [row.number for row in rows]
        with_text = _with_text(workspace, evaluation).where(questions.c.number.in_(numbers))
        questions_by_number = {
            row.number: _question(row)
            for row in await self._connection.fetch_rows(with_text, most=limit)
        }
        answers_by_number: dict[int, list[EvaluationAnswer]] = {number: [] for number in numbers}
        condition = and_(answers.c.workspace == workspace, answers.c.evaluation == evaluation)
        answer_query = select(*_ANSWER_COLUMNS).where(condition, answers.c.number.in_(numbers))
        for row in await self._connection.fetch_all(
            answer_query, answers.c.number, answers.c.contender
        ):
            answers_by_number[row.number].append(EvaluationAnswer(**row._asdict()))
        return [
            (questions_by_number[number], answers_by_number[number])
            for number in numbers
            if number in questions_by_number
        ]

    def _ordered_numbers(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        order: QuestionOrder,
        against: int,
    ) -> Select[tuple[int]]:
        """Returns a query of question numbers, ordered by number or by the answers' scores."""
        if order is QuestionOrder.NUMBER:
            condition = and_(
                questions.c.workspace == workspace, questions.c.evaluation == evaluation
            )
            return select(questions.c.number).where(condition).order_by(questions.c.number)
        score = self._connection.json_number(answers.c.scores, "score")
        new = func.max(case((answers.c.contender == 0, score)))
        other = func.max(case((answers.c.contender == against, score)))
        key = {
            QuestionOrder.DIFFERENCE: func.max(score) - func.min(score),
            QuestionOrder.WORSE: other - new,
            QuestionOrder.BETTER: new - other,
        }[order]
        condition = and_(answers.c.workspace == workspace, answers.c.evaluation == evaluation)
        number = answers.c.number
        last = func.coalesce(key, -2.0).desc()
        return select(number).where(condition).group_by(number).order_by(last, number)

    async def count_settled_answers(self, workspace: WorkspaceId, evaluation: EvaluationId) -> int:
        condition = and_(answers.c.workspace == workspace, answers.c.evaluation == evaluation)
        counted = select(func.count()).where(condition, answers.c.state != AnswerState.ASKED)
        return int((await self._connection.execute(counted)).scalar_one())

    def _is_awaited(self) -> ColumnElement[bool]:
        """Whether the evaluation was priced with a training that has not ended."""
        return self._is_priced_with_open_job()

    def _is_committed(self) -> ColumnElement[bool]:
        """Whether the evaluation was priced with a confirmed training that has not ended."""
        is_estimate = evaluations.c.state == EvaluationState.ESTIMATED
        return and_(is_estimate, self._is_priced_with_open_job(jobs.c.confirmed_at.is_not(None)))

    def _is_priced_with_open_job(self, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
        return exists().where(
            *conditions,
            jobs.c.workspace == evaluations.c.workspace,
            evaluations.c.idempotency_key
            == literal(JOB_EVALUATION_KEY_PREFIX) + jobs.c.idempotency_key,
            jobs.c.phase.not_in([phase for phase in Phase if phase.is_over]),
        )

    def _run_of(self, row: Row[Any]) -> Evaluation:
        return _evaluation(row)


async def erase_answers(
    connection: Connection, workspace: WorkspaceId, erased: Sequence[ExampleId]
) -> None:
    """Erases the answers to questions of erased examples, which may repeat their text."""
    for part in batched(erased, MAX_VALUES_PER_IN_LIST):
        their_questions = select(questions.c.evaluation, questions.c.number).where(
            questions.c.workspace == workspace, questions.c.example.in_(part)
        )
        key = tuple_(answers.c.evaluation, answers.c.number)
        blank = update(answers).where(answers.c.workspace == workspace, key.in_(their_questions))
        await connection.execute(blank.values(text="", scores={}, state=AnswerState.LOST))
        their_gaps = evaluation_gaps.c.workspace == workspace, evaluation_gaps.c.example.in_(part)
        await connection.execute(update(evaluation_gaps).where(*their_gaps).values(answer=""))


_QUESTION_COLUMNS = ("workspace", "evaluation", "number", "example", "revision", "is_must_answer")
_ANSWER_COLUMNS = [answers.c[field.name] for field in fields(EvaluationAnswer)]


def _with_text(workspace: WorkspaceId, evaluation: EvaluationId) -> Select[tuple[object, ...]]:
    in_force = questions.c.revision == examples.c.revision
    text = case((in_force, examples.c.row), else_=revisions.c.row).label("text")
    example = and_(
        examples.c.workspace == questions.c.workspace, examples.c.id == questions.c.example
    )
    earlier = and_(
        revisions.c.workspace == questions.c.workspace,
        revisions.c.example == questions.c.example,
        revisions.c.number == questions.c.revision,
    )
    condition = and_(questions.c.workspace == workspace, questions.c.evaluation == evaluation)
    return (
        select(*questions.c, text)
        .join_from(questions, examples, example)
        .outerjoin(revisions, earlier)
        .where(condition)
    )


def _is_asked(
    workspace: WorkspaceId, evaluation: EvaluationId, contenders: Sequence[int]
) -> ColumnElement[bool]:
    return and_(
        answers.c.workspace == workspace,
        answers.c.evaluation == evaluation,
        answers.c.contender.in_(contenders),
        answers.c.state == AnswerState.ASKED,
    )


def _question(row: Row[Any]) -> EvaluationQuestion:
    return EvaluationQuestion(row.number, row.example, row.revision, row.is_must_answer, row.text)


def _evaluation(row: Row[Any]) -> Evaluation:
    values = row_fields(row)
    contenders = tuple(
        Contender(**{**contender, "kind": ContenderKind(contender["kind"])})
        for contender in values["contenders"]
    )
    return Evaluation(**{**values, "contenders": contenders})
