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
    unique_idempotency_key,
)

canaries = numbered_table(
    "canaries",
    integer_column("assistant"),
    text_column("channel"),
    Column("thread", Text),
    text_column("idempotency_key"),
    text_column("started_by"),
    Column("state", one_of(CanaryState), nullable=False),
    text_column("model"),
    text_column("host"),
    Column("served_name", Text),
    Column("share", Float, nullable=False),
    integer_column("deployment"),
    text_column("in_use"),
    Column("started_at", Utc, nullable=False),
    integer_column("vote_checks"),
    integer_column("failures"),
    boolean_column("is_liked"),
    Column("why", one_of(CanaryEnd)),
    Column("ended_by", Text),
    Column("ended_at", Utc),
    unique_idempotency_key("canaries"),
    UniqueConstraint("workspace", "id"),
    foreign_key("assistants", "assistant"),
    check("share", "share > 0 AND share < 1"),
    check("counts", "vote_checks >= 0 AND failures >= 0"),
)
Index(None, canaries.c.state)
Index(None, canaries.c.workspace, canaries.c.assistant)
