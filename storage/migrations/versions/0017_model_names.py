"""Adds a short name and a note to models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("models", sa.Column("label", sa.Text()))
    op.add_column("models", sa.Column("note", sa.Text()))
