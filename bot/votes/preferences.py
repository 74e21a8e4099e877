"""Stores the preferred answers of a blind vote as DPO examples."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain import (
    MUST_ANSWER_TAG,
    Ballot,
    Evaluation,
    EvaluationAnswer,
    Example,
    ExampleId,
    ExampleState,
    NewExample,
    Row,
)
from bot.evaluation.planning import prompt_and_reference
from bot.ports.store import Records
from bot.prompts import PromptMessage
from bot.rows import Method, check_row
from bot.votes.tally import tally_questions


async def store_preference(
    records: Records,
    evaluation: Evaluation,
    number: int,
    ballots: Sequence[Ballot],
    *,
    at: datetime,
) -> bool | None:
    """Stores a DPO example of question `number`; returns whether it is approved.

    Returns None and stores nothing if no answer is preferred or it is a refusal, and if the row is
    invalid or the question's example is not trained on. The new example has that one's origin,
    authors and messages; it is approved if a curator voted so, else proposed.
    """
    preferred = tally_questions(ballots)[number].preferred
    own = evaluation.workspace, evaluation.id
    (question,) = await records.evaluations.questions(*own, after=number - 1, limit=1)
    example = await _trainable_example(records, evaluation, question.example)
    pair = prompt_and_reference(question.row, "")
    if preferred is None or example is None or pair is None or MUST_ANSWER_TAG in example.tags:
        return None
    page = await records.evaluations.answers(*own, after=number - 1, until=number)
    answers = {answer.contender: answer for answer in page}
    row = _row(pair[0], answers[preferred], answers[1 - preferred])
    if answers[preferred].is_refusal or check_row(row, Method.DPO) is not None:
        return None
    new = NewExample(
        assistant=example.assistant,
        method=Method.DPO,
        state=_state(preferred, ballots),
        row=row,
        origin=example.origin,
        authors=example.authors,
        exclusions=example.exclusions,
        messages=tuple(await records.example_messages.messages_of(own[0], example.id)),
    )
    stored, is_new = await records.examples.add(own[0], new, at=at)
    if is_new:
        await records.audit.add(own[0], None, f"example.{stored.state}", at=at, example=stored.id)
    return stored.state is ExampleState.APPROVED


def _state(preferred: int, ballots: Sequence[Ballot]) -> ExampleState:
    chosen = "second" if preferred else "first"
    if any(ballot.is_curator and ballot.choice == chosen for ballot in ballots):
        return ExampleState.APPROVED
    return ExampleState.PROPOSED


async def _trainable_example(
    records: Records, evaluation: Evaluation, number: ExampleId
) -> Example | None:
    """Returns the example of a question, or None if it may not be trained on."""
    before = ExampleId(number - 1)
    examples = records.examples.iterate_trainable(
        evaluation.workspace, evaluation.assistant, Method.SUPERVISED, after=before, limit=1
    )
    async for example in examples:
        return example if example.id == number else None
    return None


def _row(prompt: Sequence[PromptMessage], better: EvaluationAnswer, worse: EvaluationAnswer) -> Row:
    return {
        "input": {"messages": [dict(message) for message in prompt]},
        "preferred_output": [{"role": "assistant", "content": better.text}],
        "non_preferred_output": [{"role": "assistant", "content": worse.text}],
    }
