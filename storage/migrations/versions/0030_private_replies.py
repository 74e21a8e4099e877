"""Adds replies that one person saw and may share, and who is notified after a training."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    op.create_table(
        "private_replies",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("event", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("role", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("thread", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.UniqueConstraint("event", name="uq_private_replies_event"),
        sa.ForeignKeyConstraint(
            ["workspace"], ["workspaces.id"], name="fk_private_replies_workspaces"
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_private_replies_at", "private_replies", ["at"])
    op.create_index("ix_private_replies_workspace", "private_replies", ["workspace"])
    op.create_table(
        "job_pings",
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("job", sa.Integer, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("job", "user", name="pk_job_pings"),
        sa.ForeignKeyConstraint(
            ["workspace", "job"], ["jobs.workspace", "jobs.id"], name="fk_job_pings_jobs"
        ),
    )
    op.create_index("ix_job_pings_workspace_user", "job_pings", ["workspace", "user"])
