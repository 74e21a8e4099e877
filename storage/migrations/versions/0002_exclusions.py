"""What an admin allows to learn from beyond open channels and members."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Added to the tables as they stand: to rebuild a large one would take minutes."""
    for table, name in (("workspaces", "allowed"), ("examples", "exclusions")):
        op.add_column(table, sa.Column(name, sa.Integer(), server_default="0", nullable=False))
