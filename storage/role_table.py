"""The table of roles that an admin granted, with the time of the grant."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    PrimaryKeyConstraint,
    Table,
    false,
)

from storage.columns import Utc, metadata
from storage.schema import check, integer_column, text_column, workspace_key

roles = Table(
    "roles",
    metadata,
    text_column("workspace"),
    text_column("user"),
    integer_column("role"),
    Column("is_external", Boolean, nullable=False, server_default=false()),
    Column("at", Utc, nullable=False, server_default="1970-01-01 00:00:00"),
    PrimaryKeyConstraint("workspace", "user"),
    workspace_key(),
    check("role", "role BETWEEN 1 AND 5"),
)
