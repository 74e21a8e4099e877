"""The tables of badly answered questions: what was taught, and answers of models since."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
)

from bot.domain import CallState, GapOutcome
from storage.columns import Utc, metadata, one_of
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

evaluation_gaps = Table(
    "evaluation_gaps",
    metadata,
    text_column("workspace"),
    integer_column("evaluation"),
    integer_column("turn"),
    Column("state", one_of(CallState), nullable=False),
    Column("example", Integer),
    text_column("answer"),
    Column("outcome", one_of(GapOutcome)),
    PrimaryKeyConstraint("evaluation", "turn"),
    foreign_key("evaluations", "evaluation"),
    foreign_key("turns", "turn"),
    foreign_key("examples", "example"),
)
Index(None, evaluation_gaps.c.workspace, evaluation_gaps.c.turn)
Index(None, evaluation_gaps.c.turn)
Index(None, evaluation_gaps.c.workspace, evaluation_gaps.c.example)
