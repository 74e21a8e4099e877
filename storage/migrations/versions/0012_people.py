"""Adds models to delete at hosts, and the author of a room message."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Adds columns; pending cleanups have no models."""
    op.add_column("leavings", sa.Column("models", sa.Text(), server_default="[]", nullable=False))
    op.add_column("room_messages", sa.Column("author_id", sa.Text(), nullable=True))
    if op.get_bind().dialect.name == "sqlite":
        op.execute("UPDATE room_messages SET author_id = json_extract(author, '$.id')")
    else:
        op.execute("UPDATE room_messages SET author_id = author::json ->> 'id'")
    op.create_index("ix_room_messages_author_id", "room_messages", ["author_id"])
    op.create_index("ix_room_messages_reply_to", "room_messages", ["reply_to"])
    op.create_index("ix_room_reactions_user", "room_reactions", ["user"])
