"""Adds whether a workspace may use the configured hosts; existing workspaces may."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "workspaces",
        sa.Column("is_allowed", sa.Boolean(), server_default=sa.true(), nullable=False),
    )
