"""The tables are the sum of the migrations, and a database is never opened by halves."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text

from bot.domain import LOCAL, MessageId, Sources, Workspace
from bot.errors import SettingsError
from storage.database import Database
from storage.migrations import migrate as migrations
from storage.migrations.migrate import NEWEST_VERSION, migrate, upgrade
from storage.tables import metadata
from tests.stores import ANN, GENERAL, HOME, an_assistant, furnished


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "attune.db"


def url(path: Path) -> str:
    return f"sqlite:///{path}"


def shape(connection: Connection) -> dict[str, object]:
    """Everything the database knows of its tables, CHECKs and partial indexes too."""
    look = inspect(connection)
    tables = [name for name in look.get_table_names() if name != "alembic_version"]
    return {
        name: (
            [{**column, "type": str(column["type"])} for column in look.get_columns(name)],
            look.get_pk_constraint(name),
            sorted(look.get_foreign_keys(name), key=str),
            sorted(look.get_unique_constraints(name), key=str),
            sorted(look.get_check_constraints(name), key=str),
            indexes(connection, name),
        )
        for name in tables
    }


def indexes(connection: Connection, table: str) -> list[str]:
    wanted = text("SELECT sql FROM sqlite_master WHERE tbl_name = :table AND type = 'index'")
    return sorted(sql for (sql,) in connection.execute(wanted, {"table": table}) if sql)


def test_the_tables_are_the_sum_of_the_migrations() -> None:
    engines = create_engine("sqlite://"), create_engine("sqlite://")
    with engines[0].begin() as migrated, engines[1].begin() as made:
        upgrade(migrated, None)
        metadata.create_all(made)

        assert compare_metadata(MigrationContext.configure(migrated), metadata) == []
        assert shape(migrated) == shape(made)
    for engine in engines:
        engine.dispose()


def test_the_head_is_the_last_migration() -> None:
    script = ScriptDirectory(str(Path(migrations.__file__).parent))

    assert script.get_heads() == [NEWEST_VERSION]


async def test_data_survives_another_start(path: Path) -> None:
    store = await Database.open(url(path))
    assistant = await furnished(store)
    await store.close()

    await migrate(url(path))

    store = await Database.open(url(path))
    async with store.reading() as records:
        assert (await records.assistants.get(HOME, assistant)).name == an_assistant().name
    await store.close()


async def test_a_database_of_the_first_version_is_brought_up_with_its_rows(path: Path) -> None:
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        command.upgrade(config, "0001")
        connection.execute(
            text("INSERT INTO workspaces (id, name, sources) VALUES (:id, 'Home', 3)"), {"id": HOME}
        )
    engine.dispose()

    await migrate(url(path))

    store = await Database.open(url(path))
    async with store.reading() as records:
        assert await records.workspaces.find(HOME) == Workspace(HOME, "Home", Sources.MESSAGES)
    await store.close()


async def test_examples_and_turns_of_before_are_followed_as_far_as_is_known(path: Path) -> None:
    path.parent.mkdir()
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        command.upgrade(config, "0006")
        for statement in OLD_ROWS.split(";"):
            connection.exec_driver_sql(statement)
    engine.dispose()

    await migrate(url(path))

    store = await Database.open(url(path))
    async with store.writing() as records:
        found = await records.example_messages.example_ids_of_messages(
            HOME, GENERAL, [MessageId("2.1")]
        )
        assert found == [1]
        assert await records.example_messages.remove_marker(HOME, found[0], ANN) == 0
        turn = await records.turns.by_question_message(HOME, GENERAL, MessageId("1.1"))
        local = await records.turns.by_question_message(LOCAL, GENERAL, MessageId("7"))
        assert turn is not None
        assert local is not None
        assert await records.turns.by_question_message(HOME, GENERAL, MessageId("9.9")) is None
    await store.close()


OLD_ROWS = """
INSERT INTO workspaces (id, name, sources) VALUES ('slack:T1', 'Home', 3), ('local', 'Room', 3);
INSERT INTO assistants (id, workspace, name, name_key, instructions, sampling, chat_host,
    training_host, base, is_default, history, few_shot)
    VALUES (1, 'slack:T1', 'a', 'a', '', '{}', 'h', 'h', 'b', 1, 1, 0),
    (2, 'local', 'a', 'a', '', '{}', 'h', 'h', 'b', 1, 1, 0);
INSERT INTO examples (id, workspace, assistant, method, state, row, revision, revised_at, origin,
    channel, message, held_out, created_at, updated_at)
    VALUES (1, 'slack:T1', 1, 'supervised', 'proposed', '{"messages":[]}', 1,
    '2026-11-01 00:00:00', 'message', 'C1', '2.1', 0, '2026-11-01 00:00:00',
    '2026-11-01 00:00:00');
INSERT INTO audit (workspace, at, user, what, details)
    VALUES ('slack:T1', '2026-11-01 00:00:00', 'U1', 'example.proposed', '{"example":1}'),
    ('slack:T1', '2026-11-01 00:00:00', 'U2', 'example.proposed', '{"example":99}');
INSERT INTO turns (workspace, assistant, channel, event_key, asker, question, reply, model, host,
    state, at, prompt)
    VALUES ('slack:T1', 1, 'C1', 'slack:T1/C1/1.1', 'U1', 'q', 'r', 'm', 'h', 'done',
    '2026-11-01 00:00:00', '[]'),
    ('slack:T1', 1, 'C1', 'slack:T1/interaction/9', 'U1', 'q', 'r', 'm', 'h', 'done',
    '2026-11-01 00:00:00', '[]'),
    ('local', 2, 'C1', 'room:7', 'you', 'q', 'r', 'm', 'h', 'done',
    '2026-11-01 00:00:00', '[]')
"""


async def test_a_newer_database_is_refused_in_words(path: Path) -> None:
    await (await Database.open(url(path))).close()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()

    with pytest.raises(SettingsError, match=r"DATABASE_URL is wrong: .* newer Attune"):
        await Database.open(url(path))


async def test_only_its_owner_can_read_the_file(path: Path) -> None:
    await (await Database.open(url(path))).close()

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_file_that_is_no_database_is_refused_in_words(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("Dear diary, " * 100)

    with pytest.raises(SettingsError, match="not a database"):
        await Database.open(url(path))


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("nonsense", "not an address"),
        ("sqlite://", "forgets everything"),
        ("sqlite:///:memory:", "forgets everything"),
        ("oracle+nothing://host/name", "not installed"),
        ("sqlite:////proc/nowhere/attune.db", "cannot be created"),
    ],
)
async def test_an_address_of_no_use_is_refused_in_words(address: str, problem: str) -> None:
    with pytest.raises(SettingsError, match=problem):
        await Database.open(address)
