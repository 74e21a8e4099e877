"""Adds the kinds of private text in an example, whether they may stay, and required masks."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from bot.private_text import private_kinds_in_row

revision = "0019"
down_revision = "0018"

_PART = 500


def upgrade() -> None:
    op.add_column(
        "workspaces",
        sa.Column("must_mask", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.add_column(
        "examples", sa.Column("private_text", sa.Integer(), server_default="0", nullable=False)
    )
    op.add_column(
        "examples",
        sa.Column("keeps_private_text", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    is_private = sa.text("private_text != 0")
    op.create_index(
        "ix_examples_private_text",
        "examples",
        ["workspace", "assistant", "id"],
        sqlite_where=is_private,
        postgresql_where=is_private,
    )
    _look_through()


def _look_through() -> None:
    """Detects private text in existing examples, which no host may get before."""
    connection = op.get_bind()
    examples = sa.table("examples", sa.column("id"), sa.column("row"), sa.column("private_text"))
    some = sa.select(examples.c.id, examples.c.row).where(examples.c.row.is_not(None))
    last = 0
    while True:
        part = some.where(examples.c.id > last).order_by(examples.c.id).limit(_PART)
        found = connection.execute(part).all()
        if not found:
            return
        for number, row in found:
            kinds = private_kinds_in_row(json.loads(row) if isinstance(row, str) else row)
            if kinds:
                own = sa.update(examples).where(examples.c.id == number)
                connection.execute(own.values(private_text=int(kinds)))
        last = found[-1][0]
