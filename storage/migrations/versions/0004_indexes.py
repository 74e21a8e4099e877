"""Adds indexes for frequent queries, and for rows that are deleted by age."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"

_INDEXES = {
    "turns": (("workspace", "model"), ("at",)),
    "audit": (("workspace", "user"), ("at",)),
    "notices": (("due_at",),),
    "jobs": (("wish",), ("workspace", "confirmed_at"), ("host", "base", "phase", "finished_at")),
    "room_messages": (("channel", "number"),),
}


def upgrade() -> None:
    """Creates the indexes with the names of the tables' naming convention."""
    for table, indexes in _INDEXES.items():
        for columns in indexes:
            op.create_index(f"ix_{table}_{'_'.join(columns)}", table, [*columns])
