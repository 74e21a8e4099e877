"""The tables of pending work: events, deletions, and cleanups at hosts; part of `tables.py`."""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    Integer,
    Table,
    Text,
)

from storage.column_types import Json, Utc, metadata
from storage.table_helpers import check, integer_column, numbered_table, text_column, workspace_key


def _attempts() -> CheckConstraint:
    return check("attempts", "attempts >= 0")


inbox = Table(
    "inbox",
    metadata,
    Column("key", Text, primary_key=True),
    Column("message_key", Text, unique=True),
    text_column("workspace"),
    text_column("state"),
    text_column("payload"),
    Column("received_at", Utc, nullable=False),
    integer_column("attempts"),
    check("state", "state IN ('received', 'running', 'done')"),
    check("erased", "state <> 'done' OR payload = ''"),
    _attempts(),
)
Index(None, inbox.c.state, inbox.c.received_at)
Index(None, inbox.c.workspace)

# Changes that can still be undone. If a host is set, the object is deleted there afterwards.
undoables = numbered_table(
    "undoables",
    text_column("user"),
    text_column("kind"),
    Column("details", Json, nullable=False),
    Column("host", Text),
    Column("due_at", Utc, nullable=False),
    integer_column("attempts"),
    workspace_key(),
    _attempts(),
)
Index(None, undoables.c.host, undoables.c.due_at)
Index(None, undoables.c.workspace)

# Replies that one person saw and may share; deleted after a day.
private_replies = numbered_table(
    "private_replies",
    Column("event", Text, nullable=False, unique=True),
    text_column("user"),
    integer_column("role"),
    text_column("channel"),
    Column("thread", Text),
    text_column("body"),
    Column("at", Utc, nullable=False),
    workspace_key(),
)
Index(None, private_replies.c.at)
Index(None, private_replies.c.workspace)

remote_cleanups = Table(
    "remote_cleanups",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    text_column("host"),
    text_column("idempotency_key"),
    Column("host_job", Text),
    Column("files", Json, nullable=False),
    Column("next_attempt_at", Utc, nullable=False),
    integer_column("attempts"),
    Column("models", Json, nullable=False, server_default="[]"),
    _attempts(),
)
