"""The tables of the messages an example was made from, and of its marks and reviews."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from bot.domain.reviewing import ReviewKind
from storage.column_types import Utc, metadata
from storage.table_helpers import enum_column, foreign_key, integer_column, text_column


def _example_key() -> ForeignKeyConstraint:
    return foreign_key("examples", "example")


# The marked message, the message that it answers, and all other messages with text of the example.
example_messages = Table(
    "example_messages",
    metadata,
    text_column("workspace"),
    integer_column("example"),
    text_column("channel"),
    text_column("message"),
    Column("thread", Text),
    PrimaryKeyConstraint("workspace", "example", "channel", "message"),
    _example_key(),
)
Index(
    "ix_example_messages_workspace_channel_message",
    example_messages.c.workspace,
    example_messages.c.channel,
    example_messages.c.message,
)
Index(
    "ix_example_messages_workspace_channel_thread",
    example_messages.c.workspace,
    example_messages.c.channel,
    example_messages.c.thread,
)

example_markers = Table(
    "example_marks",
    metadata,
    text_column("workspace"),
    integer_column("example"),
    text_column("user"),
    PrimaryKeyConstraint("workspace", "example", "user"),
    _example_key(),
)
Index("ix_example_marks_workspace_user", example_markers.c.workspace, example_markers.c.user)

example_reviews = Table(
    "example_reviews",
    metadata,
    text_column("workspace"),
    integer_column("example"),
    text_column("user"),
    enum_column("kind", ReviewKind),
    integer_column("revision"),
    Column("at", Utc, nullable=False),
    Column("note", Text, nullable=False),
    PrimaryKeyConstraint("workspace", "example", "user", "kind"),
    _example_key(),
)
Index("ix_example_reviews_workspace_user", example_reviews.c.workspace, example_reviews.c.user)
