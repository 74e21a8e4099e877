"""Adds blind votes on the answers of two models, and their ballots."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column(
        "evaluations",
        sa.Column("is_vote", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    op.create_table(
        "blind_votes",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("evaluation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("hours", sa.Integer(), nullable=False),
        sa.Column("cards", sa.Integer(), nullable=False),
        sa.Column("ends_at", sa.DateTime(), nullable=True),
        sa.Column("result", sa.Text(), nullable=False),
        sa.CheckConstraint("hours > 0 AND cards >= 0", name=op.f("ck_blind_votes_amounts")),
        sa.ForeignKeyConstraint(
            ["workspace", "evaluation"],
            ["evaluations.workspace", "evaluations.id"],
            name=op.f("fk_blind_votes_evaluations"),
        ),
        sa.PrimaryKeyConstraint("evaluation", name=op.f("pk_blind_votes")),
        sa.UniqueConstraint(
            "workspace", "evaluation", name=op.f("uq_blind_votes_workspace_evaluation")
        ),
    )
    op.create_index("ix_blind_votes_state", "blind_votes", ["state"])
    op.create_table(
        "ballots",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("evaluation", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("user", sa.Text(), nullable=False),
        sa.Column("choice", sa.String(length=32), nullable=False),
        sa.Column("is_curator", sa.Boolean(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace", "evaluation"],
            ["blind_votes.workspace", "blind_votes.evaluation"],
            name=op.f("fk_ballots_blind_votes"),
        ),
        sa.PrimaryKeyConstraint("evaluation", "number", "user", name=op.f("pk_ballots")),
    )
    op.create_index("ix_ballots_workspace_user", "ballots", ["workspace", "user"])
