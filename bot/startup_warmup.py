"""Runs the path of a question once at the start and rolls it back, so that the first is quick."""

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
from bot.ports.provider import Hosts
from bot.ports.store import Clock, Records, Store
from bot.private_text import find_private

_HERE = Place(WorkspaceId("rehearsal:0"), ChannelId("0"))
_NOBODY = UserId("0")
_KEY = "rehearsal"
_WITH_ALL = "token: a1b2c3d4e5f6a1b2c3d4, call +49 30 1234567"
"""Brings in all that looks for private text: in the middle of a write others would wait for it."""
_AT_ONCE = 8
"""So many who ask together find the store ready for each of them."""


async def warm_up(*, store: Store, hosts: Hosts, clock: Clock) -> None:
    """Reads and writes all that a question does; what was written is taken back."""
    await asyncio.to_thread(find_private, _WITH_ALL)
    await asyncio.gather(*(_read(store) for _ in range(_AT_ONCE)))
    assistant = assistants.initial_assistant(_workspace(), hosts=hosts)
    try:
        async with store.writing() as records:
            await _write(records, assistant, clock.now())
            raise _TakenBack
    except _TakenBack:
        pass


class _TakenBack(Exception):
    """Undoes the transaction."""


async def _read(store: Store) -> None:
    async with store.reading() as records:
        await records.workspaces.find(_HERE.workspace)
        await records.assistants.answering_in(_HERE.workspace, _HERE.channel)
        await records.roles.get(_HERE.workspace, _NOBODY)
        await records.turns.by_event(_HERE.workspace, _KEY)


async def _write(records: Records, assistant: Assistant, now: datetime) -> None:
    workspace = _workspace()
    await records.workspaces.add(workspace)
    kept = await records.assistants.add(workspace.id, assistant)
    await records.inbox.receive(workspace.id, _KEY, message_key=None, payload="", at=now)
    await records.inbox.begin(_KEY)
    turn = await records.turns.add(workspace.id, _turn(kept, now))
    await records.turns.change(workspace.id, turn.id, state=TurnState.DONE)
    await records.daily_tokens.add(workspace.id, _NOBODY, now.date(), 0)
    await records.inbox.finish(_KEY)


def _workspace() -> Workspace:
    return Workspace(_HERE.workspace, "", Sources.OUTSIDE)


def _turn(assistant: Assistant, now: datetime) -> Turn:
    return Turn(
        id=TurnId(0),
        workspace=assistant.workspace,
        assistant=assistant.id,
        place=_HERE,
        event_key=_KEY,
        asker=_NOBODY,
        question="",
        reply="",
        model=assistant.base,
        host=assistant.chat_host,
        state=TurnState.STREAMING,
        at=now,
        reply_message=MessageId("0"),
    )
