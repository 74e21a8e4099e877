"""Adds the days after which a workspace deletes examples, and unapproved examples."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    for name in ("keep_days", "keep_unapproved_days"):
        op.add_column("workspaces", sa.Column(name, sa.Integer))
