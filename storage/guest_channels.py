"""Channels in which guests and people of another organisation may ask."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from bot.domain import ChannelId, WorkspaceId
from bot.ports.store import ALL_CHANNELS
from storage.connection import Connection
from storage.tables import guest_channels


class GuestChannels:
    """Repository of the channels that are open to guests; `ALL_CHANNELS` stands for all."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def set_may_ask(
        self, workspace: WorkspaceId, channel: ChannelId, *, may_ask: bool
    ) -> None:
        columns = guest_channels.c
        if may_ask:
            insert = self._connection.insert(guest_channels)
            values = insert.values(workspace=workspace, channel=channel)
            await self._connection.execute(values.on_conflict_do_nothing())
            return
        condition = (columns.workspace == workspace) & (columns.channel == channel)
        await self._connection.execute(delete(guest_channels).where(condition))

    async def all(self, workspace: WorkspaceId) -> Sequence[ChannelId]:
        columns = guest_channels.c
        statement = select(columns.channel).where(columns.workspace == workspace)
        rows = await self._connection.fetch_all(statement, columns.channel)
        return [row.channel for row in rows]

    async def allows(self, workspace: WorkspaceId, channel: ChannelId) -> bool:
        columns = guest_channels.c
        is_open = columns.channel.in_([channel, ALL_CHANNELS])
        statement = select(columns.channel).where(columns.workspace == workspace, is_open)
        return await self._connection.fetch_first(statement) is not None
