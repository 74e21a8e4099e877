"""Inserts thousands of examples with one statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache

from sqlalchemy import Insert, Integer, Table, Text, and_, bindparam, func, insert, select

from bot.domain import AssistantId, NewExample, RowText, WorkspaceId
from storage.connection import Connection, foreign_key_as_not_found, insert_for
from storage.tables import (
    IS_ACTIVE,
    example_authors,
    example_messages,
    example_tags,
    examples,
)

RowsBySourceMessage = Mapping[tuple[AssistantId, str], tuple[NewExample, RowText]]

_DEFAULTED = ("id", "editor", "decided_by", "derived_from", "written_by", "replaces_source")
_EXAMPLE_COLUMNS = [column.name for column in examples.c if column.name not in _DEFAULTED]
_KEY_COLUMNS = ["workspace", "assistant", "mark", "newest"]
_ITEM_COLUMNS = ["position", "item"]
_MESSAGE_COLUMNS = ["channel", "message", "thread"]


async def insert_in_bulk(
    connection: Connection, workspace: WorkspaceId, new: RowsBySourceMessage, *, at: datetime
) -> int:
    """Adds active examples, unique by assistant and fingerprint; returns how many were new."""
    if not new:
        return 0
    last = await _last_id(connection, workspace, new)
    moment = connection.to_driver_time(at)
    with foreign_key_as_not_found(
        "assistant", ", ".join(sorted({str(assistant) for assistant, _ in new}))
    ):
        count = await connection.insert_many(
            _insert(connection.dialect_name),
            _EXAMPLE_COLUMNS,
            [_values(workspace, example, text, moment) for example, text in new.values()],
        )
    if last is not None:
        conditions = examples.c.workspace == workspace, examples.c.id > last
        count = int(
            (await connection.execute(select(func.count()).where(*conditions))).scalar_one()
        )
        authors = {
            key: new_example.authors for key, (new_example, _) in new.items() if new_example.authors
        }
        tags = {key: new_example.tags for key, (new_example, _) in new.items() if new_example.tags}
        await _add_items(connection, example_authors, workspace, authors, last)
        await _add_items(connection, example_tags, workspace, tags, last)
        await _add_messages(connection, workspace, new, last)
    return count


async def _last_id(
    connection: Connection, workspace: WorkspaceId, new: RowsBySourceMessage
) -> int | None:
    """Returns the highest id before the insert; None if it is not needed.

    It is needed to find the new rows for authors, tags and messages, and where the driver cannot
    count.
    """
    can_count = connection.dialect_name == "sqlite"
    if can_count and not any(
        example.authors or example.tags or example.messages or example.source
        for example, _ in new.values()
    ):
        return None
    condition = examples.c.workspace == workspace
    newest = select(func.coalesce(func.max(examples.c.id), 0)).where(condition)
    return int((await connection.execute(newest)).scalar_one())


def _values(
    workspace: WorkspaceId, example: NewExample, text: RowText, moment: object
) -> tuple[object, ...]:
    source = example.source
    return (
        workspace,
        example.assistant,
        str(example.method),
        str(example.state),
        text.json,
        text.search_text,
        text.fingerprint,
        1,
        moment,
        str(example.origin),
        source and source.channel,
        source and source.message,
        source and source.thread,
        source and source.permalink,
        False,
        moment,
        moment,
        int(example.exclusions),
        int(text.private),
        False,
    )


async def _add_items(
    connection: Connection,
    table: Table,
    workspace: WorkspaceId,
    items: Mapping[tuple[AssistantId, str], tuple[str, ...]],
    last: int,
) -> None:
    rows = [
        (position, item, workspace, assistant, mark, last)
        for (assistant, mark), values in items.items()
        for position, item in enumerate(dict.fromkeys(values))
    ]
    if rows:
        await connection.insert_many(_insert_item(table), [*_ITEM_COLUMNS, *_KEY_COLUMNS], rows)


async def _add_messages(
    connection: Connection, workspace: WorkspaceId, new: RowsBySourceMessage, last: int
) -> None:
    rows = [
        (source.channel, source.message, source.thread, workspace, assistant, mark, last)
        for (assistant, mark), (example, _) in new.items()
        for source in dict.fromkeys((*example.messages, *filter(None, [example.source])))
    ]
    if rows:
        await connection.insert_many(_insert_message(), [*_MESSAGE_COLUMNS, *_KEY_COLUMNS], rows)


@cache
def _insert(dialect: str) -> Insert:
    return insert_for(dialect, examples).on_conflict_do_nothing()


@cache
def _insert_item(table: Table) -> Insert:
    return _insert_child(table, {"position": Integer(), "item": Text()})


@cache
def _insert_message() -> Insert:
    return _insert_child(example_messages, dict.fromkeys(_MESSAGE_COLUMNS, Text()))


def _insert_child(table: Table, columns: Mapping[str, Integer | Text]) -> Insert:
    """Returns an insert of a child row for an example of this batch, found by its fingerprint."""
    condition = and_(
        examples.c.workspace == bindparam("workspace"),
        examples.c.assistant == bindparam("assistant"),
        examples.c.fingerprint == bindparam("mark"),
        examples.c.id > bindparam("newest"),
        IS_ACTIVE,
    )
    values = [bindparam(name, type_=kind) for name, kind in columns.items()]
    query = select(examples.c.workspace, examples.c.id, *values).where(condition)
    return insert(table).from_select(["workspace", "example", *columns], query)
