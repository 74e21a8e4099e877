"""Runs the open runs of synthetic examples; their answers become proposed examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from bot.domain import (
    ALWAYS_TRAIN_TAG,
    SYNTHETIC_TAG,
    CallState,
    Example,
    ExampleState,
    NewExample,
    Row,
    Sampling,
    SyntheticCall,
    SyntheticKind,
    SyntheticOrigin,
    SyntheticRun,
)
from bot.errors import AttuneError
from bot.paid_run_actions import queue_run_notice
from bot.paid_runs import PaidRunner
from bot.ports.metered_calls import Answer
from bot.ports.paid_runs import PaidRuns
from bot.ports.store import Records
from bot.prompts import PromptMessage
from bot.rows import Method, check_row
from bot.synthetic import command
from bot.synthetic.prompt import parse_rows, prompt_messages
from bot.synthetic.source_examples import find_source

_SAMPLING = Sampling(max_tokens=2000)
"""More tokens than an answer needs, because a reasoning model thinks before it answers."""


class SyntheticRunner(PaidRunner[SyntheticRun, SyntheticCall]):
    """Sends a request with the current text of each example that may still be sent."""

    def _runs(self, records: Records) -> PaidRuns[SyntheticRun, SyntheticCall]:
        return records.synthetic_runs

    async def _messages(self, run: SyntheticRun, call: SyntheticCall) -> list[PromptMessage] | None:
        async with self._store.reading() as records:
            assistant = await records.assistants.get(run.workspace, run.assistant)
            source = await find_source(run, call.example, records)
        if source is None:
            return None
        return prompt_messages(run, source.row or {}, assistant.instructions)

    def _sampling(self, run: SyntheticRun) -> Sampling:
        return _SAMPLING

    async def _outcome(
        self, records: Records, run: SyntheticRun, call: SyntheticCall, answer: Answer
    ) -> SyntheticCall:
        """Proposes the examples in an answer, if their source may still be used."""
        source = await find_source(run, call.example, records)
        if source is None:
            return replace(call, state=CallState.FAILED)
        messages = await records.example_messages.messages_of(run.workspace, source.id)
        proposed = 0
        for row in parse_rows(run, source.row or {}, answer.text):
            if check_row(row, Method.SUPERVISED) is None:
                new = replace(_proposal(run, source, row), messages=tuple(messages))
                now = self._clock.now()
                proposed += (await records.examples.add(run.workspace, new, at=now))[1]
        return replace(call, proposed=proposed)

    async def _tell(
        self, records: Records, run: SyntheticRun, *, at: datetime, trouble: AttuneError | None
    ) -> None:
        await queue_run_notice(
            records, run, command.SYNTHETIC_STATUS_NOTICE, at=at, trouble=trouble
        )

    async def _report(self, run: SyntheticRun, records: Records) -> Mapping[str, object]:
        calls = await records.synthetic_runs.calls(run.workspace, run.id)
        done = [call.proposed for call in calls if call.state is CallState.DONE]
        return {"proposed": sum(done), "unused": done.count(0)}


def _proposal(run: SyntheticRun, source: Example, row: Row) -> NewExample:
    """Returns a proposal with the origin, authors and exclusions of its source."""
    tags = [tag for tag in source.tags if tag != ALWAYS_TRAIN_TAG]
    return NewExample(
        assistant=source.assistant,
        method=Method.SUPERVISED,
        state=ExampleState.PROPOSED,
        row=row,
        origin=source.origin,
        authors=source.authors,
        tags=(*tags, SYNTHETIC_TAG),
        exclusions=source.exclusions,
        synthetic=SyntheticOrigin(source.id, run.model, run.kind is SyntheticKind.LABELS),
    )
