"""Adds reviews by several people, assignments, and answers of authors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"

_KINDS = ("approved", "rejected", "assigned", "asked", "right", "wrong")


def upgrade() -> None:
    number = sa.Column("reviewers", sa.Integer, nullable=False, server_default="1")
    op.add_column("assistants", number)
    op.create_table(
        "example_reviews",
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("example", sa.Integer, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.CheckConstraint(
            " OR ".join(f"kind = '{kind}'" for kind in _KINDS), name=op.f("ck_example_reviews_kind")
        ),
        sa.PrimaryKeyConstraint("workspace", "example", "user", "kind", name="pk_example_reviews"),
        sa.ForeignKeyConstraint(
            ["workspace", "example"],
            ["examples.workspace", "examples.id"],
            name="fk_example_reviews_examples",
        ),
    )
    op.create_index("ix_example_reviews_workspace_user", "example_reviews", ["workspace", "user"])
