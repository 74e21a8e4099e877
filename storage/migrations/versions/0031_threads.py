"""Adds whether an assistant or a channel answers each question in a new thread."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"


def upgrade() -> None:
    op.add_column(
        "assistants", sa.Column("threads", sa.Boolean, nullable=False, server_default=sa.false())
    )
    op.add_column("bindings", sa.Column("threads", sa.Boolean))
