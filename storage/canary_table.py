"""The table of canaries: models that answer a share of the questions."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from bot.domain import CanaryEnd, CanaryState
from storage.columns import Utc, metadata, one_of

canaries = Table(
    "canaries",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("assistant", Integer, nullable=False),
    Column("channel", Text, nullable=False),
    Column("thread", Text),
    Column("start", Text, nullable=False, unique=True),
    Column("started_by", Text, nullable=False),
    Column("state", one_of(CanaryState), nullable=False),
    Column("model", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("called", Text),
    Column("share", Float, nullable=False),
    Column("deployment", Integer, nullable=False),
    Column("in_use", Text, nullable=False),
    Column("started_at", Utc, nullable=False),
    Column("looks", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("is_liked", Boolean, nullable=False),
    Column("why", one_of(CanaryEnd)),
    Column("ended_by", Text),
    Column("ended_at", Utc),
    UniqueConstraint("workspace", "id"),
    ForeignKeyConstraint(["workspace", "assistant"], ["assistants.workspace", "assistants.id"]),
    CheckConstraint("share > 0 AND share < 1", name="share"),
    CheckConstraint("looks >= 0 AND failures >= 0", name="counts"),
    sqlite_autoincrement=True,
)
Index(None, canaries.c.state)
Index(None, canaries.c.workspace, canaries.c.assistant)
