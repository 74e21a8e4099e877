"""Bringing a database to the present schema.

A new one is made whole from `tables.py`; an older one goes step by step. A test
proves that both ways end at the same tables.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from bot.errors import SettingsError
from storage.database_engine import EngineRole, address_of, engine_for, translate_connection_errors
from storage.tables import metadata

HEAD = "0033"

_versions = Table(
    "alembic_version",
    MetaData(naming_convention={"pk": "%(table_name)s_pkc"}),
    Column("version_num", String(32), primary_key=True),
)


async def migrate(url: str) -> None:
    """Make or mend the tables; does nothing, and fast, where they stand as they should."""
    address = address_of(url)
    engine = engine_for(address, EngineRole.MIGRATE)
    try:
        with translate_connection_errors(address):
            async with engine.begin() as connection:
                await connection.run_sync(_bring_up)
    finally:
        await engine.dispose()


def _bring_up(connection: Connection) -> None:
    found = _version(connection)
    if found is None:
        metadata.create_all(connection, checkfirst=False)
        _versions.create(connection)
        connection.execute(_versions.insert().values(version_num=HEAD))
    elif found != HEAD:
        upgrade(connection, found)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_versions.name):
        return None
    return connection.execute(select(_versions.c.version_num)).scalar()


def abandon_rewriting(connection: Connection) -> None:
    """A table that is half rewritten would be in the way of a change; it begins anew."""
    for kind in ("trigger", "table"):
        found = connection.exec_driver_sql(
            "SELECT name FROM sqlite_schema WHERE type = ? AND name GLOB 'rewritten_*'", (kind,)
        )
        for (name,) in found.all():
            if kind == "table":
                table = name.removeprefix("rewritten_")
                connection.exec_driver_sql("INSERT OR IGNORE INTO residues VALUES (?)", (table,))
            connection.exec_driver_sql(f'DROP {kind.upper()} "{name}"')


def upgrade(connection: Connection, found: str | None) -> None:
    """Run the steps from the version found; a version from the future is refused."""
    if connection.dialect.name == "sqlite":
        abandon_rewriting(connection)
    # Alembic takes a fifth of a second to import, and most starts do without.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent))
    known = {step.revision for step in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise SettingsError(
            variable="DATABASE_URL",
            problem=f"the database was written by a newer Attune (schema {found})",
            remedy="Install that version again, or name another database.",
        )
    command.upgrade(config, HEAD)
    if connection.dialect.name == "sqlite" and (
        broken := connection.exec_driver_sql("PRAGMA foreign_key_check").all()
    ):
        raise RuntimeError(f"the migration left {len(broken)} rows without their parents")
