"""Adds the messages of an example, who marked it, and the question of a turn."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Adds tables; of existing examples only the marked message and the proposer are known."""
    op.create_table(
        "example_messages",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("example", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_example_messages_examples"),
        ),
        sa.PrimaryKeyConstraint(
            "workspace", "example", "channel", "message", name=op.f("pk_example_messages")
        ),
    )
    op.create_index(
        "ix_example_messages_workspace_channel_message",
        "example_messages",
        ["workspace", "channel", "message"],
    )
    op.create_table(
        "example_marks",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("example", sa.Integer(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_example_marks_examples"),
        ),
        sa.PrimaryKeyConstraint("workspace", "example", "user", name=op.f("pk_example_marks")),
    )
    op.create_index("ix_example_marks_workspace_user", "example_marks", ["workspace", "user"])
    op.add_column("turns", sa.Column("asked_message", sa.Text(), nullable=True))
    op.create_index(
        "ix_turns_workspace_channel_asked_message",
        "turns",
        ["workspace", "channel", "asked_message"],
    )
    _fill()


def _fill() -> None:
    op.execute(
        "INSERT INTO example_messages (workspace, example, channel, message, thread) "
        "SELECT workspace, id, channel, message, thread FROM examples WHERE message IS NOT NULL"
    )
    # The event key of a question is workspace/channel/message, or room:message in the room.
    op.execute(
        "UPDATE turns SET asked_message = "
        "substr(event_key, length(workspace) + length(channel) + 3) "
        "WHERE substr(event_key, 1, length(workspace) + length(channel) + 2) = "
        "workspace || '/' || channel || '/'"
    )
    op.execute(
        "UPDATE turns SET asked_message = substr(event_key, 6) "
        "WHERE workspace = 'local' AND substr(event_key, 1, 5) = 'room:'"
    )
    _fill_marks()


def _fill_marks() -> None:
    connection = op.get_bind()
    marks = sa.table("example_marks", *map(sa.column, ("workspace", "example", "user")))
    audit = sa.table("audit", *map(sa.column, ("workspace", "user", "what", "details")))
    examples = sa.table("examples", *map(sa.column, ("workspace", "id", "state", "message")))
    waiting = sa.select(examples.c.workspace, examples.c.id).where(
        examples.c.state == "proposed", examples.c.message.is_not(None)
    )
    known = {(row.workspace, row.id) for row in connection.execute(waiting)}
    told = sa.select(audit).where(audit.c.what == "example.proposed", audit.c.user.is_not(None))
    found = {
        (row.workspace, json.loads(row.details).get("example"), row.user)
        for row in connection.execute(told)
    }
    new = [mark for mark in sorted(found, key=str) if mark[:2] in known]
    if new:
        names = ("workspace", "example", "user")
        connection.execute(marks.insert(), [dict(zip(names, mark, strict=True)) for mark in new])
