"""Runs calls of hosts concurrently until none are left, and decides which may be retried."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Container, Coroutine, Sequence
from typing import TypeVar

from bot.errors import (
    AttuneError,
    HostBusy,
    HostError,
    HostServerError,
    HostTimeout,
    HostUnreachable,
    NotFound,
    OverCap,
)

log = logging.getLogger(__name__)

Call = TypeVar("Call")

MAX_CONCURRENT_CALLS = 4
"""Most concurrent calls of a host."""
MAX_TRIES = 3
"""Requests of one call that may end in a server error or a time-out of the host."""
SECONDS_BETWEEN_CLAIMS = 1.0
"""Seconds between calls of `claim` while calls are running and `wake` is not set."""


def _no_op(call: object) -> None:
    return


async def run_calls(
    claim: Callable[[int], Awaitable[tuple[Sequence[Call], Container[int]]]],
    run: Callable[[Call], Coroutine[object, object, None]],
    *,
    of: Callable[[Call], int],
    wake: asyncio.Event,
    ended: Callable[[Call], None] = _no_op,
) -> None:
    """Returns once `claim` returns no calls and every call has ended.

    `claim` gets the number of calls that may start, and returns the calls to start and the ids of
    the runs that are still running; calls `of` any other run are cancelled. `claim` is called again
    when `wake` is set, when a call ends, and every `SECONDS_BETWEEN_CLAIMS`. An exception of a call
    is raised after the other calls were cancelled.
    """
    tasks: dict[asyncio.Task[None], Call] = {}
    try:
        while True:
            wake.clear()
            calls, running = await claim(MAX_CONCURRENT_CALLS - len(tasks))
            for task, call in tasks.items():
                # Cancelled once only, as a cancelled call still counts its paid tokens.
                if of(call) not in running and not task.cancelling():
                    task.cancel()
            tasks |= {asyncio.create_task(run(call)): call for call in calls}
            if not tasks:
                return
            for task in await _first_done(tasks, wake):
                ended(tasks.pop(task))
                if not task.cancelled():
                    task.result()
    finally:
        await _cancel(tasks)
        for call in tasks.values():
            ended(call)


async def _first_done(
    tasks: Collection[asyncio.Task[None]], wake: asyncio.Event
) -> Collection[asyncio.Task[None]]:
    """Returns the finished tasks once one has finished, `wake` is set or the time is over."""
    wake_task = asyncio.create_task(wake.wait())
    try:
        await asyncio.wait(
            {*tasks, wake_task}, timeout=SECONDS_BETWEEN_CLAIMS, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        wake_task.cancel()
    return [task for task in tasks if task.done()]


async def _cancel(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def await_call_error(call: Awaitable[None], *, run: int) -> AttuneError | None:
    """Awaits a call of a run and returns its error; an unexpected one is only logged."""
    try:
        await call
    except (HostError, NotFound, OverCap) as error:
        return error
    except Exception:
        log.exception("A call of a run could not be made", extra={"id": run})
        return AttuneError()
    return None


def may_retry_call(error: AttuneError, tries: Counter[object], call: object) -> bool:
    """Whether a call may be made again: the host did not process it, or a try is left.

    Counts the call's server errors and time-outs in `tries`; `MAX_TRIES` is their limit.
    """
    if isinstance(error, HostServerError | HostTimeout):
        tries[call] += 1
        return tries[call] < MAX_TRIES
    return isinstance(error, OverCap | HostBusy | HostUnreachable)
