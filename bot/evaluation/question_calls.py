"""The calls of an evaluation: held-out questions, and questions that were not answered well."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.domain import (
    UNFINISHED_CALL_STATES,
    AnswerState,
    CallState,
    Contender,
    Evaluation,
    EvaluationAnswer,
    EvaluationQuestion,
    GapQuestion,
    Row,
)
from bot.errors import AttuneError, NotFound, serialize
from bot.evaluation import answer_scores
from bot.evaluation.gap_questions import gap_outcome
from bot.evaluation.planning import taught_reply
from bot.examples.row_texts import question_answer_row
from bot.ports.metered_calls import Answer
from bot.ports.store import Records
from bot.private_text import mask_row


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """The row that a call sends; `is_reference_taught` if its reference was taught.

    Otherwise the reference is the bad answer.
    """

    row: Row
    is_reference_taught: bool = True

    @property
    def reference(self) -> str:
        return taught_reply(self.row) or ""


@dataclass(frozen=True, slots=True)
class QuestionCall:
    """A call with a held-out or must-answer question for a contender."""

    evaluation: Evaluation
    contender_index: int
    question: EvaluationQuestion

    @property
    def key(self) -> tuple[int, int]:
        """The key of the call within its evaluation."""
        return self.contender_index, self.question.number

    @property
    def called_contender(self) -> Contender:
        return self.evaluation.contenders[self.contender_index]

    async def read_question(self, records: Records) -> AskedQuestion:
        """Returns the question with the taught reply. Raises NotFound if its text was erased."""
        if self.question.row is None:
            raise NotFound(noun="example", name=self.question.example)
        return AskedQuestion(self.question.row)

    async def unmark_as_asked(self, records: Records) -> None:
        """Removes the mark that the question was asked, as it certainly was not sent."""
        own = self.evaluation.workspace, self.evaluation.id
        await records.evaluations.unmark_asked(*own, *self.key)

    async def store_answer(self, records: Records, answer: Answer, asked: AskedQuestion) -> None:
        scores = answer_scores.score_answer(
            asked.reference, answer.text, is_refusal=answer.is_refusal
        )
        stored = replace(self._outcome(answer, AnswerState.DONE), scores=scores)
        await self._store(records, stored)

    async def store_failure(self, records: Records, answer: Answer, trouble: AttuneError) -> None:
        stored = self._outcome(answer, AnswerState.FAILED)
        await self._store(records, replace(stored, error=serialize(trouble)))

    def _outcome(self, answer: Answer, state: AnswerState) -> EvaluationAnswer:
        usage = answer.usage
        return EvaluationAnswer(
            number=self.question.number,
            contender=self.contender_index,
            state=state,
            text=answer.text,
            is_refusal=answer.is_refusal,
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            first_text_seconds=answer.first_text_seconds,
        )

    async def _store(self, records: Records, stored: EvaluationAnswer) -> None:
        await records.evaluations.put_answer(self.evaluation.workspace, self.evaluation.id, stored)


@dataclass(frozen=True, slots=True)
class GapCall:
    """A call with a question that was not answered well, for the new model.

    Private text is masked.
    """

    evaluation: Evaluation
    gap: GapQuestion

    @property
    def key(self) -> tuple[int, int]:
        return -1, self.gap.turn

    @property
    def called_contender(self) -> Contender:
        return self.evaluation.contenders[0]

    async def read_question(self, records: Records) -> AskedQuestion:
        """Returns the question with the reply that was taught since, else with the bad answer."""
        turn = await records.turns.get(self.evaluation.workspace, self.gap.turn)
        if not turn.question:
            raise NotFound(noun="question", name=turn.id)
        taught = await self._taught(records)
        row = question_answer_row(turn.question, taught or turn.reply or "–")
        return AskedQuestion(mask_row(row), is_reference_taught=taught is not None)

    async def _taught(self, records: Records) -> str | None:
        if self.gap.example is None:
            return None
        example = await records.examples.get(self.evaluation.workspace, self.gap.example)
        return taught_reply(example.row)

    async def unmark_as_asked(self, records: Records) -> None:
        await self._record(records, replace(self.gap, state=CallState.WAITING))

    async def store_answer(self, records: Records, answer: Answer, asked: AskedQuestion) -> None:
        outcome = gap_outcome(
            answer, reference=asked.reference, is_reference_taught=asked.is_reference_taught
        )
        done = replace(self.gap, state=CallState.DONE, answer=answer.text, outcome=outcome)
        await self._record(records, done)

    async def store_failure(self, records: Records, answer: Answer, trouble: AttuneError) -> None:
        await self._record(records, replace(self.gap, state=CallState.FAILED, answer=answer.text))

    async def _record(self, records: Records, gap: GapQuestion) -> None:
        own = self.evaluation.workspace, self.evaluation.id
        await records.evaluation_gaps.record_outcome(*own, gap)


Call = QuestionCall | GapCall


async def count_ended_calls(evaluation: Evaluation, records: Records) -> tuple[int, int]:
    """Returns the number of calls that have ended, with or without an outcome, and of all calls."""
    own = evaluation.workspace, evaluation.id
    done = await records.evaluations.count_settled_answers(*own)
    gap_counts = await records.evaluation_gaps.count_by_state(*own)
    total = evaluation.questions * len(evaluation.contenders) + sum(gap_counts.values())
    finished = sum(
        count for state, count in gap_counts.items() if state not in UNFINISHED_CALL_STATES
    )
    return done + finished, total
