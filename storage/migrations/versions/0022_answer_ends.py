"""Adds why an answer ended before it was complete."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.add_column("turns", sa.Column("end", sa.String(32), nullable=True))
