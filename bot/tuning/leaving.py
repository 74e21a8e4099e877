"""What a workspace that left still has at hosts is removed there, and then forgotten."""

from __future__ import annotations

import contextlib
import logging
from datetime import timedelta

from bot.errors import HostError, HostForgot, HostRefused, KeyRefused, NotFound
from bot.model import Leaving
from bot.ports.provider import Host, Hosts
from bot.ports.store import Clock, Store

log = logging.getLogger(__name__)

_SOON, _SELDOM = timedelta(minutes=5), timedelta(days=1)
_DOUBLINGS = 10


async def clear(*, store: Store, hosts: Hosts, clock: Clock) -> None:
    """Remove what is due; what cannot be removed now is tried again, ever more seldom, for good."""
    async with store.reading() as records:
        due = await records.leavings.due(now=clock.now())
    for one in due:
        is_gone = await _removed(one, hosts)
        async with store.writing() as records:
            if is_gone:
                await records.leavings.drop(one.id)
            else:
                wait = min(_SELDOM, _SOON * 2 ** min(one.attempts, _DOUBLINGS))
                await records.leavings.postpone(one.id, until=clock.now() + wait)


async def _removed(leaving: Leaving, hosts: Hosts) -> bool:
    try:
        await _remove(leaving, hosts.get(leaving.host))
    except (HostError, NotFound) as error:
        log.warning("A host keeps what a workspace left", extra={"why": error.key})
        return False
    return True


async def _remove(leaving: Leaving, host: Host) -> None:
    if leaving.host_job is not None:
        await _cancel(leaving.host_job, host)
    # By its name too: an upload may have been under way when the workspace left.
    prefix = f"attune-{leaving.start}-"
    named = {file.id async for file in host.files() if file.name.startswith(prefix)}
    for file in sorted({*leaving.files, *named}):
        with contextlib.suppress(HostForgot):
            await host.delete_file(file)


async def _cancel(job: str, host: Host) -> None:
    """One that has ended cannot be cancelled, and need not be."""
    try:
        await host.cancel_job(job)
    except KeyRefused:
        raise
    except HostRefused:
        return
