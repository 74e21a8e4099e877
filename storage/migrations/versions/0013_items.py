"""Indexes for the authors and tags of an example, and for what refers to a deleted row."""

from __future__ import annotations

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Without the example, each question would read everything of that author or tag.

    Without an index for the whole of a foreign key, SQLite may look through a
    workspace for the children of each row that is deleted.
    """
    for table in ("example_authors", "example_tags"):
        op.drop_index(f"ix_{table}_workspace_item", table)
        columns = ["workspace", "item", "example"]
        op.create_index(f"ix_{table}_workspace_item_example", table, columns)
    for table, parent in (("votes", "turn"), ("snapshot_rows", "snapshot")):
        op.create_index(f"ix_{table}_workspace_{parent}", table, ["workspace", parent])
