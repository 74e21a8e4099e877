"""The tables of the room, the local workspace's own chat; part of `tables.py`."""

from __future__ import annotations

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from bot.domain import User
from storage.column_types import FrozenJson, Json, Utc, metadata
from storage.table_helpers import boolean_column, integer_column, partial_index, text_column

room_messages = Table(
    "room_messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    text_column("workspace"),
    text_column("channel"),
    Column("thread", Integer),
    Column("author", FrozenJson(User), nullable=False),
    text_column("text"),
    Column("body", Text),
    boolean_column("is_own"),
    Column("at", Utc, nullable=False),
    Column("edited_at", Utc),
    Column("reply_to", Integer),
    Column("key", Text, unique=True),
    Column("author_id", Text),
    Column("files", Json),
    sqlite_autoincrement=True,
)
Index(None, room_messages.c.channel, room_messages.c.thread)
# Includes the number, so that pages are read in the order of the index.
Index(None, room_messages.c.channel, room_messages.c.number)
Index("ix_room_messages_author_id", room_messages.c.author_id)
Index("ix_room_messages_reply_to", room_messages.c.reply_to)
Index("ix_room_messages_workspace", room_messages.c.workspace)
partial_index(
    "ix_room_messages_files", room_messages.c.number, where=room_messages.c.files.is_not(None)
)

room_reactions = Table(
    "room_reactions",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    text_column("workspace"),
    integer_column("number"),
    text_column("emoji"),
    text_column("user"),
    UniqueConstraint("number", "emoji", "user"),
    ForeignKeyConstraint(["number"], ["room_messages.number"]),
)
Index("ix_room_reactions_user", room_reactions.c.user)
Index("ix_room_reactions_workspace", room_reactions.c.workspace)
