"""Adds the channels in which guests may ask, and roles of people of another organisation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds a column; earlier grants were for members of the organisation."""
    op.add_column(
        "roles",
        sa.Column("is_external", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    op.create_table(
        "guest_channels",
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace"], ["workspaces.id"], name=op.f("fk_guest_channels_workspaces")
        ),
        sa.PrimaryKeyConstraint("workspace", "channel", name=op.f("pk_guest_channels")),
    )
