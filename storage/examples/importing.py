"""Inserts examples by the thousand in one statement."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache

from sqlalchemy import Insert, Integer, Table, Text, and_, bindparam, func, insert, select

from bot.domain import AssistantId, NewExample, RowText, WorkspaceId
from storage.connection import Connection, foreign_key_as_not_found, insert_for
from storage.tables import (
    IS_LIVING,
    example_authors,
    example_messages,
    example_tags,
    examples,
)

Marked = Mapping[tuple[AssistantId, str], tuple[NewExample, RowText]]

_LATER = ("id", "editor", "decided_by", "derived_from", "written_by", "replaces_source")
_EXAMPLE = [column.name for column in examples.c if column.name not in _LATER]
_NEW = ["workspace", "assistant", "mark", "newest"]
_ITEM = ["position", "item"]
_MESSAGE = ["channel", "message", "thread"]


async def insert_in_bulk(
    connection: Connection, workspace: WorkspaceId, new: Marked, *, at: datetime
) -> int:
    """Add living examples with text, told apart by assistant and fingerprint; how many were new."""
    if not new:
        return 0
    last = await _last(connection, workspace, new)
    moment = connection.to_driver_time(at)
    with foreign_key_as_not_found(
        "assistant", ", ".join(sorted({str(assistant) for assistant, _ in new}))
    ):
        count = await connection.insert_many(
            _insert(connection.dialect_name),
            _EXAMPLE,
            [_values(workspace, example, text, moment) for example, text in new.values()],
        )
    if last is not None:
        own = examples.c.workspace == workspace, examples.c.id > last
        count = int((await connection.run(select(func.count()).where(*own))).scalar_one())
        authors = {key: one.authors for key, (one, _) in new.items() if one.authors}
        tags = {key: one.tags for key, (one, _) in new.items() if one.tags}
        await _add_items(connection, example_authors, workspace, authors, last)
        await _add_items(connection, example_tags, workspace, tags, last)
        await _add_messages(connection, workspace, new, last)
    return count


async def _last(connection: Connection, workspace: WorkspaceId, new: Marked) -> int | None:
    """The newest before these; None where nothing is hung on them, and the driver counts."""
    can_count = connection.dialect_name == "sqlite"
    if can_count and not any(
        one.authors or one.tags or one.messages or one.source for one, _ in new.values()
    ):
        return None
    own = examples.c.workspace == workspace
    newest = select(func.coalesce(func.max(examples.c.id), 0)).where(own)
    return int((await connection.run(newest)).scalar_one())


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
        for (assistant, mark), own in items.items()
        for position, item in enumerate(dict.fromkeys(own))
    ]
    if rows:
        await connection.insert_many(_item_of_a_new_one(table), [*_ITEM, *_NEW], rows)


async def _add_messages(
    connection: Connection, workspace: WorkspaceId, new: Marked, last: int
) -> None:
    rows = [
        (one.channel, one.message, one.thread, workspace, assistant, mark, last)
        for (assistant, mark), (example, _) in new.items()
        for one in dict.fromkeys((*example.messages, *filter(None, [example.source])))
    ]
    if rows:
        await connection.insert_many(_message_of_a_new_one(), [*_MESSAGE, *_NEW], rows)


@cache
def _insert(dialect: str) -> Insert:
    return insert_for(dialect, examples).on_conflict_do_nothing()


@cache
def _item_of_a_new_one(table: Table) -> Insert:
    return _of_a_new_one(table, {"position": Integer(), "item": Text()})


@cache
def _message_of_a_new_one() -> Insert:
    return _of_a_new_one(example_messages, dict.fromkeys(_MESSAGE, Text()))


def _of_a_new_one(table: Table, columns: Mapping[str, Integer | Text]) -> Insert:
    """A row for what this batch made, found again by its fingerprint."""
    own = and_(
        examples.c.workspace == bindparam("workspace"),
        examples.c.assistant == bindparam("assistant"),
        examples.c.fingerprint == bindparam("mark"),
        examples.c.id > bindparam("newest"),
        IS_LIVING,
    )
    values = [bindparam(name, type_=kind) for name, kind in columns.items()]
    found = select(examples.c.workspace, examples.c.id, *values).where(own)
    return insert(table).from_select(["workspace", "example", *columns], found)
