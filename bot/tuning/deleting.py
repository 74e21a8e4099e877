"""Deletions at hosts, once they can no longer be undone; what a host refuses is told."""

from __future__ import annotations

import contextlib
import logging
from datetime import datetime, timedelta

from bot.domain import (
    ChannelId,
    HostName,
    JobId,
    MessageId,
    ModelName,
    Notice,
    Place,
    Undoable,
)
from bot.errors import (
    AttuneError,
    HostError,
    HostForgot,
    HostRefused,
    deserialize,
    serialize,
)
from bot.ports.provider import Host, Hosts, Serving
from bot.ports.store import Clock, Records, Store
from bot.replies import Drawn, Text
from bot.tuning.notices import may_quote
from bot.words import Words

log = logging.getLogger(__name__)

KEPT = "hosted.kept_there"
_WAIT, _DOUBLINGS = timedelta(minutes=1), 6


async def clear(
    host: HostName | None, *, store: Store, hosts: Hosts, clock: Clock
) -> datetime | None:
    """Delete what is due at one host, None for what needs no host; when the next is due."""
    async with store.reading() as records:
        due = await records.undoables.due(host, now=clock.now())
    for one in due:
        await _clear(one, store=store, hosts=hosts, clock=clock)
    async with store.reading() as records:
        return await records.undoables.next_due(host)


async def _clear(one: Undoable, *, store: Store, hosts: Hosts, clock: Clock) -> None:
    try:
        if one.host is not None:
            await _delete(one, hosts.get(one.host), store)
    except HostRefused as error:
        await _give_up(one, error, store=store, clock=clock)
        return
    except HostError as error:
        log.warning("A deletion must wait", extra={"why": error.key})
        wait = _WAIT * 2 ** min(one.attempts, _DOUBLINGS)
        async with store.writing() as records:
            await records.undoables.postpone(one.id, until=clock.now() + wait)
        return
    async with store.writing() as records:
        await records.undoables.drop(one.id)


async def _delete(one: Undoable, host: Host, store: Store) -> None:
    if one.kind == "model":
        await _delete_model(one, host, store)
    else:
        with contextlib.suppress(HostForgot):
            await host.delete_file(str(one.details["file"]))
        async with store.writing() as records:
            await _forget_file(one, records)


async def _delete_model(one: Undoable, host: Host, store: Store) -> None:
    name = ModelName(str(one.details["model"]))
    async with store.reading() as records:
        model = await records.models.find(one.workspace, name)
    if model is None:
        return
    if model.called is not None and host.profile.serving is Serving.BY_CALL:
        with contextlib.suppress(HostForgot):
            await host.undeploy(model.called)
    with contextlib.suppress(HostForgot):
        await host.delete_model(name)
    left = {each.name for each in await host.models()}
    async with store.writing() as records:
        # Some hosts let a model's checkpoints go with it.
        for each in await records.models.all(one.workspace, model.assistant):
            if each.job == model.job and each.host == model.host and each.name not in left:
                await records.models.delete(one.workspace, each.name)


async def _forget_file(one: Undoable, records: Records) -> None:
    file = str(one.details["file"])
    job = await records.jobs.get(one.workspace, JobId(int(str(one.details["job"]))))
    left: dict[str, object] = {
        "result_files": tuple(each for each in job.result_files if each != file)
    }
    for name in ("training_file", "validation_file"):
        if getattr(job, name) == file:
            left[name] = None
    await records.jobs.change(one.workspace, job.id, when=None, **left)


async def _give_up(one: Undoable, error: HostError, *, store: Store, clock: Clock) -> None:
    """It stays at its host, so it is listed again, and whoever deleted it hears why."""
    details = one.details
    thread = details.get("thread")
    place = Place(
        one.workspace,
        ChannelId(str(details["channel"])),
        MessageId(str(thread)) if thread else None,
    )
    name = str(details.get("model") or details.get("file"))
    async with store.writing() as records:
        if one.kind == "model":
            await records.models.restore(one.workspace, ModelName(name))
        await records.outbox.put(
            f"{one.workspace}.kept.{one.id}",
            place,
            KEPT,
            details={"name": name, "why": serialize(error)},
            at=clock.now(),
        )
        await records.undoables.drop(one.id)


async def word_kept(notice: Notice, records: Records, words: Words) -> Drawn | None:
    kept = notice.details.get("why")
    why = deserialize(kept) if isinstance(kept, dict) else None
    name, error = notice.details.get("name"), why or AttuneError()
    told = words.error(error) if may_quote(notice) else words.plain(error)
    return Text(words("hosted.kept_there", name=name, why=told))
