"""Reads an assistant's examples in parts, and checks them in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bot.check_results import CheckKey, CheckResult
from bot.checking.checks import check_samples
from bot.checking.samples import Sample, sample_of
from bot.domain import Example, ExampleFilter, ExampleId
from bot.examples.states import hidden_exclusion
from bot.ports.dependencies import Dependencies
from bot.request import Request

MOST_CHECKED = 100_000
_PART = 500


async def run_checks(request: Request, deps: Dependencies) -> CheckResult:
    """Checks anew; the first hundred thousand examples, as far as the asker may see them."""
    samples = await _samples(request, deps)
    result = await asyncio.to_thread(check_samples, samples, at=request.now)
    deps.checks.put(check_key(request), result)
    return result


def check_key(request: Request) -> CheckKey:
    return (
        request.workspace_id,
        request.assistant.id,
        hidden_exclusion(request),
        request.place.channel,
    )


def visible_filter(request: Request) -> ExampleFilter:
    return ExampleFilter(
        assistant=request.assistant.id,
        only_active=True,
        hidden_exclusions=hidden_exclusion(request),
        visible_in_channel=request.place.channel,
    )


async def _samples(request: Request, deps: Dependencies) -> list[Sample]:
    """Each part in a transaction of its own, and in turn with whatever else waits."""
    filters, found = visible_filter(request), list[Sample]()
    async with deps.store.reading() as records:
        total = min(MOST_CHECKED, await records.examples.count(request.workspace_id, filters))
    last, seen = ExampleId(0), 0
    while seen < MOST_CHECKED:
        request.report_progress(seen, max(1, total))
        async with deps.store.reading() as records:
            part = await records.examples.page(
                request.workspace_id, filters, after=last, limit=_PART
            )
        if not part:
            break
        found += await asyncio.to_thread(_sampled, part, request.assistant.instructions)
        last, seen = part[-1].id, seen + len(part)
    return found


def _sampled(part: Sequence[Example], instructions: str) -> list[Sample]:
    samples = (sample_of(example, instructions) for example in part)
    return [sample for sample in samples if sample is not None]
