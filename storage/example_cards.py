"""Posted messages with buttons that approve or decline examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import ColumnElement, and_, delete, literal, select, tuple_

from bot.database_batches import batched
from bot.domain import ChannelId, ExampleId, MessageId, Place, PostedCard, WorkspaceId
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection, foreign_key_as_not_found
from storage.tables import example_cards as table

_PAGE = 200


class ExampleCards:
    """Repository of posted cards: the examples that each message shows, in order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put_card(
        self,
        workspace: WorkspaceId,
        place: Place,
        message: MessageId,
        examples: Sequence[ExampleId],
    ) -> None:
        condition = _is_card(workspace, place.channel, message)
        await self._connection.execute(delete(table).where(condition))
        rows = [
            (workspace, place.channel, message, position, example, place.thread)
            for position, example in enumerate(dict.fromkeys(examples))
        ]
        names = ["workspace", "channel", "message", "position", "example", "thread"]
        with foreign_key_as_not_found("example", ", ".join(map(str, examples))):
            await self._connection.insert_many(self._connection.insert(table), names, rows)

    async def examples_shown_in(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Sequence[ExampleId]:
        query = select(table.c.position, table.c.example).where(
            _is_card(workspace, channel, message)
        )
        return [row.example for row in await self._connection.fetch_all(query, table.c.position)]

    async def cards_showing(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> AsyncIterator[PostedCard]:
        for part in batched(examples, MAX_VALUES_PER_IN_LIST):
            last: tuple[str, str] | None = None
            while page := await self._page(workspace, part, last):
                for card in page:
                    yield card
                last = page[-1].place.channel, page[-1].message

    async def _page(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId], last: tuple[str, str] | None
    ) -> Sequence[PostedCard]:
        """Returns the next messages by channel and id, each with the listed examples it shows."""
        condition = and_(table.c.workspace == workspace, table.c.example.in_(examples))
        if last is not None:
            condition = and_(
                condition, tuple_(table.c.channel, table.c.message) > tuple_(*map(literal, last))
            )
        message_key = table.c.channel, table.c.message
        messages = (
            select(*message_key)
            .distinct()
            .where(condition)
            .order_by(*message_key)
            .limit(_PAGE)
            .subquery()
        )
        columns = *message_key, table.c.position, table.c.thread, table.c.example
        is_on = and_(table.c.channel == messages.c.channel, table.c.message == messages.c.message)
        query = select(*columns).join(messages, is_on).where(condition)
        rows = await self._connection.fetch_all(query, *message_key, table.c.position)
        examples_by_card: dict[tuple[Place, MessageId], list[ExampleId]] = defaultdict(list)
        for row in rows:
            examples_by_card[Place(workspace, row.channel, row.thread), row.message].append(
                row.example
            )
        return [
            PostedCard(*card, tuple(card_examples))
            for card, card_examples in examples_by_card.items()
        ]


def _is_card(workspace: WorkspaceId, channel: ChannelId, message: MessageId) -> ColumnElement[bool]:
    return and_(
        table.c.workspace == workspace, table.c.channel == channel, table.c.message == message
    )
