"""What is old goes, part by part: events, notices, answers and audit lines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from bot.batches import run_in_batches
from bot.ports.store import Clock, Records, Store

_UNUSED = timedelta(days=7)
"""A snapshot that no job names by then was cut off while it was written."""

Forget = Callable[[Records, datetime, int], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class RetentionPeriods:
    """How long each is kept; zero is for ever."""

    events: timedelta
    """Keys of events that are done, and notices that were delivered."""
    answers: timedelta
    """Questions and replies, with their votes."""
    audit: timedelta


async def remove_old(keep: RetentionPeriods, *, store: Store, clock: Clock) -> None:
    """What an open example or job refers to stays; others can write between two parts."""
    forgotten: list[tuple[timedelta, Forget]] = [
        (keep.events, lambda records, at, most: records.inbox.forget_before(at, limit=most)),
        (keep.events, lambda records, at, most: records.outbox.forget_before(at, limit=most)),
        (keep.answers, lambda records, at, most: records.turns.forget_before(at, limit=most)),
        (keep.audit, lambda records, at, most: records.audit.forget_before(at, limit=most)),
        (_UNUSED, lambda records, at, most: records.snapshots.forget_unused(at, limit=most)),
        (_UNUSED, lambda records, at, most: records.evaluations.forget_estimates(at, limit=most)),
    ]
    for kept, forget in forgotten:
        if kept:
            await run_in_batches(partial(_forget, forget, clock.now() - kept), store)


async def _forget(forget: Forget, before: datetime, records: Records, most: int) -> int:
    return await forget(records, before, most)
