"""The table of canaries: models that answer a share of the questions."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Float,
    Index,
    Text,
    UniqueConstraint,
)

from bot.domain import CanaryEnd, CanaryState
from storage.columns import Utc, one_of
from storage.schema import (
    boolean_column,
    check,
    foreign_key,
    integer_column,
    numbered_table,
    text_column,
)

canaries = numbered_table(
    "canaries",
    integer_column("assistant"),
    text_column("channel"),
    Column("thread", Text),
    Column("start", Text, nullable=False, unique=True),
    text_column("started_by"),
    Column("state", one_of(CanaryState), nullable=False),
    text_column("model"),
    text_column("host"),
    Column("called", Text),
    Column("share", Float, nullable=False),
    integer_column("deployment"),
    text_column("in_use"),
    Column("started_at", Utc, nullable=False),
    integer_column("looks"),
    integer_column("failures"),
    boolean_column("is_liked"),
    Column("why", one_of(CanaryEnd)),
    Column("ended_by", Text),
    Column("ended_at", Utc),
    UniqueConstraint("workspace", "id"),
    foreign_key("assistants", "assistant"),
    check("share", "share > 0 AND share < 1"),
    check("counts", "looks >= 0 AND failures >= 0"),
)
Index(None, canaries.c.state)
Index(None, canaries.c.workspace, canaries.c.assistant)
