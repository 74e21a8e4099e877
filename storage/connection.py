"""One transaction's connection: statements go through here, and none is ever torn by a cancel."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    CursorResult,
    Delete,
    Dialect,
    Executable,
    Float,
    Insert,
    Row,
    Select,
    Table,
    Update,
    cast,
    exists,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.domain import WorkspaceId
from bot.errors import NotFound
from bot.ports.cancellation import shielded
from storage.columns import Utc

T = TypeVar("T")

# SQLite takes 32,766 parameters in a statement, PostgreSQL 32,767.
MANY = 5_000
PAGE = 500
"""Rows that one read brings along at most, where all are wanted."""


class Connection:
    """What the nouns speak to; it begins and ends with its transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.has_erased = False
        self.changed_tables: set[str] = set()

    async def run(self, statement: Executable, **values: object) -> CursorResult[Any]:
        if isinstance(statement, Delete | Update):
            self.changed_tables.add(statement.table.description)
        return await shielded(self._connection.execute(statement, values or None))

    async def rows(self, statement: Select[Any], *, most: int) -> Sequence[Row[Any]]:
        return (await self.run(statement.limit(most))).all()

    async def stream(
        self, statement: Select[Any], *by: ColumnElement[Any]
    ) -> AsyncIterator[Row[Any]]:
        """All rows, so many at a time, in the order of these columns, which tell them apart.

        Each page is a statement of its own, so that nothing is held while the caller works.
        """
        ordered = statement.order_by(*by).limit(PAGE)
        page = (await self.run(ordered)).all()
        while page:
            for row in page:
                yield row
            if len(page) < PAGE:
                return
            last = (literal(page[-1]._mapping[column], column.type) for column in by)
            page = (await self.run(ordered.where(tuple_(*by) > tuple_(*last)))).all()

    async def fetch_all(
        self, statement: Select[Any], *by: ColumnElement[Any]
    ) -> Sequence[Row[Any]]:
        """As `stream`, for what one keeps few of."""
        return [row async for row in self.stream(statement, *by)]

    async def first(self, statement: Executable, **values: object) -> Row[Any] | None:
        if isinstance(statement, Select):
            statement = statement.limit(1)
        return (await self.run(statement, **values)).first()

    async def run_counting(self, statement: Executable, **values: object) -> int:
        """Run a change and say how many rows it met."""
        return (await self.run(statement, **values)).rowcount

    async def insert_many(
        self, statement: Insert, names: Sequence[str], rows: Sequence[tuple[object, ...]]
    ) -> int:
        """Run an insert for raw tuples, past all conversion: fifty times cheaper for an import.

        The names stand in the order of the statement, and values are as the
        driver takes them: JSON as text, moments through `to_driver_time`. How many rows came of it.
        """
        if not rows:
            return 0
        sql = _compiled(statement, self._connection.dialect, tuple(names))
        done = await shielded(self._connection.exec_driver_sql(sql, list(rows)))
        return done.rowcount

    async def run_each(self, statement: Executable, rows: Sequence[Mapping[str, object]]) -> None:
        """Run a change once for each mapping of values, as one call of the driver."""
        await shielded(self._connection.execute(statement, list(rows)))

    async def run_sql(self, sql: str) -> None:
        """Run a command to the database itself."""
        await shielded(self._connection.exec_driver_sql(sql))

    def to_driver_time(self, at: datetime) -> object:
        """A moment as the driver takes it."""
        dialect = self._connection.dialect
        convert = Utc().dialect_impl(dialect).bind_processor(dialect)
        return convert(at) if convert else at

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """An insert that knows ON CONFLICT, which Core leaves to the dialects."""
        return insert_for(self.dialect_name, table)

    @property
    def dialect_name(self) -> str:
        return self._connection.dialect.name

    def number_in(self, column: ColumnElement[Any], name: str) -> ColumnElement[float]:
        """A number of a JSON object that is kept as text; NULL where there is none."""
        if self._connection.dialect.name == "postgresql":
            return cast(cast(column, postgresql.JSON)[name].astext, Float)
        return func.json_extract(column, f"$.{name}", type_=Float)

    async def has(self, table: Table, workspace: WorkspaceId, number: int) -> bool:
        """Whether the thing is there, and the workspace's own."""
        own = exists().where(table.c.workspace == workspace, table.c.id == number)
        return bool((await self.run(select(own))).scalar())


def insert_for(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@lru_cache(maxsize=64)
def _compiled(statement: Insert, dialect: Dialect, names: tuple[str, ...]) -> str:
    """Kept for statements that are made once; to compile one takes as long as to add 20 rows."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    if compiled.positiontup != list(names):
        raise ValueError(f"the statement wants {compiled.positiontup}")
    return str(compiled)


def among_first(table: Table, *conditions: ColumnElement[bool], limit: int) -> ColumnElement[bool]:
    """True of so many rows of those that meet the conditions."""
    key = table.primary_key.columns
    some = select(*key).where(*conditions).limit(limit)
    return (tuple_(*key) if len(key) > 1 else next(iter(key))).in_(some)


@contextmanager
def foreign_key_as_not_found(noun: str, name: object) -> Iterator[None]:
    """Say NotFound where the database finds that a parent is not of this workspace."""
    try:
        yield
    except IntegrityError as error:
        if "foreign key" in str(error.orig).lower():
            raise NotFound(noun=noun, name=name) from error
        raise
