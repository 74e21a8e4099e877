"""Adds when each role was granted; a grant from before the person joined is void."""

from __future__ import annotations

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"

_ROLES = sa.table("roles", *(sa.column(name) for name in ("workspace", "user", "at")))
_AUDIT = sa.table("audit", *(sa.column(name) for name in ("workspace", "what", "at", "details")))


def upgrade() -> None:
    """Takes the times from the audit log; a grant that is not in it counts from now on."""
    op.add_column(
        "roles",
        sa.Column("at", sa.DateTime(), server_default="1970-01-01 00:00:00", nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        named = sa.func.json_extract(_AUDIT.c.details, "$.user_id")
    else:
        named = sa.func.json_extract_path_text(sa.cast(_AUDIT.c.details, sa.JSON()), "user_id")
    granted = sa.select(sa.func.max(_AUDIT.c.at)).where(
        _AUDIT.c.workspace == _ROLES.c.workspace,
        _AUDIT.c.what == "role.granted",
        named == _ROLES.c.user,
    )
    now = sa.literal(datetime.now(UTC).replace(tzinfo=None), sa.DateTime())
    op.execute(sa.update(_ROLES).values(at=sa.func.coalesce(granted.scalar_subquery(), now)))
