"""The table of training offers that the bot posted by itself."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    Index,
    PrimaryKeyConstraint,
    Table,
)

from bot.rows import Method
from storage.columns import Utc, metadata, one_of
from storage.schema import foreign_key, integer_column, text_column

training_offers = Table(
    "training_offers",
    metadata,
    text_column("workspace"),
    integer_column("assistant"),
    Column("method", one_of(Method), nullable=False),
    integer_column("state"),
    Column("at", Utc, nullable=False),
    PrimaryKeyConstraint("assistant", "method", "state"),
    foreign_key("assistants", "assistant"),
)
Index(None, training_offers.c.workspace, training_offers.c.assistant)
