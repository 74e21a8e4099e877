"""The table of questions that nobody could answer well, and what was done about each."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from storage.columns import Utc, metadata

taught_turns = Table(
    "taught_turns",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("example", Integer),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("turn"),
    ForeignKeyConstraint(["workspace", "turn"], ["turns.workspace", "turns.id"]),
    ForeignKeyConstraint(["workspace", "example"], ["examples.workspace", "examples.id"]),
)
Index(None, taught_turns.c.workspace, taught_turns.c.turn)
Index(None, taught_turns.c.workspace, taught_turns.c.example)
