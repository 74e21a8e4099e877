"""Adds canaries: models that answer a share of the questions beside the current one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.create_table(
        "canaries",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("assistant", sa.Integer(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.Column("start", sa.Text(), nullable=False),
        sa.Column("started_by", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("called", sa.Text(), nullable=True),
        sa.Column("share", sa.Float(), nullable=False),
        sa.Column("deployment", sa.Integer(), nullable=False),
        sa.Column("in_use", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("looks", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("is_liked", sa.Boolean(), nullable=False),
        sa.Column("why", sa.String(length=32), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(), nullable=True),
        sa.CheckConstraint("share > 0 AND share < 1", name=op.f("ck_canaries_share")),
        sa.CheckConstraint("looks >= 0 AND failures >= 0", name=op.f("ck_canaries_counts")),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_canaries_assistants"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_canaries")),
        sa.UniqueConstraint("start", name=op.f("uq_canaries_start")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_canaries_workspace_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_canaries_state", "canaries", ["state"])
    op.create_index("ix_canaries_workspace_assistant", "canaries", ["workspace", "assistant"])
