"""What is not wanted any more, of workspaces that left and jobs given up, goes at its host."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Sequence
from datetime import timedelta

from bot.domain import HostName, RemoteCleanup
from bot.errors import HostError, HostForgot, HostRefused, KeyRefused, NotFound
from bot.ports.provider import Host, Hosts
from bot.ports.store import Clock, Store

log = logging.getLogger(__name__)

_SOON, _SELDOM = timedelta(minutes=5), timedelta(days=1)
_DOUBLINGS = 10


async def clear(host: HostName | None, *, store: Store, hosts: Hosts, clock: Clock) -> None:
    """Remove what is due at one host, None for all that are configured no more.

    What cannot be removed now is tried again, ever more seldom, for good.
    """
    async with store.reading() as records:
        due = await records.remote_cleanups.due(now=clock.now())
    for one in due:
        if one.host != host and (host is not None or one.host in hosts.names()):
            continue
        is_gone = await _removed(one, hosts)
        async with store.writing() as records:
            if is_gone:
                await records.remote_cleanups.drop(one.id)
            else:
                wait = min(_SELDOM, _SOON * 2 ** min(one.attempts, _DOUBLINGS))
                await records.remote_cleanups.postpone(one.id, until=clock.now() + wait)


async def _removed(leaving: RemoteCleanup, hosts: Hosts) -> bool:
    try:
        await _remove(leaving, hosts.get(leaving.host))
    except (HostError, NotFound) as error:
        log.warning("A host keeps what is not wanted any more", extra={"why": error.key})
        return False
    except Exception:
        log.exception("What is not wanted any more could not be removed")
        return False
    return True


async def _remove(leaving: RemoteCleanup, host: Host) -> None:
    # By its name too: an upload may have been under way when it was given up.
    prefix = f"attune-{leaving.start}-"
    named = {file.id async for file in host.files() if file.name.startswith(prefix)}
    files = {*leaving.files, *named}
    for job in await _jobs(leaving, files, host):
        await _cancel(job, host)
    for file in sorted(files):
        with contextlib.suppress(HostForgot):
            await host.delete_file(file)
    for model in leaving.models:
        with contextlib.suppress(HostForgot):
            await host.delete_model(model)


async def _jobs(leaving: RemoteCleanup, files: Collection[str], host: Host) -> Sequence[str]:
    """The job that is known; else those of these files, for one may have just been made."""
    if leaving.host_job is not None:
        return [leaving.host_job]
    if not files:
        return []
    return [job.id async for job in host.jobs() if job.training_file in files]


async def _cancel(job: str, host: Host) -> None:
    """One that has ended cannot be cancelled, and need not be."""
    try:
        await host.cancel_job(job)
    except KeyRefused:
        raise
    except HostRefused:
        return
