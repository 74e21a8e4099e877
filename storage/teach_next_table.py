"""The table of questions that nobody could answer well, and what was done about each."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
)

from storage.columns import Utc, metadata
from storage.schema import foreign_key, integer_column, text_column

taught_turns = Table(
    "taught_turns",
    metadata,
    text_column("workspace"),
    integer_column("turn"),
    Column("example", Integer),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("turn"),
    foreign_key("turns", "turn"),
    foreign_key("examples", "example"),
)
Index(None, taught_turns.c.workspace, taught_turns.c.turn)
Index(None, taught_turns.c.workspace, taught_turns.c.example)
