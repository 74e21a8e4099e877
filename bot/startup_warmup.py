"""Warms up at the start: loads what first uses would wait for, and runs a question's queries."""

from __future__ import annotations

import asyncio
from datetime import datetime

from bot import assistants
from bot.domain import (
    Assistant,
    ChannelId,
    MessageId,
    Place,
    Sources,
    Turn,
    TurnId,
    TurnState,
    UserId,
    Workspace,
    WorkspaceId,
)
from bot.ports.model_hosts import Hosts
from bot.ports.nearest_examples import NearestExamples
from bot.ports.store import Clock, Records, Store
from bot.private_text import load_detectors

_PLACE = Place(WorkspaceId("rehearsal:0"), ChannelId("0"))
_USER = UserId("0")
_KEY = "rehearsal"
_CONCURRENT_READS = 8
"""Number of concurrent reads, which opens as many database connections."""


async def warm_up_service(
    *, store: Store, hosts: Hosts, clock: Clock, nearest_examples: NearestExamples
) -> None:
    """Loads detectors, and word vectors where they are used; makes a question's reads and writes.

    The writes are rolled back.
    """
    await asyncio.to_thread(load_detectors)
    await asyncio.gather(*(_read(store) for _ in range(_CONCURRENT_READS)))
    async with store.reading() as records:
        sends_examples = await records.assistants.any_sends_examples()
    if sends_examples:
        await nearest_examples.warm_up()
    assistant = assistants.initial_assistant(_workspace(), hosts=hosts)
    try:
        async with store.writing() as records:
            await _write(records, assistant, clock.now())
            raise _RolledBack
    except _RolledBack:
        pass


class _RolledBack(Exception):
    """Rolls the transaction back."""


async def _read(store: Store) -> None:
    async with store.reading() as records:
        await records.workspaces.find(_PLACE.workspace)
        await records.assistants.answering_in(_PLACE.workspace, _PLACE.channel)
        await records.roles.get(_PLACE.workspace, _USER)
        await records.turns.by_event(_PLACE.workspace, _KEY)


async def _write(records: Records, assistant: Assistant, now: datetime) -> None:
    workspace = _workspace()
    await records.workspaces.add(workspace)
    stored = await records.assistants.add(workspace.id, assistant)
    await records.inbox.add(workspace.id, _KEY, message_key=None, payload="", at=now)
    await records.inbox.mark_begun(_KEY)
    turn = await records.turns.add(workspace.id, _turn(stored, now))
    await records.turns.update_fields(workspace.id, turn.id, state=TurnState.DONE)
    await records.daily_tokens.add(workspace.id, _USER, now.date(), 0)
    await records.inbox.mark_done(_KEY)


def _workspace() -> Workspace:
    return Workspace(_PLACE.workspace, "", Sources.OUTSIDE)


def _turn(assistant: Assistant, now: datetime) -> Turn:
    return Turn(
        id=TurnId(0),
        workspace=assistant.workspace,
        assistant=assistant.id,
        place=_PLACE,
        event_key=_KEY,
        asker=_USER,
        question="",
        reply="",
        model=assistant.base,
        host=assistant.chat_host,
        state=TurnState.STREAMING,
        at=now,
        reply_message=MessageId("0"),
    )
