"""Which examples a model is asked about: those that may be trained on and that nothing tests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from bot.domain import (
    MUST_ANSWER,
    Assistant,
    Example,
    ExampleFilter,
    ExampleId,
    SyntheticKind,
    SyntheticRun,
)
from bot.evaluation.questions import prompt_and_reference
from bot.ports.store import Records
from bot.rows import Method, text_tokens
from bot.rows.classification import labels_among
from bot.synthetic.prompt import messages_for

_LABEL_EXTRA = 4


@dataclass(frozen=True, slots=True)
class SourceExamples:
    """The examples by id, what asking about them takes, and how many hold private text.

    `labels` are the answers, where they are classes.
    """

    examples: Sequence[ExampleId]
    prompt_tokens: int
    completion_tokens: int
    private: int
    labels: tuple[str, ...]


async def source_examples(
    run: SyntheticRun, assistant: Assistant, records: Records
) -> SourceExamples:
    """At most as many as the run is for.

    What holds private text is never sent, decided upon or not. A question that has other wordings
    by a model already is not asked about again.
    """
    held = ExampleFilter(held_out=False, tag=run.tag or None)
    known: frozenset[ExampleId] = frozenset()
    if run.kind is SyntheticKind.WORDINGS:
        known = await records.synthetic_runs.with_proposals(run.workspace, run.assistant)
    answers: Counter[str] = Counter()
    found: dict[ExampleId, tuple[int, int]] = {}
    private = 0
    async for example in records.examples.trainable(
        run.workspace, run.assistant, Method.SUPERVISED, filters=held
    ):
        if not is_source(example):
            continue
        pair = prompt_and_reference(example.row, "")
        if pair is None:
            continue
        answers[pair[1].strip()] += 1
        if example.private_text:
            private += 1
        elif example.id not in known and len(found) < run.examples:
            found[example.id] = _tokens(run, example, assistant)
    labels = tuple(label for label, _ in labels_among(answers))
    overhead = sum(map(text_tokens, labels)) if run.kind is SyntheticKind.LABELS else 0
    return SourceExamples(
        list(found),
        sum(asked for asked, _ in found.values()) + overhead * len(found),
        sum(told for _, told in found.values()),
        private,
        labels,
    )


def is_source(example: Example) -> bool:
    """Whether a model may write others from it, as far as the example itself tells."""
    return example.synthetic is None and not example.held_out and MUST_ANSWER not in example.tags


async def source_of(run: SyntheticRun, example: ExampleId, records: Records) -> Example | None:
    """The example as it is now; None where it may not be sent, or be used, any more."""
    found = records.examples.trainable(
        run.workspace,
        run.assistant,
        Method.SUPERVISED,
        after=ExampleId(example - 1),
        limit=1,
        filters=ExampleFilter(held_out=False),
    )
    async for one in found:
        is_same = one.id == example and is_source(one) and not one.private_text
        return one if is_same else None
    return None


def _tokens(run: SyntheticRun, example: Example, assistant: Assistant) -> tuple[int, int]:
    """Of the prompt without the labels, and of a likely answer."""
    plain = replace(run, labels=())
    messages = messages_for(plain, example.row or {}, assistant.instructions) or []
    asked = sum(text_tokens(one["content"]) for one in messages)
    if run.kind is SyntheticKind.LABELS:
        return asked, _LABEL_EXTRA
    pair = prompt_and_reference(example.row, "")
    question = text_tokens(pair[0][-1]["content"]) if pair else 0
    return asked, run.wordings * (question + _LABEL_EXTRA)
