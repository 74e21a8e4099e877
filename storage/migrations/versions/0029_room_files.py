"""Adds the files of a room message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("room_messages", sa.Column("files", sa.Text(), nullable=True))
    has_files = sa.text("files IS NOT NULL")
    op.create_index(
        "ix_room_messages_files",
        "room_messages",
        ["number"],
        sqlite_where=has_files,
        postgresql_where=has_files,
    )
