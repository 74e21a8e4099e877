"""The chat messages that examples were made from, and who marked them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, delete, func, literal, select

from bot.database_batches import batched
from bot.domain import ChannelId, ExampleId, ExampleSource, MessageId, UserId, WorkspaceId
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection
from storage.tables import example_markers, example_messages, examples

_COLUMNS = ["workspace", "example", "channel", "message", "thread"]


class ExampleMessages:
    """Repository of the messages of each example, so that edits and deletions can be followed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add_messages(
        self, workspace: WorkspaceId, example: ExampleId, messages: Sequence[ExampleSource]
    ) -> None:
        for source in dict.fromkeys(messages):
            values = (source.channel, source.message, source.thread)
            row = select(
                examples.c.workspace, examples.c.id, *(literal(value) for value in values)
            ).where(examples.c.workspace == workspace, examples.c.id == example)
            insert = self._connection.insert(example_messages).from_select(_COLUMNS, row)
            await self._connection.execute(insert.on_conflict_do_nothing())

    async def example_ids_of_messages(
        self, workspace: WorkspaceId, channel: ChannelId, messages: Sequence[MessageId]
    ) -> Sequence[ExampleId]:
        numbers: set[ExampleId] = set()
        for part in batched(messages, MAX_VALUES_PER_IN_LIST):
            condition = and_(
                example_messages.c.workspace == workspace,
                example_messages.c.channel == channel,
                example_messages.c.message.in_(part),
            )
            statement = select(example_messages.c.example).distinct().where(condition)
            rows = await self._connection.fetch_all(statement, example_messages.c.example)
            numbers.update(ExampleId(row.example) for row in rows)
        return sorted(numbers)

    async def example_ids_in_channel(
        self,
        workspace: WorkspaceId,
        channel: ChannelId,
        thread: MessageId | None,
        *,
        limit: int = 500,
    ) -> Sequence[ExampleId]:
        condition = and_(
            example_messages.c.workspace == workspace, example_messages.c.channel == channel
        )
        if thread is not None:
            condition = and_(condition, example_messages.c.thread == thread)
        # Unordered: for a sort, the database would read all remaining rows.
        rows = await self._connection.fetch_rows(
            select(example_messages.c.example).where(condition), most=limit
        )
        return sorted({ExampleId(row.example) for row in rows})

    async def messages_of(
        self, workspace: WorkspaceId, example: ExampleId
    ) -> Sequence[ExampleSource]:
        condition = and_(
            example_messages.c.workspace == workspace, example_messages.c.example == example
        )
        columns = [example_messages.c[name] for name in ("channel", "message", "thread")]
        rows = await self._connection.fetch_all(select(*columns).where(condition), *columns[:2])
        return [ExampleSource(row.channel, row.message, row.thread) for row in rows]

    async def add_marker(self, workspace: WorkspaceId, example: ExampleId, user: UserId) -> None:
        row = select(examples.c.workspace, examples.c.id, literal(user)).where(
            examples.c.workspace == workspace, examples.c.id == example
        )
        insert = self._connection.insert(example_markers)
        insert = insert.from_select(["workspace", "example", "user"], row)
        await self._connection.execute(insert.on_conflict_do_nothing())

    async def remove_marker(
        self, workspace: WorkspaceId, example: ExampleId, user: UserId
    ) -> int | None:
        condition = and_(
            example_markers.c.workspace == workspace, example_markers.c.example == example
        )
        own_mark = delete(example_markers).where(condition, example_markers.c.user == user)
        if not await self._connection.execute_counting_rows(own_mark):
            return None
        remaining = select(func.count()).select_from(example_markers).where(condition)
        return int((await self._connection.execute(remaining)).scalar_one())
