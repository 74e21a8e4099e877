"""Adds what was taught after a badly answered question."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.create_table(
        "taught_turns",
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("turn", sa.Integer, nullable=False),
        sa.Column("example", sa.Integer),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("turn", name="pk_taught_turns"),
        sa.ForeignKeyConstraint(
            ["workspace", "turn"],
            ["turns.workspace", "turns.id"],
            name="fk_taught_turns_turns",
        ),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name="fk_taught_turns_examples",
        ),
    )
    op.create_index("ix_taught_turns_workspace_turn", "taught_turns", ["workspace", "turn"])
    op.create_index("ix_taught_turns_workspace_example", "taught_turns", ["workspace", "example"])
    asked = ["workspace", "assistant", "at"]
    op.create_index("ix_turns_workspace_assistant_at", "turns", asked)
