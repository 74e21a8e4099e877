"""Brings a database to the current schema.

A new database is created from `tables.py`; an older one is migrated step by step. A test proves
that both ways end with the same tables.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from bot.errors import SettingsError
from storage.database_engine import EngineRole, address_of, engine_for, translate_connection_errors
from storage.tables import metadata

NEWEST_VERSION = "0034"

_versions = Table(
    "alembic_version",
    MetaData(naming_convention={"pk": "%(table_name)s_pkc"}),
    Column("version_num", String(32), primary_key=True),
)


async def migrate(url: str) -> None:
    """Creates or migrates the tables; does nothing if the schema is current."""
    address = address_of(url)
    engine = engine_for(address, EngineRole.MIGRATE)
    try:
        with translate_connection_errors(address):
            async with engine.begin() as connection:
                await connection.run_sync(_create_or_upgrade)
    finally:
        await engine.dispose()


def _create_or_upgrade(connection: Connection) -> None:
    version = _version(connection)
    if version is None:
        metadata.create_all(connection, checkfirst=False)
        _versions.create(connection)
        connection.execute(_versions.insert().values(version_num=NEWEST_VERSION))
    elif version != NEWEST_VERSION:
        upgrade(connection, version)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_versions.name):
        return None
    return connection.execute(select(_versions.c.version_num)).scalar()


def abandon_rewriting(connection: Connection) -> None:
    """Drops half-rewritten tables, which would block a schema change; rewriting starts over."""
    for kind in ("trigger", "table"):
        rows = connection.exec_driver_sql(
            "SELECT name FROM sqlite_schema WHERE type = ? AND name GLOB 'rewritten_*'", (kind,)
        )
        for (name,) in rows.all():
            if kind == "table":
                table = name.removeprefix("rewritten_")
                connection.exec_driver_sql("INSERT OR IGNORE INTO residues VALUES (?)", (table,))
            connection.exec_driver_sql(f'DROP {kind.upper()} "{name}"')


def upgrade(connection: Connection, found: str | None) -> None:
    """Runs the migrations after this version. Raises SettingsError for a newer schema."""
    if connection.dialect.name == "sqlite":
        abandon_rewriting(connection)
    # Alembic takes 0.2 s to import, and most starts do not need it.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent))
    revisions = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in revisions:
        raise SettingsError(
            variable="DATABASE_URL",
            problem=f"the database was written by a newer Attune (schema {found})",
            remedy="Install that version again, or name another database.",
        )
    command.upgrade(config, NEWEST_VERSION)
    if connection.dialect.name == "sqlite" and (
        orphans := connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    ):
        raise RuntimeError(f"the migration left {len(orphans)} rows without their parents")
