"""The tables of the room, in which we are the platform ourselves; part of `tables.py`."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from bot.domain import User
from storage.columns import Frozen, Utc, metadata

room_messages = Table(
    "room_messages",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("channel", Text, nullable=False),
    Column("thread", Integer),
    Column("author", Frozen(User), nullable=False),
    Column("text", Text, nullable=False),
    Column("body", Text),
    Column("is_own", Boolean, nullable=False),
    Column("at", Utc, nullable=False),
    Column("edited_at", Utc),
    Column("reply_to", Integer),
    Column("key", Text, unique=True),
    Column("author_id", Text),
    sqlite_autoincrement=True,
)
Index(None, room_messages.c.channel, room_messages.c.thread)
# With the number, which every index of SQLite ends with, pages are read in order.
Index(None, room_messages.c.channel, room_messages.c.number)
Index("ix_room_messages_author_id", room_messages.c.author_id)
Index("ix_room_messages_reply_to", room_messages.c.reply_to)
Index("ix_room_messages_workspace", room_messages.c.workspace)

room_reactions = Table(
    "room_reactions",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("emoji", Text, nullable=False),
    Column("user", Text, nullable=False),
    UniqueConstraint("number", "emoji", "user"),
    ForeignKeyConstraint(["number"], ["room_messages.number"]),
)
Index("ix_room_reactions_user", room_reactions.c.user)
Index("ix_room_reactions_workspace", room_reactions.c.workspace)
