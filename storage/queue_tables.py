"""The tables of what waits: events, deletions, removals at hosts; part of `tables.py`."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
)

from storage.columns import Json, Utc, metadata


def _attempts() -> CheckConstraint:
    return CheckConstraint("attempts >= 0", name="attempts")


inbox = Table(
    "inbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("message_key", Text, unique=True),
    Column("workspace", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("received_at", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),
    CheckConstraint("state IN ('received', 'running', 'done')", name="state"),
    CheckConstraint("state <> 'done' OR payload = ''", name="erased"),
    _attempts(),
)
Index(None, inbox.c.state, inbox.c.received_at)
Index(None, inbox.c.workspace)

# What somebody may still take back; with a host, what is deleted there afterwards.
undoables = Table(
    "undoables",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("workspace", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("details", Json, nullable=False),
    Column("host", Text),
    Column("due_at", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),
    ForeignKeyConstraint(["workspace"], ["workspaces.id"]),
    _attempts(),
    sqlite_autoincrement=True,
)
Index(None, undoables.c.host, undoables.c.due_at)
Index(None, undoables.c.workspace)

remote_cleanups = Table(
    "leavings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("host", Text, nullable=False),
    Column("start", Text, nullable=False),
    Column("host_job", Text),
    Column("files", Json, nullable=False),
    Column("next_look", Utc, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("models", Json, nullable=False, server_default="[]"),
    _attempts(),
)
