"""Adds the exclusions an admin allows, and what hosts report about jobs and models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds columns instead of rebuilding tables, which would take minutes for a large one."""
    for table, name in (("workspaces", "allowed"), ("examples", "exclusions")):
        op.add_column(table, sa.Column(name, sa.Integer(), server_default="0", nullable=False))
    # SQLite allows a CHECK on a new column, which add_column does not support.
    op.execute(
        "ALTER TABLE workspaces ADD COLUMN training_cap FLOAT "
        "CONSTRAINT ck_workspaces_training_cap CHECK (training_cap >= 0)"
    )
    _extend_jobs()
    for table in ("models", "deployments"):
        op.add_column(table, sa.Column("called", sa.Text()))
    op.create_table(
        "leavings",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("start", sa.Text(), nullable=False),
        sa.Column("host_job", sa.Text(), nullable=True),
        sa.Column("files", sa.Text(), nullable=False),
        sa.Column("next_look", sa.DateTime(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_leavings_attempts")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leavings")),
    )


def _extend_jobs() -> None:
    for column in (
        sa.Column("trouble_details", sa.Text(), server_default="{}", nullable=False),
        sa.Column("result_files", sa.Text(), server_default="[]", nullable=False),
        sa.Column("seconds_left", sa.Float()),
        sa.Column("is_late", sa.Boolean(), server_default=sa.false(), nullable=False),
    ):
        op.add_column("jobs", column)
