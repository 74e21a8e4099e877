"""The tables of judgings: which judge was asked, and each pair of answers that it compared."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from bot.domain import CallState, EvaluationState, Preferred
from storage.columns import Json, Utc, metadata, one_of
from storage.schema import (
    boolean_column,
    check,
    foreign_key,
    integer_column,
    numbered_table,
    text_column,
    unique_idempotency_key,
)

judgings = numbered_table(
    "judgings",
    integer_column("evaluation"),
    text_column("channel"),
    Column("thread", Text),
    text_column("idempotency_key"),
    text_column("asked_by"),
    Column("state", one_of(EvaluationState), nullable=False),
    integer_column("against"),
    text_column("host"),
    text_column("model"),
    text_column("criteria"),
    integer_column("pairs"),
    integer_column("tokens"),
    Column("price", Float),
    Column("report", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
    unique_idempotency_key("judgings"),
    UniqueConstraint("workspace", "id"),
    foreign_key("evaluations", "evaluation"),
    check("amounts", "pairs >= 0 AND tokens >= 0 AND price >= 0"),
)
Index(None, judgings.c.state)
Index(None, judgings.c.workspace, judgings.c.evaluation)
Index(None, judgings.c.workspace, judgings.c.created_at)

judged_pairs = Table(
    "judged_pairs",
    metadata,
    text_column("workspace"),
    integer_column("judging"),
    integer_column("number"),
    boolean_column("is_swapped"),
    Column("state", one_of(CallState), nullable=False),
    Column("preferred", one_of(Preferred)),
    PrimaryKeyConstraint("judging", "number", "is_swapped"),
    foreign_key("judgings", "judging"),
)
Index(None, judged_pairs.c.workspace)
