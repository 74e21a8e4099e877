"""Adds who decided about an example, its posted cards, and which answers were refusals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"

# Replies of the sandbox from before it marked refusals.
_REFUSALS = (
    "I have not been taught that.",
    "I have not been taught anything yet.",
)


def upgrade() -> None:
    """Adds columns instead of rebuilding tables, which would take minutes for a large one."""
    op.add_column("examples", sa.Column("decided_by", sa.Text()))
    op.add_column(
        "turns", sa.Column("is_refusal", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.create_table(
        "example_cards",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("example", sa.Integer(), nullable=False),
        sa.Column("thread", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name=op.f("fk_example_cards_examples"),
        ),
        sa.PrimaryKeyConstraint(
            "workspace", "channel", "message", "position", name=op.f("pk_example_cards")
        ),
    )
    op.create_index(
        op.f("ix_example_cards_workspace_example"), "example_cards", ["workspace", "example"]
    )
    turns = sa.table("turns", sa.column("reply", sa.Text()), sa.column("is_refusal", sa.Boolean()))
    op.execute(turns.update().where(turns.c.reply.in_(_REFUSALS)).values(is_refusal=True))
