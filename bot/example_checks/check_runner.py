"""Reads an assistant's examples in pages and checks them in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bot.check_results import CheckKey, CheckResult
from bot.domain import Example, ExampleFilter, ExampleId
from bot.example_checks.checks import check_samples
from bot.example_checks.samples import Sample, make_sample
from bot.examples.state_changes import hidden_exclusion
from bot.ports.dependencies import Dependencies
from bot.request import Request

MAX_CHECKED_EXAMPLES = 100_000
_PAGE = 500


async def run_checks(request: Request, deps: Dependencies) -> CheckResult:
    """Checks the first 100,000 examples that the requester may see, and caches the result."""
    samples = await _samples(request, deps)
    result = await asyncio.to_thread(check_samples, samples, at=request.now)
    deps.checks.put(check_cache_key(request), result)
    return result


def check_cache_key(request: Request) -> CheckKey:
    """Returns the cache key of a check, with everything that decides which examples are seen."""
    return (
        request.workspace_id,
        request.assistant.id,
        hidden_exclusion(request),
        request.place.channel,
    )


def visible_examples_filter(request: Request) -> ExampleFilter:
    """Returns the filter for active examples that the requester may see in this channel."""
    return ExampleFilter(
        assistant=request.assistant.id,
        only_active=True,
        hidden_exclusions=hidden_exclusion(request),
        visible_in_channel=request.place.channel,
    )


async def _samples(request: Request, deps: Dependencies) -> list[Sample]:
    """Reads each page in a transaction of its own, so that other work can run in between."""
    filters, samples = visible_examples_filter(request), list[Sample]()
    async with deps.store.reading() as records:
        total = min(
            MAX_CHECKED_EXAMPLES, await records.examples.count(request.workspace_id, filters)
        )
    last, read = ExampleId(0), 0
    while read < MAX_CHECKED_EXAMPLES:
        request.report_progress(read, max(1, total))
        async with deps.store.reading() as records:
            page = await records.examples.page(
                request.workspace_id, filters, after=last, limit=_PAGE
            )
        if not page:
            break
        samples += await asyncio.to_thread(_samples_of, page, request.assistant.instructions)
        last, read = page[-1].id, read + len(page)
    return samples


def _samples_of(page: Sequence[Example], instructions: str) -> list[Sample]:
    samples = (make_sample(example, instructions) for example in page)
    return [sample for sample in samples if sample is not None]
