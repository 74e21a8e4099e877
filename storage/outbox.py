"""The outbox: notices that are not delivered yet, or may have to be edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, and_, case, delete, exists, func, not_, select, update

from bot.domain import (
    OPEN_PHASES,
    MessageId,
    NewNotice,
    Notice,
    NoticeId,
    Place,
    WorkspaceId,
)
from storage.connection import Connection
from storage.tables import CLOSED_WORKSPACES, IS_UNDELIVERED, jobs, notices


class Outbox:
    """Repository of notices; a changed notice is due again, and its message is then edited."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(
        self,
        key: str,
        place: Place,
        kind: str,
        *,
        subject: int | None = None,
        details: Mapping[str, object] | None = None,
        at: datetime,
        only_if_new: bool = False,
        message: MessageId | None = None,
    ) -> None:
        notice = NewNotice(key, place, kind, subject, details or {})
        values = {**_values(notice, at), "message": message}
        insert = self._connection.insert(notices).values(values)
        if only_if_new:
            await self._connection.execute(insert.on_conflict_do_nothing(index_elements=["key"]))
            return
        # A notice that is postponed because of a slow platform stays postponed when it changes.
        waiting = case((IS_UNDELIVERED, notices.c.due_at), else_=insert.excluded.due_at)
        await self._connection.execute(
            insert.on_conflict_do_update(
                index_elements=["key"],
                set_={
                    "kind": insert.excluded.kind,
                    "subject": insert.excluded.subject,
                    "details": insert.excluded.details,
                    "version": notices.c.version + 1,
                    "due_at": waiting,
                },
                where=notices.c.workspace == insert.excluded.workspace,
            )
        )

    async def locale_of(self, workspace: WorkspaceId, keys: Sequence[str]) -> str | None:
        is_named = notices.c.workspace == workspace, notices.c.key.in_(keys)
        query = select(notices.c.key, notices.c.details).where(*is_named)
        rows = await self._connection.fetch_rows(query, most=len(keys))
        locales = {row.key: row.details.get("locale") for row in rows}
        return next((locale for key in keys if (locale := locales.get(key))), None)

    async def add_new(self, new: Sequence[NewNotice], *, at: datetime) -> None:
        if not new:
            return
        rows = [_values(notice, at) for notice in new]
        insert = self._connection.insert(notices)
        await self._connection.execute_for_each(
            insert.on_conflict_do_nothing(index_elements=["key"]), rows
        )

    async def list_due(self, *, now: datetime, limit: int = 50) -> Sequence[Notice]:
        rows = await self._connection.fetch_rows(
            select(notices)
            .where(
                IS_UNDELIVERED,
                notices.c.due_at <= now,
                notices.c.workspace.not_in(CLOSED_WORKSPACES),
            )
            .order_by(notices.c.due_at, notices.c.id),
            most=limit,
        )
        return [_notice(row) for row in rows]

    async def mark_delivered(
        self, notice: NoticeId, *, version: int, message: MessageId | None
    ) -> None:
        is_newer = and_(notices.c.delivered < version, notices.c.version >= version)
        values = {
            "delivered": case((is_newer, version), else_=notices.c.delivered),
            "message": func.coalesce(message, notices.c.message),
            "attempts": 0,
        }
        await self._connection.execute(update(notices).where(notices.c.id == notice).values(values))

    async def postpone(self, notice: NoticeId, *, until: datetime) -> None:
        values = {"due_at": until, "attempts": notices.c.attempts + 1}
        await self._connection.execute(update(notices).where(notices.c.id == notice).values(values))

    async def move_to_place(self, notice: NoticeId, to: Place) -> None:
        values = {"channel": to.channel, "thread": to.thread, "message": None}
        await self._connection.execute(update(notices).where(notices.c.id == notice).values(values))

    async def delete(self, notice: NoticeId) -> None:
        await self._connection.execute(delete(notices).where(notices.c.id == notice))

    async def delete_delivered_before(self, at: datetime, *, limit: int = 500) -> int:
        about_open = exists().where(
            jobs.c.workspace == notices.c.workspace,
            jobs.c.id == notices.c.subject,
            jobs.c.phase.in_(OPEN_PHASES),
        )
        old = and_(notices.c.due_at < at, not_(IS_UNDELIVERED), not_(about_open))
        ids = select(notices.c.id).where(old).order_by(notices.c.due_at).limit(limit)
        return await self._connection.execute_counting_rows(
            delete(notices).where(notices.c.id.in_(ids))
        )

    async def is_empty(self, workspace: WorkspaceId | None = None) -> bool:
        waiting = exists().select_from(notices).where(IS_UNDELIVERED)
        if workspace is not None:
            waiting = waiting.where(notices.c.workspace == workspace)
        has_none = not_(waiting)
        return bool((await self._connection.execute(select(has_none))).scalar())


def _values(notice: NewNotice, at: datetime) -> dict[str, object]:
    return {
        "key": notice.key,
        "workspace": notice.place.workspace,
        "channel": notice.place.channel,
        "thread": notice.place.thread,
        "kind": notice.kind,
        "subject": notice.subject,
        "details": notice.details,
        "version": 1,
        "delivered": 0,
        "attempts": 0,
        "due_at": at,
    }


def _notice(row: Row[Any]) -> Notice:
    return Notice(
        id=row.id,
        key=row.key,
        place=Place(row.workspace, row.channel, row.thread),
        kind=row.kind,
        subject=row.subject,
        details=row.details,
        version=row.version,
        delivered=row.delivered,
        message=row.message,
        attempts=row.attempts,
    )
