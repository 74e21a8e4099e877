"""Roles that were given by hand, and when."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    false,
)

from storage.columns import Utc, metadata

roles = Table(
    "roles",
    metadata,
    Column("workspace", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("role", Integer, nullable=False),
    Column("is_external", Boolean, nullable=False, server_default=false()),
    Column("at", Utc, nullable=False, server_default="1970-01-01 00:00:00"),
    PrimaryKeyConstraint("workspace", "user"),
    ForeignKeyConstraint(["workspace"], ["workspaces.id"]),
    CheckConstraint("role BETWEEN 1 AND 5", name="role"),
)
