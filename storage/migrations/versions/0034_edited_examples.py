"""Adds an index by which edited examples are found by the time of the edit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0034"
down_revision = "0033"


def upgrade() -> None:
    condition = sa.text("revision > 1")
    op.create_index(
        "ix_examples_edited",
        "examples",
        ["workspace", "assistant", "revised_at"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
