"""What is old goes, part by part: events, notices, answers and audit lines."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.ports.store import Clock, Records, Store

_UNUSED = timedelta(days=7)
"""A snapshot that no job names by then was cut off while it was written."""

Forget = Callable[[Records, datetime], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Keep:
    """How long each is kept; zero is for ever."""

    events: timedelta
    """Keys of events that are done, and notices that were delivered."""
    answers: timedelta
    """Questions and replies, with their votes."""
    audit: timedelta


async def remove_old(keep: Keep, *, store: Store, clock: Clock) -> None:
    """What an open example or job refers to stays; others can write between two parts."""
    forgotten: list[tuple[timedelta, Forget]] = [
        (keep.events, lambda records, at: records.inbox.forget_before(at)),
        (keep.events, lambda records, at: records.outbox.forget_before(at)),
        (keep.answers, lambda records, at: records.turns.forget_before(at)),
        (keep.audit, lambda records, at: records.audit.forget_before(at)),
        (_UNUSED, lambda records, at: records.snapshots.forget_unused(at)),
        (_UNUSED, lambda records, at: records.evaluations.forget_estimates(at)),
    ]
    for kept, forget in forgotten:
        if kept:
            await _remove_all(forget, clock.now() - kept, store)


async def _remove_all(forget: Forget, before: datetime, store: Store) -> None:
    gone = 1
    while gone:
        async with store.writing() as records:
            gone = await forget(records, before)
        await asyncio.sleep(0)
