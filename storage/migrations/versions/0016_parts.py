"""Adds indexes that find rows to erase in parts, without reading other rows."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0016"
down_revision = "0015"

_OF_WORKSPACE = (
    "inbox",
    "undoables",
    "direct_choices",
    "job_metrics",
    "checkpoints",
    "evaluation_answers",
    "room_messages",
    "room_reactions",
)


def upgrade() -> None:
    for table in _OF_WORKSPACE:
        op.create_index(f"ix_{table}_workspace", table, ["workspace"])
    op.create_index("ix_audit_workspace_what", "audit", ["workspace", "what"])
    op.create_index("ix_snapshots_created_at", "snapshots", ["created_at"])
    edited = ["workspace", "editor", "example"]
    op.create_index("ix_revisions_workspace_editor_example", "revisions", edited)
    for column in ("editor", "decided_by"):
        is_named = text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_examples_workspace_{column}",
            "examples",
            ["workspace", column],
            sqlite_where=is_named,
            postgresql_where=is_named,
        )
    place = ["workspace", "channel", "thread"]
    op.create_index("ix_example_messages_workspace_channel_thread", "example_messages", place)
    has_reason = text("reason IS NOT NULL")
    op.create_index(
        "ix_votes_reason",
        "votes",
        ["workspace", "turn"],
        sqlite_where=has_reason,
        postgresql_where=has_reason,
    )
    has_words = text("question != '' OR reply != ''")
    op.create_index(
        "ix_turns_words",
        "turns",
        place,
        sqlite_where=has_words,
        postgresql_where=has_words,
    )
