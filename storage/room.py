"""The room: messages of the local workspace, which has no chat platform."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, Column, Row, and_, delete, func, or_, select, update

from bot.domain import LOCAL, Attachment, ChannelId, RoomMessage, User, UserId
from storage.connection import PAGE_ROWS, Connection
from storage.tables import room_messages, room_reactions

Reactions = Mapping[int, Sequence[tuple[str, UserId]]]


class Room:
    """Repository of the room's messages and of their reactions, in order of arrival."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def post(
        self,
        channel: ChannelId,
        *,
        author: User,
        text: str,
        body: str | None,
        is_own: bool,
        at: datetime,
        thread: int | None = None,
        reply_to: int | None = None,
        key: str | None = None,
        files: Sequence[Attachment] = (),
    ) -> RoomMessage:
        # An upsert would use up a message number each time, and people see the numbers.
        existing = await self._by_key(key)
        if existing is not None:
            edited = await self.edit(existing, text=text, body=body, at=at)
            assert edited is not None
            return edited
        insert = self._connection.insert(room_messages).values(
            workspace=LOCAL,
            channel=channel,
            thread=thread,
            author=author,
            author_id=author.id,
            text=text,
            body=body,
            is_own=is_own,
            at=at,
            reply_to=reply_to,
            key=key,
            files=list(files) or None,
        )
        row = (await self._connection.execute(insert.returning(*_COLUMNS))).one()
        return _message(row, {})

    async def edit(
        self, number: int, *, text: str, body: str | None, at: datetime
    ) -> RoomMessage | None:
        condition = room_messages.c.number == number
        changes: dict[str, object] = {"text": text, "body": body, "edited_at": at}
        if not text and body is None:
            changes["files"] = None
        statement = update(room_messages).where(condition).values(changes).returning(*_COLUMNS)
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else _message(row, await self._reactions([number]))

    async def get(self, number: int) -> RoomMessage | None:
        condition = room_messages.c.number == number
        row = await self._connection.fetch_first(select(*_COLUMNS).where(condition))
        return None if row is None else _message(row, await self._reactions([number]))

    async def page(
        self,
        channel: ChannelId,
        *,
        before: int | None = None,
        thread: int | None = None,
        limit: int = 50,
    ) -> Sequence[RoomMessage]:
        statement = select(*_COLUMNS).where(room_messages.c.channel == channel)
        if before is not None:
            statement = statement.where(room_messages.c.number < before)
        if thread is not None:
            statement = statement.where(
                or_(room_messages.c.number == thread, room_messages.c.thread == thread)
            )
        newest = statement.order_by(room_messages.c.number.desc())
        rows = (await self._connection.fetch_rows(newest, most=limit))[::-1]
        reactions = await self._reactions([row.number for row in rows])
        return [_message(row, reactions) for row in rows]

    async def set_reaction(self, number: int, emoji: str, user: UserId, *, on: bool = True) -> None:
        if not on:
            condition = and_(
                room_reactions.c.number == number,
                room_reactions.c.emoji == emoji,
                room_reactions.c.user == user,
            )
            await self._connection.execute(delete(room_reactions).where(condition))
        elif await self.get(number) is not None:
            insert = self._connection.insert(room_reactions).values(
                workspace=LOCAL, number=number, emoji=emoji, user=user
            )
            await self._connection.execute(insert.on_conflict_do_nothing())

    async def _by_key(self, key: str | None) -> int | None:
        if key is None:
            return None
        row = await self._connection.fetch_first(
            select(room_messages.c.number).where(room_messages.c.key == key)
        )
        return None if row is None else int(row.number)

    async def list_channels(self) -> Sequence[ChannelId]:
        return list(map(ChannelId, await self._distinct(room_messages.c.channel)))

    async def list_authors(self) -> Sequence[UserId]:
        return list(map(UserId, await self._distinct(room_messages.c.author_id)))

    async def file_references(self) -> Sequence[str]:
        references: list[str] = []
        number, files = room_messages.c.number, room_messages.c.files
        with_files = select(number, files).where(files.is_not(None), number > 0)
        async for row in self._connection.stream(with_files, number):
            references += [file["reference"] for file in row.files]
        return references

    async def _distinct(self, column: Column[Any]) -> Sequence[str]:
        values: list[str] = []
        while True:
            page = select(_distinct_values(column, values[-1] if values else ""))
            rows = await self._connection.fetch_rows(page, most=PAGE_ROWS)
            values += [str(row.value) for row in rows if row.value is not None]
            if len(rows) < PAGE_ROWS:
                return values

    async def _reactions(self, numbers: Sequence[int]) -> Reactions:
        reactions: dict[int, list[tuple[str, UserId]]] = defaultdict(list)
        if numbers:
            condition = room_reactions.c.number.in_(numbers)
            query = select(room_reactions).where(condition)
            async for row in self._connection.stream(query, room_reactions.c.position):
                reactions[row.number].append((row.emoji, row.user))
        return reactions


def _distinct_values(column: Column[Any], after: str) -> CTE:
    """Returns the distinct values of a column by its index; DISTINCT would read all rows."""
    first = select(func.min(column).label("value")).where(column > after)
    values = first.cte("distinct_values", recursive=True)
    next_value = select(func.min(column)).where(column > values.c.value).scalar_subquery()
    return values.union_all(select(next_value).where(values.c.value.is_not(None)))


_COLUMNS = [column for column in room_messages.c if column.name not in ("workspace", "author_id")]


def _message(row: Row[Any], reactions: Reactions) -> RoomMessage:
    values = row._asdict()
    files = tuple(Attachment(**file) for file in values.pop("files") or ())
    return RoomMessage(**values, files=files, reactions=tuple(reactions.get(row.number, ())))
