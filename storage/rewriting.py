"""Moving a SQLite table to new pages, in parts, so that nothing of an erased row stays in the old.

SQLite moves rows between pages and leaves copies in the gaps, which `secure_delete` does not
reach; only pages that are given back are zeroed. VACUUM rewrites the whole file and lets nobody
write meanwhile, for seconds where there is much. Here the rows go to a second table of the same
columns and indexes, a part in each transaction, while triggers bring along what changes. Then the
two exchange their trees, which is a change of `sqlite_schema` alone, and the old tree is emptied
in parts. What is in the database says how far this has come, so that a crash is gone on from.
https://www.sqlite.org/pragma.html#pragma_writable_schema
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from bot.batches import BatchSize

PREFIX = "rewritten_"
_EVENTS = ("insert", "update", "delete")


class TableRewrite:
    """Rewrites the tables that `residues` names, a part at each step."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._size = BatchSize()
        self._copied: dict[str, int] = {}

    def step(self) -> bool:
        """Do one part in a transaction of its own; False where nothing is left to rewrite."""
        with self._size.measure_batch(), _immediate(self._connection):
            return self._step()

    def _step(self) -> bool:
        began = self._value(
            "SELECT substr(name, ?) FROM sqlite_schema WHERE type = 'table' AND name GLOB ?",
            len(PREFIX) + 1,
            f"{PREFIX}*",
        )
        if began is not None:
            self._go_on(str(began))
            return True
        wanted = self._value("SELECT name FROM residues WHERE name <> '' ORDER BY name")
        if wanted is not None:
            self._begin(str(wanted))
        return wanted is not None

    def _begin(self, table: str) -> None:
        """An erasure after this moment names the table anew, and it is rewritten once more."""
        self._run("DELETE FROM residues WHERE name = ?", table)
        columns = self._run(f"PRAGMA table_info({_q(table)})").fetchall()
        if not columns:
            return
        is_alias = sum(column[5] > 0 for column in columns) == 1
        told = ", ".join(
            f"{_q(name)} {kind}{' PRIMARY KEY' if pk and is_alias and kind == 'INTEGER' else ''}"
            for _, name, kind, _, _, pk in columns
        )
        self._run(f"CREATE TABLE {_q(PREFIX + table)} ({told})")
        for name, index in self._indexes(table).items():
            self._run(f"CREATE INDEX {_q(PREFIX + name)} ON {_q(PREFIX + table)} {index}")
        for event in _EVENTS:
            self._run(self._trigger(table, event))
        self._copied[table] = 0

    def _indexes(self, table: str) -> Mapping[str, str]:
        """Each index with its columns, and its condition where it is partial."""
        found = {}
        for _, name, _, _, is_partial in self._run(f"PRAGMA index_list({_q(table)})").fetchall():
            columns = self._run(f"PRAGMA index_info({_q(name)})").fetchall()
            sql = self._value("SELECT sql FROM sqlite_schema WHERE name = ?", name)
            condition = f" WHERE {str(sql).partition(' WHERE ')[2]}" if is_partial else ""
            found[name] = f"({', '.join(_q(column) for _, _, column in columns)}){condition}"
        return found

    def _trigger(self, table: str, event: str) -> str:
        columns = ", ".join(["rowid", *self._columns(table)])
        gone = f"DELETE FROM {_q(PREFIX + table)} WHERE rowid = OLD.rowid;"
        new = (
            f"INSERT OR REPLACE INTO {_q(PREFIX + table)} ({columns}) "
            f"SELECT {columns} FROM {_q(table)} WHERE rowid = NEW.rowid;"
        )
        acts = {"insert": new, "update": gone + new, "delete": gone}
        name = _q(f"{PREFIX}{table}_{event}")
        return f"CREATE TRIGGER {name} AFTER {event} ON {_q(table)} BEGIN {acts[event]} END"

    def _columns(self, table: str) -> Iterator[str]:
        """Those that are more than another name of the row's number."""
        columns = self._run(f"PRAGMA table_info({_q(table)})").fetchall()
        keys = [name for _, name, kind, _, _, pk in columns if pk and kind == "INTEGER"]
        alias = keys[0] if len(keys) == sum(column[5] > 0 for column in columns) == 1 else None
        return (_q(name) for _, name, *_ in columns if name != alias)

    def _go_on(self, table: str) -> None:
        first = f"{PREFIX}{table}_{_EVENTS[0]}"
        if self._value("SELECT 1 FROM sqlite_schema WHERE name = ?", first) is None:
            self._empty(table)
        elif not self._copy(table):
            self._exchange(table)

    def _copy(self, table: str) -> bool:
        """What the triggers have brought already stays; False where all has been copied."""
        last = self._copied.get(table, 0)
        until = self._value(
            f"SELECT max(rowid) FROM "
            f"(SELECT rowid FROM {_q(table)} WHERE rowid > ? ORDER BY rowid LIMIT ?)",
            last,
            self._size.rows,
        )
        if until is None:
            return False
        columns = ", ".join(["rowid", *self._columns(table)])
        self._run(
            f"INSERT OR IGNORE INTO {_q(PREFIX + table)} ({columns}) "
            f"SELECT {columns} FROM {_q(table)} WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
            last,
            until,
        )
        self._copied[table] = int(str(until))
        return True

    def _exchange(self, table: str) -> None:
        for event in _EVENTS:
            self._run(f"DROP TRIGGER {_q(f'{PREFIX}{table}_{event}')}")
        names = [table, *self._indexes(table)]
        roots = {name: self._root(name) for own in names for name in (own, PREFIX + own)}
        (version,) = self._run("PRAGMA schema_version").fetchone()
        self._run("PRAGMA writable_schema = ON")
        for own in names:
            for name, other in ((own, PREFIX + own), (PREFIX + own, own)):
                self._run(
                    "UPDATE sqlite_schema SET rootpage = ? WHERE name = ?", roots[other], name
                )
        # Every connection, this one too, reads the schema anew.
        self._run(f"PRAGMA schema_version = {version + 1}")
        self._run("PRAGMA writable_schema = RESET")

    def _root(self, name: str) -> int:
        return int(str(self._value("SELECT rootpage FROM sqlite_schema WHERE name = ?", name)))

    def _empty(self, table: str) -> None:
        old = _q(PREFIX + table)
        gone = self._run(
            f"DELETE FROM {old} WHERE rowid IN (SELECT rowid FROM {old} ORDER BY rowid LIMIT ?)",
            self._size.rows,
        )
        if gone.rowcount == 0:
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


def _q(name: str) -> str:
    return f'"{name}"'
