"""Remote cleanups: files and models at hosts of removed workspaces and abandoned jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, insert, select, update

from bot.domain import RemoteCleanup
from storage.connection import Connection, PagedQuery
from storage.tables import remote_cleanups

_DUE = PagedQuery(
    select(remote_cleanups).where(remote_cleanups.c.next_attempt_at <= bindparam("now")),
    remote_cleanups.c.id,
)


class RemoteCleanups:
    """Repository of remote cleanups, which hold ids only and outlive their workspace."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, cleanup: RemoteCleanup) -> None:
        values = {
            "host": cleanup.host,
            "idempotency_key": cleanup.idempotency_key,
            "host_job": cleanup.host_job,
            "files": cleanup.files,
            "next_attempt_at": cleanup.next_attempt_at,
            "attempts": cleanup.attempts,
            "models": cleanup.models,
        }
        await self._connection.execute(insert(remote_cleanups).values(values))

    async def list_due(self, *, now: datetime) -> Sequence[RemoteCleanup]:
        rows = await self._connection.fetch_pages(_DUE, now=now)
        return [
            RemoteCleanup(
                row.host,
                row.idempotency_key,
                row.host_job,
                tuple(row.files),
                row.next_attempt_at,
                row.attempts,
                row.id,
                tuple(row.models),
            )
            for row in rows
        ]

    async def postpone(self, cleanup: int, *, until: datetime) -> None:
        condition = remote_cleanups.c.id == cleanup
        values = {"next_attempt_at": until, "attempts": remote_cleanups.c.attempts + 1}
        await self._connection.execute(update(remote_cleanups).where(condition).values(values))

    async def delete(self, cleanup: int) -> None:
        await self._connection.execute(
            delete(remote_cleanups).where(remote_cleanups.c.id == cleanup)
        )
