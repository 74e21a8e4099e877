"""Adds judgings, and each pair of answers that a judge compared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "judgings",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("evaluation", sa.Integer, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("thread", sa.Text),
        sa.Column("start", sa.Text, nullable=False),
        sa.Column("asked_by", sa.Text, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("against", sa.Integer, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("criteria", sa.Text, nullable=False),
        sa.Column("pairs", sa.Integer, nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("price", sa.Float),
        sa.Column("report", sa.Text, nullable=False),
        sa.Column("created_at", sa.DateTime, nullable=False),
        sa.Column("finished_at", sa.DateTime),
        sa.CheckConstraint(
            "pairs >= 0 AND tokens >= 0 AND price >= 0", name=op.f("ck_judgings_amounts")
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "evaluation"],
            ["evaluations.workspace", "evaluations.id"],
            name=op.f("fk_judgings_evaluations"),
        ),
        sa.UniqueConstraint("start", name=op.f("uq_judgings_start")),
        sa.UniqueConstraint("workspace", "id", name=op.f("uq_judgings_workspace_id")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_judgings_state", "judgings", ["state"])
    op.create_index("ix_judgings_workspace_evaluation", "judgings", ["workspace", "evaluation"])
    op.create_index("ix_judgings_workspace_created_at", "judgings", ["workspace", "created_at"])
    op.create_table(
        "judged_pairs",
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("judging", sa.Integer, nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("is_swapped", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("preferred", sa.String(32)),
        sa.PrimaryKeyConstraint("judging", "number", "is_swapped", name=op.f("pk_judged_pairs")),
        sa.ForeignKeyConstraint(
            ["workspace", "judging"],
            ["judgings.workspace", "judgings.id"],
            name=op.f("fk_judged_pairs_judgings"),
        ),
    )
    op.create_index("ix_judged_pairs_workspace", "judged_pairs", ["workspace"])
