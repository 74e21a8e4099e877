"""Adds the table of tables that may still hold bytes of erased rows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Creates the table; earlier versions marked pending work in `user_version`."""
    residues = op.create_table(
        "residues",
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_residues")),
    )
    connection = op.get_bind()
    if connection.dialect.name == "sqlite" and (
        connection.exec_driver_sql("PRAGMA user_version").scalar()
    ):
        names = ["", "examples", "example_authors", "example_tags", "revisions", "turns", "votes"]
        op.bulk_insert(residues, [{"name": name} for name in names])
        connection.exec_driver_sql("PRAGMA user_version = 0")
