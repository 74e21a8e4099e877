"""Adds indexes for authors and tags of examples, and for children of deleted rows."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Replaces and adds indexes.

    Without the example in the index, a query reads all rows of an author or tag. Without an
    index on the whole foreign key, SQLite may scan a workspace for the children of each deleted
    row.
    """
    for table in ("example_authors", "example_tags"):
        op.drop_index(f"ix_{table}_workspace_item", table)
        columns = ["workspace", "item", "example"]
        op.create_index(f"ix_{table}_workspace_item_example", table, columns)
    for table, parent in (("votes", "turn"), ("snapshot_rows", "snapshot")):
        op.create_index(f"ix_{table}_workspace_{parent}", table, ["workspace", parent])
