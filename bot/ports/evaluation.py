"""The port to what lasts of evaluations: which there are, their questions and answers."""

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
    async def page(
        self,
        workspace: WorkspaceId,
        *,
        assistant: AssistantId | None = None,
        before: EvaluationId | None = None,
        limit: int = 10,
    ) -> Sequence[Evaluation]:
        """Newest first, estimates left out."""
        ...

    async def of_job(self, workspace: WorkspaceId, job: JobId) -> Evaluation | None:
        """The one that began as the job ended."""
        ...

    async def open_in(self, workspace: WorkspaceId) -> Sequence[Evaluation]: ...
    async def add_questions(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        questions: Sequence[EvaluationQuestion],
    ) -> None:
        """Those whose number stands already are left as they are."""
        ...

    async def questions(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        after: int = 0,
        limit: int = 200,
    ) -> Sequence[EvaluationQuestion]:
        """By number, from 1, with the text of the frozen revision."""
        ...

    async def pending_questions(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contender: int, *, limit: int
    ) -> Sequence[EvaluationQuestion]:
        """Those that a contender was not asked yet, by number."""
        ...

    async def mark_asked(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        contender: int,
        numbers: Sequence[int],
    ) -> None:
        """Write down that these are being asked now."""
        ...

    async def withdraw_call(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contender: int, number: int
    ) -> None:
        """It was surely not asked, and may be asked again."""
        ...

    async def put(
        self, workspace: WorkspaceId, evaluation: EvaluationId, answer: EvaluationAnswer
    ) -> None:
        """The outcome of what is being asked."""
        ...

    async def mark_outcome_unknown(
        self, workspace: WorkspaceId, evaluation: EvaluationId, contenders: Sequence[int]
    ) -> int:
        """How many were being asked by these; their outcome will never be known."""
        ...

    async def answers(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        *,
        after: int = 0,
        until: int | None = None,
    ) -> Sequence[EvaluationAnswer]:
        """To the questions with numbers above `after`, up to `until`, by number and contender."""
        ...

    async def list_ordered(
        self,
        workspace: WorkspaceId,
        evaluation: EvaluationId,
        order: QuestionOrder,
        *,
        against: int = 0,
        first: int = 0,
        limit: int = 20,
    ) -> Sequence[tuple[EvaluationQuestion, Sequence[EvaluationAnswer]]]:
        """Questions from position `first` of this order, each with its answers by contender.

        `against` is the contender whose scores the new model's are held against. A question
        without two scores comes last, one that nobody was asked yet only by number.
        """
        ...

    async def count_settled_answers(self, workspace: WorkspaceId, evaluation: EvaluationId) -> int:
        """Those whose outcome is known, or never will be."""
        ...

    async def forget_estimates(self, at: datetime, *, limit: int = 500) -> int:
        """How many went that were estimated before then and never confirmed."""
        ...


class EvaluationGaps(PaidCalls[GapQuestion], Protocol):
    """Questions that were not answered well, which evaluations put to their new models."""

    async def of_model(
        self,
        workspace: WorkspaceId,
        assistant: AssistantId,
        model: ModelName,
        *,
        since: datetime,
        outcomes: Sequence[GapOutcome] = (GapOutcome.ANSWERED, GapOutcome.DECLINED),
    ) -> Sequence[UnansweredTurn]:
        """Those with one of these outcomes for this model in evaluations that ended since then.

        Each as asked of the model as its evaluation ended, with its answer as the reply, which is a
        refusal where it declined. Newest first, without those that were set aside.
        """
        ...
