"""Adds when a workspace's removal was reported, and when it was closed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds columns; every existing workspace is open."""
    for name in ("removal_reported_at", "closed_at"):
        op.add_column("workspaces", sa.Column(name, sa.DateTime(), nullable=True))
