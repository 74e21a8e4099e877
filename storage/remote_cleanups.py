"""Leavings: what stays at hosts of a workspace that is gone, until it is gone there too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from bot.domain import RemoteCleanup
from storage.connection import Connection
from storage.tables import remote_cleanups


class RemoteCleanups:
    """Keeps ids and nothing of anybody's words; belongs to no workspace, for there is none."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, leaving: RemoteCleanup) -> None:
        values = {
            "host": leaving.host,
            "start": leaving.start,
            "host_job": leaving.host_job,
            "files": leaving.files,
            "next_look": leaving.next_look,
            "attempts": leaving.attempts,
            "models": leaving.models,
        }
        await self._connection.run(insert(remote_cleanups).values(values))

    async def due(self, *, now: datetime) -> Sequence[RemoteCleanup]:
        wanted = (
            select(remote_cleanups)
            .where(remote_cleanups.c.next_look <= now)
            .order_by(remote_cleanups.c.id)
        )
        rows = await self._connection.rows(wanted)
        return [
            RemoteCleanup(
                row.host,
                row.start,
                row.host_job,
                tuple(row.files),
                row.next_look,
                row.attempts,
                row.id,
                tuple(row.models),
            )
            for row in rows
        ]

    async def postpone(self, leaving: int, *, until: datetime) -> None:
        own = remote_cleanups.c.id == leaving
        again = {"next_look": until, "attempts": remote_cleanups.c.attempts + 1}
        await self._connection.run(update(remote_cleanups).where(own).values(again))

    async def drop(self, leaving: int) -> None:
        await self._connection.run(delete(remote_cleanups).where(remote_cleanups.c.id == leaving))
