"""Adds training offers of an assistant, and the model that may judge its answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    for name in ("offer_after_examples", "offer_after_preferences"):
        op.add_column("assistants", sa.Column(name, sa.Integer))
    for name in ("offer_channel", "judge_host", "judge_model"):
        op.add_column("assistants", sa.Column(name, sa.Text))
    criteria = sa.Column("judge_criteria", sa.Text, nullable=False, server_default="")
    op.add_column("assistants", criteria)
    op.create_table(
        "training_offers",
        sa.Column("workspace", sa.Text, nullable=False),
        sa.Column("assistant", sa.Integer, nullable=False),
        sa.Column("method", sa.String(32), nullable=False),
        sa.Column("state", sa.Integer, nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.PrimaryKeyConstraint("assistant", "method", "state", name="pk_training_offers"),
        sa.ForeignKeyConstraint(
            ["workspace", "assistant"],
            ["assistants.workspace", "assistants.id"],
            name="fk_training_offers_assistants",
        ),
    )
    owner = ["workspace", "assistant"]
    op.create_index("ix_training_offers_workspace_assistant", "training_offers", owner)
    has_channel = sa.text("offer_channel IS NOT NULL")
    op.create_index(
        "ix_assistants_offered",
        "assistants",
        ["id"],
        sqlite_where=has_channel,
        postgresql_where=has_channel,
    )
