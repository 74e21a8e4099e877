"""The table of trainings that were offered without being asked for."""

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

from bot.rows import Method
from storage.columns import Utc, metadata, one_of

training_offers = Table(
    "training_offers",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("assistant", Integer, nullable=False),
    Column("method", one_of(Method), nullable=False),
    Column("state", Integer, nullable=False),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("assistant", "method", "state"),
    ForeignKeyConstraint(["workspace", "assistant"], ["assistants.workspace", "assistants.id"]),
)
Index(None, training_offers.c.workspace, training_offers.c.assistant)
