"""The connection of one transaction, whose statements finish even if the task is cancelled."""

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
from storage.column_types import Utc

T = TypeVar("T")

# Values per IN list. SQLite takes 32,766 parameters in a statement, PostgreSQL 32,767.
MAX_VALUES_PER_IN_LIST = 5_000
PAGE_ROWS = 500
"""Rows per page where all rows are read."""


class PagedQuery:
    """A query of all rows, in pages ordered by columns that identify a row.

    A query that runs often is built once: a statement made for each call costs twice as much.
    """

    def __init__(self, statement: Select[Any], *by: ColumnElement[Any]) -> None:
        self.by = by
        self.first_page = statement.order_by(*by).limit(PAGE_ROWS)

    def page_after(self, row: Row[Any]) -> Select[Any]:
        last = (literal(row._mapping[column], column.type) for column in self.by)
        return self.first_page.where(tuple_(*self.by) > tuple_(*last))


class Connection:
    """The database connection of one transaction, shared by all repositories."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self.has_erased = False
        self.changed_tables: set[str] = set()

    async def execute(self, statement: Executable, **values: object) -> CursorResult[Any]:
        if isinstance(statement, Delete | Update):
            self.changed_tables.add(statement.table.description)
        return await shielded(self._connection.execute(statement, values or None))

    async def fetch_rows(self, statement: Select[Any], *, most: int) -> Sequence[Row[Any]]:
        return (await self.execute(statement.limit(most))).all()

    async def stream(
        self, statement: Select[Any], *by: ColumnElement[Any]
    ) -> AsyncIterator[Row[Any]]:
        """Yields all rows in pages, ordered by columns that identify a row.

        Each page is a statement of its own, so that no cursor stays open while the caller works.
        """
        query = PagedQuery(statement, *by)
        page = (await self.execute(query.first_page)).all()
        while page:
            for row in page:
                yield row
            if len(page) < PAGE_ROWS:
                return
            page = (await self.execute(query.page_after(page[-1]))).all()

    async def fetch_all(
        self, statement: Select[Any], *by: ColumnElement[Any]
    ) -> Sequence[Row[Any]]:
        """Returns the rows of `stream` as a list, for results that fit in memory."""
        return await self.fetch_pages(PagedQuery(statement, *by))

    async def fetch_pages(self, query: PagedQuery, **values: object) -> Sequence[Row[Any]]:
        """Returns the rows of a query that was built before, with these values."""
        page = rows = (await self.execute(query.first_page, **values)).all()
        while len(page) == PAGE_ROWS:
            page = (await self.execute(query.page_after(page[-1]), **values)).all()
            rows = [*rows, *page]
        return rows

    async def fetch_first(self, statement: Executable, **values: object) -> Row[Any] | None:
        # A statement with values is built once and has its limit; a copy would be compiled anew.
        if isinstance(statement, Select) and not values:
            statement = statement.limit(1)
        return (await self.execute(statement, **values)).first()

    async def execute_counting_rows(self, statement: Executable, **values: object) -> int:
        """Runs a change and returns the number of affected rows."""
        return (await self.execute(statement, **values)).rowcount

    async def insert_many(
        self, statement: Insert, names: Sequence[str], rows: Sequence[tuple[object, ...]]
    ) -> int:
        """Inserts raw tuples without type conversion; returns the number of inserted rows.

        `names` must be in the order of the statement. Values are as the driver takes them: JSON
        as text, datetimes through `to_driver_time`. An import is fifty times faster this way.
        """
        if not rows:
            return 0
        sql = _compiled(statement, self._connection.dialect, tuple(names))
        result = await shielded(self._connection.exec_driver_sql(sql, list(rows)))
        return result.rowcount

    async def execute_for_each(
        self, statement: Executable, rows: Sequence[Mapping[str, object]]
    ) -> None:
        """Runs a change once per mapping of values, in one call of the driver."""
        await shielded(self._connection.execute(statement, list(rows)))

    def to_driver_time(self, at: datetime) -> object:
        """Returns a datetime as the driver takes it."""
        dialect = self._connection.dialect
        convert = Utc().dialect_impl(dialect).bind_processor(dialect)
        return convert(at) if convert else at

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Returns an insert of the database's dialect, which supports ON CONFLICT."""
        return insert_for(self.dialect_name, table)

    @property
    def dialect_name(self) -> str:
        return self._connection.dialect.name

    def json_number(self, column: ColumnElement[Any], name: str) -> ColumnElement[float]:
        """Returns a number of a JSON object that is stored as text; NULL if the name is missing."""
        if self._connection.dialect.name == "postgresql":
            return cast(cast(column, postgresql.JSON)[name].astext, Float)
        return func.json_extract(column, f"$.{name}", type_=Float)

    async def row_exists(self, table: Table, workspace: WorkspaceId, number: int) -> bool:
        """Whether the table has this row and the row belongs to the workspace."""
        condition = exists().where(table.c.workspace == workspace, table.c.id == number)
        return bool((await self.execute(select(condition))).scalar())


def insert_for(dialect: str, table: Table) -> sqlite.Insert | postgresql.Insert:
    return postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)


@lru_cache(maxsize=64)
def _compiled(statement: Insert, dialect: Dialect, names: tuple[str, ...]) -> str:
    """Compiles a statement for the driver; cached, since compiling costs as much as 20 rows."""
    compiled = statement.compile(dialect=dialect, column_keys=list(names))
    if compiled.positiontup != list(names):
        raise ValueError(f"the statement takes {compiled.positiontup}")
    return str(compiled)


def among_first(table: Table, *conditions: ColumnElement[bool], limit: int) -> ColumnElement[bool]:
    """Returns a condition that is true of at most `limit` rows that meet the conditions."""
    primary_key = table.primary_key.columns
    keys = select(*primary_key).where(*conditions).limit(limit)
    return (tuple_(*primary_key) if len(primary_key) > 1 else next(iter(primary_key))).in_(keys)


@contextmanager
def foreign_key_as_not_found(noun: str, name: object) -> Iterator[None]:
    """Raises NotFound in place of a foreign key violation."""
    try:
        yield
    except IntegrityError as error:
        if "foreign key" in str(error.orig).lower():
            raise NotFound(noun=noun, name=name) from error
        raise
