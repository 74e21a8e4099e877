"""What an evaluation asks one contender: a held-out question, or one that was not answered well."""

from __future__ import annotations

from dataclasses import dataclass, replace

from bot.domain import (
    UNFINISHED_CALLS,
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
from bot.evaluation import gaps, measures
from bot.evaluation.questions import reference_of
from bot.examples.texts import exchange_row
from bot.ports.metered_calls import Answer
from bot.ports.store import Records
from bot.private_text import mask_row


@dataclass(frozen=True, slots=True)
class AskedQuestion:
    """What a call asks; its reference was taught, or else is the answer that was no good."""

    row: Row
    is_taught: bool = True

    @property
    def reference(self) -> str:
        return reference_of(self.row) or ""


@dataclass(frozen=True, slots=True)
class QuestionCall:
    """One question to one contender."""

    evaluation: Evaluation
    contender_index: int
    question: EvaluationQuestion

    @property
    def key(self) -> tuple[int, int]:
        """What tells it apart in its evaluation."""
        return self.contender_index, self.question.number

    @property
    def called_contender(self) -> Contender:
        return self.evaluation.contenders[self.contender_index]

    async def read(self, records: Records) -> AskedQuestion:
        """Returns the question with the taught reply. Raises NotFound if its text was erased."""
        if self.question.row is None:
            raise NotFound(noun="example", name=self.question.example)
        return AskedQuestion(self.question.row)

    async def withdraw(self, records: Records) -> None:
        """It was surely not asked, and may be asked again."""
        own = self.evaluation.workspace, self.evaluation.id
        await records.evaluations.withdraw_call(*own, *self.key)

    async def keep(self, records: Records, answer: Answer, asked: AskedQuestion) -> None:
        scores = measures.scores(asked.reference, answer.text, is_refusal=answer.is_refusal)
        kept = replace(self._outcome(answer, AnswerState.DONE), scores=scores)
        await self._put(records, kept)

    async def fail(self, records: Records, answer: Answer, trouble: AttuneError) -> None:
        kept = self._outcome(answer, AnswerState.FAILED)
        await self._put(records, replace(kept, error=serialize(trouble)))

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

    async def _put(self, records: Records, kept: EvaluationAnswer) -> None:
        await records.evaluations.put(self.evaluation.workspace, self.evaluation.id, kept)


@dataclass(frozen=True, slots=True)
class GapCall:
    """A question that was not answered well, to the new model; private text is masked."""

    evaluation: Evaluation
    gap: GapQuestion

    @property
    def key(self) -> tuple[int, int]:
        return -1, self.gap.turn

    @property
    def called_contender(self) -> Contender:
        return self.evaluation.contenders[0]

    async def read(self, records: Records) -> AskedQuestion:
        """Returns the question with the reply taught since, else with the answer it got."""
        turn = await records.turns.get(self.evaluation.workspace, self.gap.turn)
        if not turn.question:
            raise NotFound(noun="question", name=turn.id)
        taught = await self._taught(records)
        row = exchange_row(turn.question, taught or turn.reply or "–")
        return AskedQuestion(mask_row(row), is_taught=taught is not None)

    async def _taught(self, records: Records) -> str | None:
        if self.gap.example is None:
            return None
        example = await records.examples.get(self.evaluation.workspace, self.gap.example)
        return reference_of(example.row)

    async def withdraw(self, records: Records) -> None:
        await self._record(records, replace(self.gap, state=CallState.WAITING))

    async def keep(self, records: Records, answer: Answer, asked: AskedQuestion) -> None:
        outcome = gaps.outcome_of(answer, reference=asked.reference, is_taught=asked.is_taught)
        done = replace(self.gap, state=CallState.DONE, answer=answer.text, outcome=outcome)
        await self._record(records, done)

    async def fail(self, records: Records, answer: Answer, trouble: AttuneError) -> None:
        await self._record(records, replace(self.gap, state=CallState.FAILED, answer=answer.text))

    async def _record(self, records: Records, gap: GapQuestion) -> None:
        own = self.evaluation.workspace, self.evaluation.id
        await records.evaluation_gaps.record_outcome(*own, gap)


Call = QuestionCall | GapCall


async def progress(evaluation: Evaluation, records: Records) -> tuple[int, int]:
    """How many calls have an outcome, or never will have one; and how many there are."""
    own = evaluation.workspace, evaluation.id
    done = await records.evaluations.count_settled_answers(*own)
    of_gaps = await records.evaluation_gaps.counts(*own)
    total = evaluation.questions * len(evaluation.contenders) + sum(of_gaps.values())
    finished = sum(count for state, count in of_gaps.items() if state not in UNFINISHED_CALLS)
    return done + finished, total
