"""Columns, keys and indexes that many tables have; a foreign key includes the workspace."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.sql.schema import SchemaItem

from storage.column_types import enum_type, metadata


def text_column(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def integer_column(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False)


def id_column(name: str = "id") -> Column[int]:
    return Column(name, Integer, primary_key=True, autoincrement=True)


def bits_column(name: str) -> Column[int]:
    """Returns a column for a bit set; rows from before the column was added have no bit set."""
    return Column(name, Integer, nullable=False, server_default="0")


def boolean_column(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False)


def enum_column(
    name: str, enum: type[StrEnum], nullable: bool = False, constraint: str = ""
) -> Column[StrEnum]:
    """Returns a column for the values of an enum.

    `constraint` keeps an earlier name of the check: SQLite cannot rename a constraint.
    """
    # OR instead of IN: for more than two values SQLite would build a set again for every row.
    rule = " OR ".join(f"{name} = '{value}'" for value in enum)
    check = CheckConstraint(rule, name=constraint or name)
    return Column(name, enum_type(enum), check, nullable=nullable)


def unique_idempotency_key(table: str) -> UniqueConstraint:
    """Returns the unique constraint with its earlier name: SQLite cannot rename a constraint."""
    return UniqueConstraint("idempotency_key", name=f"uq_{table}_start")


def check(name: str, rule: str) -> CheckConstraint:
    return CheckConstraint(rule, name=name)


def workspace_key() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["workspace"], ["workspaces.id"])


def foreign_key(table: str, column: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["workspace", column], [f"{table}.workspace", f"{table}.id"])


def partial_index(
    name: str | None, *columns: Column[Any], where: ColumnElement[bool], unique: bool = False
) -> None:
    """Adds an index of the rows that meet a condition; a query must repeat it to use the index."""
    Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


def numbered_table(name: str, *items: SchemaItem) -> Table:
    """Creates a table whose ids are never reused, since people and other systems refer to them."""
    return Table(
        name, metadata, id_column(), text_column("workspace"), *items, sqlite_autoincrement=True
    )
