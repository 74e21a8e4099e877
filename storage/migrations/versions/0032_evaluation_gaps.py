"""Adds badly answered questions that an evaluation asks its new model again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"


def upgrade() -> None:
    op.create_table(
        "evaluation_gaps",
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("evaluation", sa.Integer, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("state", sa.String(32), nullable=False),
        sa.Column("example", sa.Integer),
        sa.Column("answer", sa.Text, nullable=False),
        sa.Column("outcome", sa.String(32)),
        sa.PrimaryKeyConstraint("evaluation", "turn", name=op.f("pk_evaluation_gaps")),
        *(
            sa.ForeignKeyConstraint(
                ["workspace", name],
                [f"{name}s.workspace", f"{name}s.id"],
                name=op.f(f"fk_evaluation_gaps_{name}s"),
            )
            for name in ("evaluation", "turn", "example")
        ),
    )
    op.create_index("ix_evaluation_gaps_turn", "evaluation_gaps", ["turn"])
    op.create_index("ix_evaluation_gaps_workspace_turn", "evaluation_gaps", ["workspace", "turn"])
    op.create_index(
        "ix_evaluation_gaps_workspace_example", "evaluation_gaps", ["workspace", "example"]
    )
