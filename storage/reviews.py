"""Reviews: verdicts about examples before they are decided, and whom examples are assigned to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, delete, exists, func, insert, literal, or_, select

from bot.database_batches import batched
from bot.domain import (
    AUTHOR_KINDS,
    VERDICT_KINDS,
    AssistantId,
    ExampleId,
    Review,
    ReviewKind,
    UserId,
    WorkspaceId,
)
from storage.connection import MAX_VALUES_PER_IN_LIST, Connection
from storage.tables import example_reviews as table
from storage.tables import examples

_COLUMNS = ["workspace", "example", "user", "kind", "revision", "at", "note"]


class Reviews:
    """Repository of reviews: one verdict per person and example, and one answer per author."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def put_reviews(
        self,
        workspace: WorkspaceId,
        example_ids: Sequence[ExampleId],
        user: UserId,
        kind: ReviewKind,
        *,
        at: datetime,
        note: str = "",
    ) -> None:
        for part in batched(example_ids, MAX_VALUES_PER_IN_LIST):
            await self._drop(workspace, part, user, kind)
            review = (literal(user), literal(kind.value), examples.c.revision)
            rows = select(
                examples.c.workspace,
                examples.c.id,
                *review,
                literal(at, table.c.at.type),
                literal(note),
            ).where(examples.c.workspace == workspace, examples.c.id.in_(part))
            await self._connection.execute(insert(table).from_select(_COLUMNS, rows))

    async def delete_review(
        self, workspace: WorkspaceId, example: ExampleId, user: UserId, kind: ReviewKind
    ) -> bool:
        return await self._drop(workspace, [example], user, kind) > 0

    async def unassign(self, workspace: WorkspaceId, example: ExampleId) -> None:
        condition = and_(table.c.workspace == workspace, table.c.example == example)
        await self._connection.execute(
            delete(table).where(condition, table.c.kind == ReviewKind.ASSIGNED)
        )

    async def list_for_example(
        self, workspace: WorkspaceId, example: ExampleId
    ) -> Sequence[Review]:
        condition = and_(table.c.workspace == workspace, table.c.example == example)
        rows = await self._connection.fetch_all(
            select(table).where(condition), table.c.user, table.c.kind
        )
        return [Review(row.user, row.kind, row.revision, row.at, row.note) for row in rows]

    async def agreed_examples(
        self,
        workspace: WorkspaceId,
        example_ids: Sequence[ExampleId],
        kind: ReviewKind,
        *,
        needed: int,
    ) -> Sequence[ExampleId]:
        agreed: list[ExampleId] = []
        for part in batched(example_ids, MAX_VALUES_PER_IN_LIST):
            condition = and_(
                table.c.workspace == workspace, table.c.example.in_(part), table.c.kind == kind
            )
            enough = (
                select(table.c.example)
                .join(examples, _is_of_current_text())
                .where(condition)
                .group_by(table.c.example)
                .having(func.count() >= needed)
            )
            rows = await self._connection.fetch_rows(enough, most=len(part))
            agreed += [ExampleId(row.example) for row in rows]
        return agreed

    async def verdicts_by_person(
        self, workspace: WorkspaceId, assistant: AssistantId
    ) -> Sequence[Mapping[UserId, str]]:
        query = (
            select(table.c.example, table.c.revision, table.c.user, table.c.kind)
            .join(
                examples,
                and_(examples.c.workspace == table.c.workspace, examples.c.id == table.c.example),
            )
            .where(
                table.c.workspace == workspace,
                examples.c.assistant == assistant,
                table.c.kind.in_(VERDICT_KINDS),
            )
        )
        verdicts: dict[tuple[int, int], dict[UserId, str]] = defaultdict(dict)
        async for row in self._connection.stream(
            query, table.c.example, table.c.user, table.c.kind
        ):
            verdicts[row.example, row.revision][row.user] = str(row.kind)
        return [by_user for by_user in verdicts.values() if len(by_user) > 1]

    async def _drop(
        self,
        workspace: WorkspaceId,
        numbers: Sequence[ExampleId],
        user: UserId,
        kind: ReviewKind,
    ) -> int:
        """Deletes the person's earlier verdict or answer; for an assignment, that of any person."""
        if kind is ReviewKind.ASSIGNED:
            replaced = table.c.kind == kind
        else:
            exclusive = VERDICT_KINDS if kind in VERDICT_KINDS else AUTHOR_KINDS
            replaced = and_(table.c.user == user, table.c.kind.in_(exclusive))
        condition = and_(table.c.workspace == workspace, table.c.example.in_(numbers))
        return await self._connection.execute_counting_rows(
            delete(table).where(condition, replaced)
        )


def awaits_review_by(reviewer: UserId) -> ColumnElement[bool]:
    """Whether the example of the query is unassigned or the reviewer's, and not yet judged by them.

    Verdicts about earlier revisions do not count.
    """
    condition = and_(table.c.workspace == examples.c.workspace, table.c.example == examples.c.id)
    assigned = and_(condition, table.c.kind == ReviewKind.ASSIGNED)
    is_free = or_(~exists().where(assigned), exists().where(assigned, table.c.user == reviewer))
    judged = exists().where(
        condition,
        table.c.user == reviewer,
        table.c.kind.in_(VERDICT_KINDS),
        table.c.revision == examples.c.revision,
    )
    return and_(is_free, ~judged)


def _is_of_current_text() -> ColumnElement[bool]:
    return and_(
        examples.c.workspace == table.c.workspace,
        examples.c.id == table.c.example,
        examples.c.revision == table.c.revision,
    )
