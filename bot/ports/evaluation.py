"""The port to stored evaluations, their questions and answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bot.domain import (
    AssistantId,
    Evaluation,
    EvaluationAnswer,
    EvaluationId,
    EvaluationQuestion,
    GapOutcome,
    GapQuestion,
    JobId,
    ModelName,
    QuestionOrder,
    UnansweredTurn,
    WorkspaceId,
)
from bot.ports.paid_runs import PaidCalls, Runs


class Evaluations(Runs[Evaluation], Protocol):
    async def add(
        self,
        workspace: WorkspaceId,
        evaluation: Evaluation,
        questions: Sequence[EvaluationQuestion] = (),
        gaps: Sequence[GapQuestion] = (),
    ) -> Evaluation:
        """Stores an estimate with its questions, or returns the one with the same key."""
        ...

    async def page(
        self,
        workspace: WorkspaceId,
        *,
        assistant: AssistantId | None = None,
        before: EvaluationId | None = None,
        limit: int = 10,
    ) -> Sequence[Evaluation]:
        """Returns confirmed evaluations, newest first."""
        ...

    async def find_started_by_job(self, workspace: WorkspaceId, job: JobId) -> Evaluation | None:
        """Returns the evaluation that was started when the job ended."""
        ...

    async def find_by_idempotency_key(
        self, workspace: WorkspaceId, idempotency_key: str
    ) -> Evaluation | None:
        """Returns the evaluation with this idempotency key, in any state."""
        ...

    async def list_open_in_workspace(self, workspace: WorkspaceId) -> Sequence[Evaluation]: ...
    async def replace_questions(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        questions: Sequence[EvaluationQuestion],
    ) -> None:
        """Replaces all questions, none of which may have been asked."""
        ...

    async def questions(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        after: int = 0,
        limit: int = 200,
    ) -> Sequence[EvaluationQuestion]:
        """Returns questions by number, from 1, with the row of their frozen revision."""
        ...

    async def pending_questions(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contender: int, *, limit: int
    ) -> Sequence[EvaluationQuestion]:
        """Returns the questions that a contender was not asked yet, by number."""
        ...

    async def mark_asked(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        contender: int,
        numbers: Sequence[int],
    ) -> None:
        """Records, before the requests are sent, that a contender is asked these questions."""
        ...

    async def unmark_asked(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contender: int, number: int
    ) -> None:
        """Removes the record of a request that was certainly not sent; it may be sent again."""
        ...

    async def put_answer(
        self, workspace: WorkspaceId, evaluation: EvaluationId, answer: EvaluationAnswer
    ) -> None:
        """Stores the outcome of a request."""
        ...

    async def mark_outcome_unknown(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contenders: Sequence[int]
    ) -> int:
        """Marks requests to these contenders that have no outcome as lost; returns how many."""
        ...

    async def answers(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        after: int = 0,
        until: int | None = None,
    ) -> Sequence[EvaluationAnswer]:
        """Returns the answers with `after` < number <= `until`, by number and contender."""
        ...

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
        """Returns questions from position `offset` of an order, each with answers by contender.

        The scores of `compared_contender` are compared with the new model's. A question without
        both scores comes last; one without any answer is returned only by number.
        """
        ...

    async def count_settled_answers(self, workspace: WorkspaceId, evaluation: EvaluationId) -> int:
        """Returns the number of answers that are done, failed or lost."""
        ...


class EvaluationGaps(PaidCalls[GapQuestion], Protocol):
    """Questions that were not answered well and that evaluations ask their new models again."""

    async def list_by_model(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        model: ModelName,
        *,
        since: datetime,
        outcomes: Sequence[GapOutcome] = (GapOutcome.ANSWERED, GapOutcome.DECLINED),
    ) -> Sequence[UnansweredTurn]:
        """Returns questions with one of these outcomes in evaluations of `model` since then.

        Each turn has the model, its answer as the reply and the end of the evaluation as the
        time; `is_refusal` if the model declined. Newest first, without dismissed questions.
        """
        ...

    async def refresh_waiting_questions(
        self, workspace: WorkspaceId, evaluation: EvaluationId
    ) -> None:
        """Updates the waiting questions: sets the examples that were taught since the estimate.

        Deletes those that were dismissed or that another evaluation asked the same model.
        """
        ...
