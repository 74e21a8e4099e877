"""When a workspace's removal was reported, and since when it is closed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Added to the table as it stands; every workspace that is kept is open."""
    for name in ("removal_reported_at", "closed_at"):
        op.add_column("workspaces", sa.Column(name, sa.DateTime(), nullable=True))
