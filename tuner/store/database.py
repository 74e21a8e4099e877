"""The SQLite database: engine, pragmas, read and write transactions, and identifiers."""

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection as RawConnection

from sqlalchemy import Connection, create_engine, event, insert, inspect, select, update

from tuner.errors import ApiError, CannotStart
from tuner.store import tables

_IDENTIFIER = re.compile(r"(file-|ftjob-|ftevent-|ftckpt_)([0-9a-f]{10})[0-9a-f]{14}")


class Database:
    """The tuner's database; a committed write transaction survives a power failure."""

    def __init__(self, path: Path) -> None:
        self._engine = create_engine(
            f"sqlite:///{path}", pool_size=8, max_overflow=-1, hide_parameters=True
        )
        self._writer = self._engine.execution_options(is_writing=True)
        event.listen(self._engine, "connect", _configure)
        event.listen(self._engine, "begin", _begin)
        self._prepare(path)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        self._engine.dispose()

    def _prepare(self, path: Path) -> None:
        with self.writing() as connection:
            if not inspect(connection).has_table("schema_version"):
                _create(connection)
            version = connection.execute(select(tables.schema_version.c.version)).scalar_one()
        if version > tables.SCHEMA_VERSION:
            self.close()
            raise CannotStart(
                f"{path} was written by a newer version of this program (schema {version}, this one"
                f" knows {tables.SCHEMA_VERSION}). Start the newer version, or use another folder."
            )


def next_identifier(connection: Connection, prefix: str) -> tuple[int, str]:
    """Returns the next sequence number and an identifier that contains it."""
    (identifier,) = next_identifiers(connection, prefix, 1)
    return identifier


def next_identifiers(connection: Connection, prefix: str, count: int) -> Sequence[tuple[int, str]]:
    """Returns the next `count` sequence numbers, each with an identifier that contains it."""
    increment = update(tables.sequence).values(value=tables.sequence.c.value + count)
    last = connection.execute(increment.returning(tables.sequence.c.value)).scalar_one()
    numbers = range(last - count + 1, last + 1)
    return [(number, f"{prefix}{number:010x}{secrets.token_hex(7)}") for number in numbers]


def number_of_identifier(identifier: str, *, param: str) -> int:
    """Returns the sequence number in an identifier, after which a page starts. Raises ApiError."""
    match = _IDENTIFIER.fullmatch(identifier)
    if match is None:
        raise ApiError(f"'{param}' must be the id of a row of an earlier page.", param=param)
    return int(match[2], 16)


def _create(connection: Connection) -> None:
    tables.metadata.create_all(connection)
    connection.execute(insert(tables.schema_version).values(version=tables.SCHEMA_VERSION))
    connection.execute(insert(tables.sequence).values(value=0))


def _configure(connection: RawConnection, _record: object) -> None:
    # The driver begins transactions late, and none for reads; `_begin` begins them instead.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "busy_timeout = 20000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("is_writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
