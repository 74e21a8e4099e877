"""Whether the operator lets a workspace use the configured hosts; those that stand are let."""

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
