"""Adds synthetic examples, and the runs in which a model wrote them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.add_column("examples", sa.Column("derived_from", sa.Integer))
    op.add_column("examples", sa.Column("written_by", sa.Text))
    replaces = sa.Column("replaces_source", sa.Boolean, nullable=False, server_default=sa.false())
    op.add_column("examples", replaces)
    op.create_index(
        "ix_examples_workspace_derived_from",
        "examples",
        ["workspace", "derived_from"],
        sqlite_where=sa.text("derived_from IS NOT NULL"),
        postgresql_where=sa.text("derived_from IS NOT NULL"),
    )
    op.create_table(
        "synthetic_runs",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("assistant", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("thread", sa.Text),
        sa.Column("start", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("wordings", sa.Integer, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("examples", sa.Integer, nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("price", sa.Float),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.CheckConstraint(
            "examples >= 0 AND tokens >= 0 AND price >= 0", name=op.f("ck_synthetic_runs_amounts")
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name=op.f("fk_synthetic_runs_assistants"),
        ),
        sa.UniqueConstraint("start", name=op.f("uq_synthetic_runs_start")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_synthetic_runs_workspace_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_synthetic_runs_state", "synthetic_runs", ["state"])
    op.create_index(
        "ix_synthetic_runs_workspace_created_at", "synthetic_runs", ["workspace", "created_at"]
    )
    op.create_table(
        "synthetic_calls",
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("example", sa.Integer, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("proposed", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run", "example", name=op.f("pk_synthetic_calls")),
        sa.ForeignKeyConstraint(
            ["workspace", "run"],
            ["synthetic_runs.workspace", "synthetic_runs.id"],
            name=op.f("fk_synthetic_calls_synthetic_runs"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_synthetic_calls_examples"),
        ),
    )
    op.create_index(
        "ix_synthetic_calls_workspace_example", "synthetic_calls", ["workspace", "example"]
    )
