"""Conditions that select examples, and reading them with authors and tags."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Table,
    Text,
    and_,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
)

from bot.domain import (
    AssistantId,
    Example,
    ExampleFilter,
    ExampleId,
    ExampleOrder,
    ExampleState,
    NewExample,
    WorkspaceId,
    short_fingerprint,
)
from storage.connection import Connection
from storage.examples.example_columns import example_of
from storage.reviews import awaits_review_by
from storage.tables import IS_ACTIVE, IS_EDITED, example_authors, example_tags, examples

ACTIVE_STATES = (ExampleState.PROPOSED, ExampleState.APPROVED)

_SHOWN = [column for column in examples.c if column.name not in ("search_text", "fingerprint")]


async def read_examples(
    connection: Connection,
    workspace: WorkspaceId,
    *conditions: ColumnElement[bool],
    limit: int,
    order: ExampleOrder = ExampleOrder.OLDEST,
) -> list[Example]:
    """Returns the first examples in this order that meet the conditions, with authors and tags."""
    is_descending = order is ExampleOrder.NEWEST
    rows = await connection.fetch_rows(
        select(*_SHOWN)
        .where(examples.c.workspace == workspace, *conditions)
        .order_by(
            *_sort_columns(order, examples),
            examples.c.id.desc() if is_descending else examples.c.id,
        ),
        most=limit,
    )
    ids = [row.id for row in rows]
    authors = await _items_by_example(connection, example_authors, workspace, ids)
    tags = await _items_by_example(connection, example_tags, workspace, ids)
    return [example_of(row, authors[row.id], tags[row.id]) for row in rows]


def comes_after(
    order: ExampleOrder, workspace: WorkspaceId, after: ExampleId
) -> ColumnElement[bool]:
    """Whether an example comes after the example `after` in this order."""
    if order is ExampleOrder.NEWEST:
        return examples.c.id < after
    last = examples.alias("last")
    condition = and_(last.c.workspace == workspace, last.c.id == after)
    last_key = [
        select(column).where(condition).scalar_subquery() for column in _sort_columns(order, last)
    ]
    return tuple_(*_sort_columns(order, examples), examples.c.id) > tuple_(
        *last_key, literal(after)
    )


def _sort_columns(order: ExampleOrder, table: FromClause) -> tuple[ColumnElement[Any], ...]:
    """Returns the columns to sort by before the id."""
    match order:
        case ExampleOrder.QUESTION:
            return (func.coalesce(table.c.search_text, ""),)
        case ExampleOrder.STATE | ExampleOrder.ORIGIN:
            return (table.c[order.value],)
    return ()


async def _items_by_example(
    connection: Connection, table: Table, workspace: WorkspaceId, ids: Sequence[int]
) -> Mapping[int, list[Any]]:
    lists: dict[int, list[Any]] = defaultdict(list)
    if ids:
        query = select(table).where(belonging_to(table, workspace, ids))
        async for row in connection.stream(query, table.c.example, table.c.position):
            lists[row.example].append(row.item)
    return lists


def has_id_in(workspace: WorkspaceId, ids: Sequence[int]) -> ColumnElement[bool]:
    return and_(examples.c.workspace == workspace, examples.c.id.in_(ids))


def belonging_to(table: Table, workspace: WorkspaceId, ids: Sequence[int]) -> ColumnElement[bool]:
    return and_(table.c.workspace == workspace, table.c.example.in_(ids))


def of_assistant(workspace: WorkspaceId, assistant: AssistantId) -> ColumnElement[bool]:
    return and_(examples.c.workspace == workspace, examples.c.assistant == assistant)


def filter_conditions(filters: ExampleFilter) -> Iterator[ColumnElement[bool]]:
    equal = {
        "assistant": filters.assistant,
        "state": filters.state,
        "method": filters.method,
        "origin": filters.origin,
        "held_out": filters.held_out,
    }
    yield from (examples.c[name] == value for name, value in equal.items() if value is not None)
    if filters.search:
        yield examples.c.search_text.contains(filters.search.casefold(), autoescape=True)
    if filters.author is not None:
        yield has_item(example_authors, filters.author)
    if filters.hidden_exclusions:
        is_open = examples.c.exclusions.bitwise_and(int(filters.hidden_exclusions)) == 0
        yield or_(is_open, examples.c.channel == filters.visible_in_channel)
    yield from _special_conditions(filters)
    if filters.tag is not None:
        yield has_item(example_tags, filters.tag)


def _special_conditions(filters: ExampleFilter) -> Iterator[ColumnElement[bool]]:
    """Yields the conditions that are more than the value of a column."""
    if filters.undecided_private_text:
        # A literal, so that SQLite uses the partial index.
        yield examples.c.private_text != literal_column("0")
        yield examples.c.private_text.bitwise_and(int(filters.undecided_private_text)) != 0
        yield examples.c.keeps_private_text.is_(False)
    if filters.reviewer is not None:
        yield awaits_review_by(filters.reviewer)
    if filters.created_before is not None:
        yield examples.c.created_at < filters.created_before
        yield or_(examples.c.row.is_not(None), examples.c.message.is_not(None))
    if filters.is_unapproved:
        yield examples.c.state != ExampleState.APPROVED
    if filters.only_active:
        yield IS_ACTIVE
    if filters.edited_since is not None:
        yield IS_EDITED
        yield examples.c.revised_at >= filters.edited_since


def has_item(table: Table, item: str) -> ColumnElement[bool]:
    condition = and_(table.c.workspace == examples.c.workspace, table.c.example == examples.c.id)
    return exists().where(condition, table.c.item == item)


def is_duplicate_of(example: NewExample) -> ColumnElement[bool]:
    """Returns a condition for active examples with the same text or message, of the same
    assistant.
    """
    same = []
    if example.row is not None:
        same.append(examples.c.fingerprint == short_fingerprint(example.row))
    if example.source is not None:
        same.append(
            and_(
                examples.c.channel == example.source.channel,
                examples.c.message == example.source.message,
                examples.c.method == example.method,
            )
        )
    return and_(examples.c.assistant == example.assistant, IS_ACTIVE, or_(*same))


def may_become_active(own: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether an inactive example can become active again.

    No active example may have the same text or message, and of several inactive ones only the
    first becomes active.
    """
    twin = examples.alias("twin")
    is_active_twin = and_(
        twin.c.workspace == examples.c.workspace,
        twin.c.assistant == examples.c.assistant,
        # Literals, so that SQLite uses the partial indexes.
        twin.c.state.in_([literal_column("'proposed'"), literal_column("'approved'")]),
    )
    same_text = exists().where(is_active_twin, twin.c.fingerprint == examples.c.fingerprint)
    same_message = exists().where(
        is_active_twin,
        twin.c.method == examples.c.method,
        twin.c.channel == examples.c.channel,
        twin.c.message == examples.c.message,
    )
    is_inactive = and_(own, examples.c.state.not_in(ACTIVE_STATES))
    number, message = cast(examples.c.id, Text), examples.c.message
    text = func.coalesce(examples.c.fingerprint, number)
    source = examples.c.method, examples.c.channel, func.coalesce(message, number)
    first_text = (
        select(func.min(examples.c.id)).where(is_inactive).group_by(examples.c.assistant, text)
    )
    first_message = (
        select(func.min(examples.c.id)).where(is_inactive).group_by(examples.c.assistant, *source)
    )
    return and_(
        is_inactive,
        ~same_text,
        ~same_message,
        examples.c.id.in_(first_text.correlate(None)),
        examples.c.id.in_(first_message.correlate(None)),
    )
