"""Moves a SQLite table to new pages in parts, so that no erased bytes stay in the old pages.

SQLite moves rows between pages and leaves copies in the gaps, which `secure_delete` does not
reach; only freed pages are zeroed. VACUUM rewrites the whole file and blocks writers meanwhile,
for seconds if the file is large. Here the rows are copied to a second table of the same columns
and indexes, a part per transaction, while triggers copy changes. Then the two tables exchange
their root pages, which changes only `sqlite_schema`, and the old pages are emptied in parts. The
database itself holds the progress, so that the work continues after a crash.
https://www.sqlite.org/pragma.html#pragma_writable_schema
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bot.database_batches import BatchSize

REWRITTEN_TABLE_PREFIX = "rewritten_"
_EVENTS = ("insert", "update", "delete")


class TableRewrite:
    """Rewrites the tables that `residues` names, a part per step."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._size = BatchSize()
        self._copied: dict[str, int] = {}

    def step(self) -> bool:
        """Does one part in its own transaction; returns False if no table is left to rewrite."""
        with self._size.measure_batch(), _immediate(self._connection):
            return self._step()

    def _step(self) -> bool:
        started = self._value(
            "SELECT substr(name, ?) FROM sqlite_schema WHERE type = 'table' AND name GLOB ?",
            len(REWRITTEN_TABLE_PREFIX) + 1,
            f"{REWRITTEN_TABLE_PREFIX}*",
        )
        if started is not None:
            self._continue(str(started))
            return True
        pending = self._value("SELECT name FROM residues WHERE name <> '' ORDER BY name")
        if pending is not None:
            self._begin(str(pending))
        return pending is not None

    def _begin(self, table: str) -> None:
        """Creates the second table and its triggers.

        The name is removed from `residues` first: a later erasure adds it again, and the table is
        then rewritten once more.
        """
        self._run("DELETE FROM residues WHERE name = ?", table)
        columns = self._run(f"PRAGMA table_info({_quoted(table)})").fetchall()
        if not columns:
            return
        is_alias = sum(column[5] > 0 for column in columns) == 1
        definitions = ", ".join(
            f"{_quoted(name)} {kind}"
            f"{' PRIMARY KEY' if pk and is_alias and kind == 'INTEGER' else ''}"
            for _, name, kind, _, _, pk in columns
        )
        self._run(f"CREATE TABLE {_quoted(REWRITTEN_TABLE_PREFIX + table)} ({definitions})")
        for name, index in self._indexes(table).items():
            new_name = _quoted(REWRITTEN_TABLE_PREFIX + name)
            new_table = _quoted(REWRITTEN_TABLE_PREFIX + table)
            self._run(f"CREATE INDEX {new_name} ON {new_table} {index}")
        for event in _EVENTS:
            self._run(self._trigger(table, event))
        self._copied[table] = 0

    def _indexes(self, table: str) -> Mapping[str, str]:
        """Returns the columns of each index, and the condition of a partial one, as SQL."""
        indexes = {}
        for _, name, _, _, is_partial in self._run(
            f"PRAGMA index_list({_quoted(table)})"
        ).fetchall():
            columns = self._run(f"PRAGMA index_info({_quoted(name)})").fetchall()
            sql = self._value("SELECT sql FROM sqlite_schema WHERE name = ?", name)
            condition = f" WHERE {str(sql).partition(' WHERE ')[2]}" if is_partial else ""
            indexes[name] = f"({', '.join(_quoted(column) for _, _, column in columns)}){condition}"
        return indexes

    def _trigger(self, table: str, event: str) -> str:
        columns = ", ".join(["rowid", *self._columns(table)])
        delete = f"DELETE FROM {_quoted(REWRITTEN_TABLE_PREFIX + table)} WHERE rowid = OLD.rowid;"
        insert = (
            f"INSERT OR REPLACE INTO {_quoted(REWRITTEN_TABLE_PREFIX + table)} ({columns}) "
            f"SELECT {columns} FROM {_quoted(table)} WHERE rowid = NEW.rowid;"
        )
        statements = {"insert": insert, "update": delete + insert, "delete": delete}
        name = _quoted(f"{REWRITTEN_TABLE_PREFIX}{table}_{event}")
        return (
            f"CREATE TRIGGER {name} AFTER {event} ON {_quoted(table)} BEGIN {statements[event]} END"
        )

    def _columns(self, table: str) -> Iterator[str]:
        """Returns the columns of a table except an alias of its rowid."""
        columns = self._run(f"PRAGMA table_info({_quoted(table)})").fetchall()
        keys = [name for _, name, kind, _, _, pk in columns if pk and kind == "INTEGER"]
        alias = keys[0] if len(keys) == sum(column[5] > 0 for column in columns) == 1 else None
        return (_quoted(name) for _, name, *_ in columns if name != alias)

    def _continue(self, table: str) -> None:
        first = f"{REWRITTEN_TABLE_PREFIX}{table}_{_EVENTS[0]}"
        if self._value("SELECT 1 FROM sqlite_schema WHERE name = ?", first) is None:
            self._empty(table)
        elif not self._copy(table):
            self._exchange(table)

    def _copy(self, table: str) -> bool:
        """Copies the next rows that triggers have not copied; returns False if none are left."""
        last = self._copied.get(table, 0)
        until = self._value(
            f"SELECT max(rowid) FROM "
            f"(SELECT rowid FROM {_quoted(table)} WHERE rowid > ? ORDER BY rowid LIMIT ?)",
            last,
            self._size.rows,
        )
        if until is None:
            return False
        columns = ", ".join(["rowid", *self._columns(table)])
        self._run(
            f"INSERT OR IGNORE INTO {_quoted(REWRITTEN_TABLE_PREFIX + table)} ({columns}) "
            f"SELECT {columns} FROM {_quoted(table)} WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
            last,
            until,
        )
        self._copied[table] = int(str(until))
        return True

    def _exchange(self, table: str) -> None:
        for event in _EVENTS:
            self._run(f"DROP TRIGGER {_quoted(f'{REWRITTEN_TABLE_PREFIX}{table}_{event}')}")
        names = [table, *self._indexes(table)]
        roots = {
            name: self._root(name)
            for original in names
            for name in (original, REWRITTEN_TABLE_PREFIX + original)
        }
        (version,) = self._run("PRAGMA schema_version").fetchone()
        self._run("PRAGMA writable_schema = ON")
        for original in names:
            for name, other in (
                (original, REWRITTEN_TABLE_PREFIX + original),
                (REWRITTEN_TABLE_PREFIX + original, original),
            ):
                self._run(
                    "UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", roots[other], name
                )
        # Makes all connections, including this one, reload the schema.
        self._run(f"PRAGMA schema_version = {version + 1}")
        self._run("PRAGMA writable_schema = RESET")

    def _root(self, name: str) -> int:
        return int(str(self._value("SELECT rootpage FROM sqlite_schema WHERE name = ?", name)))

    def _empty(self, table: str) -> None:
        old = _quoted(REWRITTEN_TABLE_PREFIX + table)
        deleted = self._run(
            f"DELETE FROM {old} WHERE rowid IN (SELECT rowid FROM {old} ORDER BY rowid LIMIT ?)",
            self._size.rows,
        )
        if deleted.rowcount == 0:
            self._run(f"DROP TABLE {old}")

    def _value(self, sql: str, *values: object) -> object:
        row = self._run(sql, *values).fetchone()
        return None if row is None else row[0]

    def _run(self, sql: str, *values: object) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)


@contextmanager
def _immediate(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _quoted(name: str) -> str:
    return f'"{name}"'
