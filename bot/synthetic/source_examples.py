"""Selects the source examples of a run: trainable ones that are not used to evaluate models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.domain import (
    MUST_ANSWER_TAG,
    Assistant,
    Example,
    ExampleFilter,
    ExampleId,
    SyntheticKind,
    SyntheticRun,
)
from bot.evaluation.planning import prompt_and_reference
from bot.ports.store import Records
from bot.rows import Method, estimate_text_tokens
from bot.rows.classification_metrics import find_labels
from bot.synthetic.prompt import prompt_messages

_EXTRA_TOKENS = 4


@dataclass(frozen=True, slots=True)
class SourceExamples:
    """Source examples of a run with their token counts.

    `private` is the number of examples left out for their private text, `labels` the distinct
    answers if the examples are a classification.
    """

    examples: Sequence[ExampleId]
    prompt_tokens: int
    completion_tokens: int
    private: int
    labels: tuple[str, ...]


async def select_source_examples(
    run: SyntheticRun, assistant: Assistant, records: Records
) -> SourceExamples:
    """Returns the source examples of a run, at most `run.examples` of them.

    An example with private text is never sent, even if a curator allowed the text. A question
    with synthetic wordings already is not used again.
    """
    filters = ExampleFilter(held_out=False, tag=run.tag or None)
    has_wordings: frozenset[ExampleId] = frozenset()
    if run.kind is SyntheticKind.WORDINGS:
        has_wordings = await records.synthetic_runs.sources_with_proposals(
            run.workspace, run.assistant
        )
    answers: Counter[str] = Counter()
    tokens: dict[ExampleId, tuple[int, int]] = {}
    private = 0
    async for example in records.examples.iterate_trainable(
        run.workspace, run.assistant, Method.SUPERVISED, filters=filters
    ):
        if not may_be_source(example):
            continue
        pair = prompt_and_reference(example.row, "")
        if pair is None:
            continue
        answers[pair[1].strip()] += 1
        if example.private_text:
            private += 1
        elif example.id not in has_wordings and len(tokens) < run.examples:
            tokens[example.id] = _tokens(run, example, assistant)
    labels = tuple(label for label, _ in find_labels(answers))
    overhead = sum(map(estimate_text_tokens, labels)) if run.kind is SyntheticKind.LABELS else 0
    return SourceExamples(
        list(tokens),
        sum(prompt for prompt, _ in tokens.values()) + overhead * len(tokens),
        sum(completion for _, completion in tokens.values()),
        private,
        labels,
    )


def may_be_source(example: Example) -> bool:
    """Whether an example may be a source: not synthetic, not held out, not must-answer."""
    return (
        example.synthetic is None and not example.held_out and MUST_ANSWER_TAG not in example.tags
    )


async def find_source(run: SyntheticRun, example: ExampleId, records: Records) -> Example | None:
    """Returns the current example; None if it may not be sent any more."""
    examples = records.examples.iterate_trainable(
        run.workspace,
        run.assistant,
        Method.SUPERVISED,
        after=ExampleId(example - 1),
        limit=1,
        filters=ExampleFilter(held_out=False),
    )
    async for current in examples:
        is_allowed = current.id == example and may_be_source(current) and not current.private_text
        return current if is_allowed else None
    return None


def _tokens(run: SyntheticRun, example: Example, assistant: Assistant) -> tuple[int, int]:
    """Returns estimated tokens of the prompt, without the list of labels, and of the answer."""
    without_labels = replace(run, labels=())
    messages = prompt_messages(without_labels, example.row or {}, assistant.instructions) or []
    prompt = sum(estimate_text_tokens(message["content"]) for message in messages)
    if run.kind is SyntheticKind.LABELS:
        return prompt, _EXTRA_TOKENS
    pair = prompt_and_reference(example.row, "")
    question = estimate_text_tokens(pair[0][-1]["content"]) if pair else 0
    return prompt, run.wordings * (question + _EXTRA_TOKENS)
