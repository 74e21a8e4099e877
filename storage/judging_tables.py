"""The tables of judging: which judge was asked, and each pair of answers it was shown."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)

from bot.domain import EvaluationState, PairState, Preferred
from storage.columns import Json, Utc, metadata, one_of

judgings = Table(
    "judgings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("evaluation", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("thread", Text),
    Column("start", Text, nullable=False, unique=True),
    Column("asked_by", Text, nullable=False),
    Column("state", one_of(EvaluationState), nullable=False),
    Column("against", Integer, nullable=False),
    Column("host", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("criteria", Text, nullable=False),
    Column("pairs", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("price", Float),
    Column("report", Json, nullable=False),
    Column("created_at", Utc, nullable=False),
    Column("finished_at", Utc),
    UniqueConstraint("workspace", "id"),
    ForeignKeyConstraint(["workspace", "evaluation"], ["evaluations.workspace", "evaluations.id"]),
    CheckConstraint("pairs >= 0 AND tokens >= 0 AND price >= 0", name="amounts"),
    sqlite_autoincrement=True,
)
Index(None, judgings.c.state)
Index(None, judgings.c.workspace, judgings.c.evaluation)
Index(None, judgings.c.workspace, judgings.c.created_at)

judged_pairs = Table(
    "judged_pairs",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("judging", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("is_swapped", Boolean, nullable=False),
    Column("state", one_of(PairState), nullable=False),
    Column("preferred", one_of(Preferred)),
    PrimaryKeyConstraint("judging", "number", "is_swapped"),
    ForeignKeyConstraint(["workspace", "judging"], ["judgings.workspace", "judgings.id"]),
)
Index(None, judged_pairs.c.workspace)
