"""One service per database, whatever its folder and however the database is named."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bot.errors import DatabaseTaken, SettingsError
from storage import service_lock as locking
from storage.service_lock import service_lock
from tests.contracts.conftest import POSTGRES

ROOT = Path(__file__).parent.parent
KEPT = ("PATH", "HOME", "PYTHONPATH", "LANG", "TMPDIR")


def environment(folder: Path, url: str) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    paths = os.pathsep.join(part for part in (str(ROOT), kept.get("PYTHONPATH", "")) if part)
    return {**kept, "PYTHONPATH": paths, "ATTUNE_DATA_DIR": str(folder), "DATABASE_URL": url}


@contextmanager
def service(folder: Path, url: str, *, cwd: Path) -> Iterator[subprocess.Popen[str]]:
    """A room in the terminal, ready once the block begins."""
    process = subprocess.Popen(
        [sys.executable, "-m", "attune", "chat"],
        cwd=cwd,
        env=environment(folder, url),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write("/tune help\n")
        process.stdin.flush()
        assert any("What I can do" in line for line in iter(process.stdout.readline, ""))
        yield process
    finally:
        process.kill()
        process.wait(20)
        process.stdin.close()
        process.stdout.close()


def attune(
    folder: Path, url: str, *words: str, cwd: Path, said: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "attune", *words],
        cwd=cwd,
        env=environment(folder, url),
        input=said,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_second_service_on_a_database_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    url, rows = f"sqlite:///{tmp_path}/team.db", tmp_path / "rows.csv"
    rows.write_text("question,answer\nwhen?,at nine")

    with service(tmp_path / "one", url, cwd=tmp_path) as first:
        refused = attune(tmp_path / "two", "sqlite:///team.db", "chat", cwd=tmp_path)
        imported = attune(tmp_path / "two", url, "import", str(rows), cwd=tmp_path)
        first.send_signal(signal.SIGKILL)
        first.wait(20)
        after = attune(tmp_path / "two", url, "chat", cwd=tmp_path, said="/tune help\n/quit\n")

    assert refused.returncode == 2
    assert f"Another Attune works on the database {tmp_path}/team.db" in refused.stderr
    assert f"process {first.pid} on " in refused.stderr
    assert str(tmp_path / "one") in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (imported.returncode, after.returncode) == (0, 0)


async def test_a_database_is_locked_by_every_name_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    (tmp_path / "linked").symlink_to(shared)
    (tmp_path / "link.db").symlink_to(shared / "team.db")
    whole = f"sqlite:///{shared}/team.db"
    names = (
        whole,
        "sqlite:///shared/team.db",
        "sqlite+aiosqlite:///linked/../linked/team.db",
        f"sqlite:///{tmp_path}/link.db",
    )

    async with service_lock(whole, holder="first"):
        for name in names:
            with pytest.raises(DatabaseTaken, match="first"):
                async with service_lock(name, holder="second"):
                    raise AssertionError(f"it was taken by {name}")


async def test_a_database_with_a_second_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "one.db").touch()
    (tmp_path / "two.db").hardlink_to(tmp_path / "one.db")

    with pytest.raises(SettingsError, match="hard link"):
        async with service_lock(f"sqlite:///{tmp_path}/two.db", holder="me"):
            raise AssertionError("it was taken")


@pytest.mark.parametrize("options", ["?uri=true", "?uri=true&mode=rwc", ""])
async def test_sqlites_own_addresses_are_refused(
    options: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the lock would be beside a file that has the whole address for a name."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(SettingsError, match="DATABASE_URL"):
        async with service_lock(f"sqlite:///file:{tmp_path}/one.db{options}", holder="me"):
            raise AssertionError("it was taken")

    assert list(tmp_path.iterdir()) == []


async def test_the_lock_is_free_again_once_its_service_has_ended(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/attune.db"
    async with service_lock(url, holder="first"):
        with pytest.raises(DatabaseTaken, match="first"):
            async with service_lock(url, holder="second"):
                raise AssertionError("two services on one database")

    async with service_lock(url, holder="third"):
        pass


class Answered:
    """A result of one value."""

    def __init__(self, value: object) -> None:
        self._value = value

    def scalar(self) -> object:
        return self._value

    def first(self) -> object:
        return self._value


class FakePostgres:
    """An engine and its connection: an advisory lock that may be somebody else's."""

    def __init__(self) -> None:
        self.other: tuple[object, ...] | None = None
        self.is_held = False
        self.statements: list[str] = []

    async def connect(self) -> FakePostgres:
        return self

    async def execute(self, statement: object, values: dict[str, Any]) -> Answered:
        sql = str(statement)
        self.statements.append(sql)
        if "pg_try_advisory_lock" in sql:
            assert -(2**63) <= values["key"] < 2**63
            self.is_held = self.other is None
            return Answered(self.is_held)
        if "pg_stat_activity" in sql:
            return Answered(self.other)
        return Answered(int(self.is_held))

    async def invalidate(self) -> None:
        self.is_held = False

    async def close(self) -> None:
        self.is_held = False

    async def dispose(self) -> None:
        self.is_held = False


@pytest.fixture
def postgres(monkeypatch: pytest.MonkeyPatch) -> FakePostgres:
    server = FakePostgres()
    monkeypatch.setattr(locking, "engine_for", lambda address, duty: server)
    monkeypatch.setattr(locking, "_CHECK_SECONDS", 0.0)
    return server


URL = "postgresql://someone:secret@db/attune"


async def test_postgres_holds_an_advisory_lock_for_the_life_of_the_service(
    postgres: FakePostgres,
) -> None:
    async with service_lock(URL, holder="me"):
        assert postgres.is_held

    assert not postgres.is_held


async def test_a_second_service_on_postgres_is_told_who_holds_it(postgres: FakePostgres) -> None:
    postgres.other = ("attune process 7 on box", "10.0.0.7", None)

    with pytest.raises(DatabaseTaken) as refused:
        async with service_lock(URL, holder="me"):
            raise AssertionError("it was taken")

    assert "attune process 7 on box 10.0.0.7" in refused.value.sentence
    assert "secret" not in refused.value.sentence


async def test_a_lock_that_was_lost_to_another_service_ends_this_one(
    postgres: FakePostgres,
) -> None:
    async with service_lock(URL, holder="me") as lock:
        postgres.is_held, postgres.other = False, ("attune other",)

        with pytest.raises(DatabaseTaken, match="attune other"):
            await lock.keep()


@pytest.mark.skipif(not POSTGRES, reason="needs ATTUNE_TEST_POSTGRES")
async def test_a_real_postgres_refuses_the_second_service() -> None:
    url = str(POSTGRES)
    async with service_lock(url, holder="first"):
        with pytest.raises(DatabaseTaken, match="attune first"):
            async with service_lock(url, holder="second"):
                raise AssertionError("two services on one database")

    async with service_lock(url, holder="third"):
        pass
