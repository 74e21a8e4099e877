"""The tables of synthetic examples: which model wrote them, and from which examples."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from bot.domain import CallState, EvaluationState, SyntheticKind
from storage.column_types import Json, Utc, enum_type, metadata
from storage.table_helpers import (
    check,
    foreign_key,
    integer_column,
    numbered_table,
    text_column,
    unique_idempotency_key,
)

synthetic_runs = numbered_table(
    "synthetic_runs",
    integer_column("assistant"),
    text_column("channel"),
    Column("thread", Text),
    text_column("idempotency_key"),
    text_column("asked_by"),
    Column("state", enum_type(EvaluationState), nullable=False),
    Column("kind", enum_type(SyntheticKind), nullable=False),
    text_column("host"),
    text_column("model"),
    integer_column("wordings"),
    Column("labels", Json, nullable=False),
    text_column("tag"),
    integer_column("examples"),
    integer_column("tokens"),
    Column("price", Float),
    Column("report", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
    unique_idempotency_key("synthetic_runs"),
    UniqueConstraint("workspace", "id"),
    foreign_key("assistants", "assistant"),
    check("amounts", "examples >= 0 AND tokens >= 0 AND price >= 0"),
)
Index(None, synthetic_runs.c.state)
Index(None, synthetic_runs.c.workspace, synthetic_runs.c.created_at)

synthetic_calls = Table(
    "synthetic_calls",
    metadata,
    text_column("workspace"),
    integer_column("run"),
    integer_column("example"),
    Column("state", enum_type(CallState), nullable=False),
    integer_column("proposed"),
    PrimaryKeyConstraint("run", "example"),
    foreign_key("synthetic_runs", "run"),
    foreign_key("examples", "example"),
)
Index(None, synthetic_calls.c.workspace, synthetic_calls.c.example)


def origin_columns() -> tuple[Column[int], Column[str], Column[bool]]:
    """Returns the columns for an example's source, model, and replacement of the source."""
    return (
        Column("derived_from", Integer),
        Column("written_by", Text),
        Column("replaces_source", Boolean, nullable=False, server_default=false()),
    )
