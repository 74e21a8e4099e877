"""Where cards stand whose buttons decide about examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, and_, delete, select

from bot.domain import ChannelId, ExampleId, MessageId, Place, StandingCard, WorkspaceId
from storage.connection import Connection, its_own, parts
from storage.tables import example_cards as table


class ExampleCards:
    """Keeps for each message the examples that it shows, in their order."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put(
        self,
        workspace: WorkspaceId,
        place: Place,
        message: MessageId,
        examples: Sequence[ExampleId],
    ) -> None:
        at = _at(workspace, place.channel, message)
        await self._connection.run(delete(table).where(at))
        rows = [
            (workspace, place.channel, message, position, example, place.thread)
            for position, example in enumerate(dict.fromkeys(examples))
        ]
        names = ["workspace", "channel", "message", "position", "example", "thread"]
        with its_own("example", ", ".join(map(str, examples))):
            await self._connection.many(self._connection.insert(table), names, rows)

    async def shown(
        self, workspace: WorkspaceId, channel: ChannelId, message: MessageId
    ) -> Sequence[ExampleId]:
        wanted = select(table.c.example).where(_at(workspace, channel, message))
        return [row.example for row in await self._connection.rows(wanted.order_by("position"))]

    async def of(
        self, workspace: WorkspaceId, examples: Sequence[ExampleId]
    ) -> Sequence[StandingCard]:
        found: dict[tuple[Place, MessageId], list[ExampleId]] = defaultdict(list)
        for part in parts(examples):
            own = and_(table.c.workspace == workspace, table.c.example.in_(part))
            columns = table.c.channel, table.c.thread, table.c.message, table.c.example
            for row in await self._connection.rows(select(*columns).where(own)):
                place = Place(workspace, row.channel, row.thread)
                found[place, row.message].append(row.example)
        return [StandingCard(*at, tuple(shown)) for at, shown in found.items()]


def _at(workspace: WorkspaceId, channel: ChannelId, message: MessageId) -> ColumnElement[bool]:
    return and_(
        table.c.workspace == workspace, table.c.channel == channel, table.c.message == message
    )
