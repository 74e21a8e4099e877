"""The statements that a database is asked while something happens."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, event

from storage.database import Database


@contextmanager
def recorded(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """Every statement with its parameters, in order; one for many rows counts once."""
    found: list[tuple[str, Any]] = []

    def executed(_: Any, __: Any, sql: str, parameters: Any, ___: Any, is_many: bool) -> None:
        found.append((sql, next(iter(parameters)) if is_many else parameters))

    engines: list[Engine] = [
        engine.sync_engine for engine in (database._readers, database._writers)
    ]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", executed)
    try:
        yield found
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", executed)


@contextmanager
def changed_rows(database: Database) -> Iterator[list[int]]:
    """How many rows each transaction of the writer has changed."""
    found = [0]

    def executed(_: Any, cursor: Any, sql: str, *__: object) -> None:
        if not sql.startswith("SELECT"):
            found[-1] += max(0, cursor.rowcount)

    def committed(_: object) -> None:
        found.append(0)

    engine = database._writers.sync_engine
    event.listen(engine, "after_cursor_execute", executed)
    event.listen(engine, "commit", committed)
    try:
        yield found
    finally:
        event.remove(engine, "after_cursor_execute", executed)
        event.remove(engine, "commit", committed)


def unbounded(statements: list[tuple[str, Any]]) -> set[str]:
    """Those that read rows, and as many as there are: neither LIMIT nor one row of sums."""
    return {
        " ".join(sql.split())
        for sql, _ in statements
        if sql.startswith(("SELECT", "WITH")) and "LIMIT" not in sql and not _ONE_ROW.match(sql)
    }


_ONE_ROW = re.compile(r"SELECT (count|max|min|coalesce|EXISTS|NOT|\(SELECT max)\b", re.IGNORECASE)


def full_scans(path: str, statements: list[tuple[str, Any]], large: frozenset[str]) -> set[str]:
    """Those that read a large table from end to end, by `EXPLAIN QUERY PLAN`."""
    found = set()
    connection = sqlite3.connect(path)
    try:
        for sql, parameters in dict.fromkeys((sql, tuple(values)) for sql, values in statements):
            plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
            steps = [str(step[3]).split() for step in plan]
            if any(words[0] == "SCAN" and words[1] in large for words in steps):
                found.add(" ".join(sql.split()))
    finally:
        connection.close()
    return found
