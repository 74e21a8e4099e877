"""Adds the tools that an assistant's model may call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("assistants", sa.Column("tools", sa.Text(), nullable=False, server_default=""))
