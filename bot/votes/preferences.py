"""What a blind vote teaches: of two answers to a question the one that more people chose."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from bot.domain import (
    MUST_ANSWER,
    Ballot,
    Evaluation,
    EvaluationAnswer,
    Example,
    ExampleId,
    ExampleState,
    NewExample,
    Row,
)
from bot.evaluation.questions import prompt_and_reference
from bot.ports.store import Records
from bot.prompts import PromptMessage
from bot.rows import Method, check_row
from bot.votes.tally import tallies


async def keep_preference(
    records: Records,
    evaluation: Evaluation,
    number: int,
    ballots: Sequence[Ballot],
    *,
    at: datetime,
) -> bool | None:
    """Whether what was kept is approved; None where nothing may or can be kept.

    The question keeps the permission, the authors and the messages of the example that it is
    from. Approved where a curator chose that answer, else proposed. What must be answered is kept
    out of training, and so is what a model refused to say.
    """
    preferred = tallies(ballots)[number].preferred
    own = evaluation.workspace, evaluation.id
    (question,) = await records.evaluations.questions(*own, after=number - 1, limit=1)
    example = await _permitted(records, evaluation, question.example)
    pair = prompt_and_reference(question.row, "")
    if preferred is None or example is None or pair is None or MUST_ANSWER in example.tags:
        return None
    found = await records.evaluations.answers(*own, after=number - 1, until=number)
    answers = {answer.contender: answer for answer in found}
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
    kept, is_new = await records.examples.add(own[0], new, at=at)
    if is_new:
        await records.audit.add(own[0], None, f"example.{kept.state}", at=at, example=kept.id)
    return kept.state is ExampleState.APPROVED


def _state(preferred: int, ballots: Sequence[Ballot]) -> ExampleState:
    chosen = "second" if preferred else "first"
    if any(one.is_curator and one.choice == chosen for one in ballots):
        return ExampleState.APPROVED
    return ExampleState.PROPOSED


async def _permitted(
    records: Records, evaluation: Evaluation, example: ExampleId
) -> Example | None:
    """The example of a question, as long as it may be trained on."""
    before = ExampleId(example - 1)
    found = records.examples.trainable(
        evaluation.workspace, evaluation.assistant, Method.SUPERVISED, after=before, limit=1
    )
    async for one in found:
        return one if one.id == example else None
    return None


def _row(asked: Sequence[PromptMessage], better: EvaluationAnswer, worse: EvaluationAnswer) -> Row:
    return {
        "input": {"messages": [dict(message) for message in asked]},
        "preferred_output": [{"role": "assistant", "content": better.text}],
        "non_preferred_output": [{"role": "assistant", "content": worse.text}],
    }
