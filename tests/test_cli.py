"""The `attune` command, as somebody types it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from attune.__main__ import app
from attune.background_loops import data_lock
from attune.settings import Settings

ROWS = [
    {"messages": [{"role": "user", "content": f"q{n}"}, {"role": "assistant", "content": f"a{n}"}]}
    for n in range(3)
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTUNE_DATA_DIR", str(tmp_path / "data"))
    for name in ("LANG", "LC_ALL", "OPENAI_API_KEY", "OPENAI_BASE_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def rows(folder: Path) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def attune(*words: str) -> Result:
    return CliRunner().invoke(app, list(words))


def test_import_says_what_came_of_every_row(rows: Path) -> None:
    with rows.open("a") as file:
        file.write('{"messages": []}\n')

    result = attune("import", str(rows))

    assert result.exit_code == 0
    assert result.output.splitlines()[:3] == ["New: 3", "Known already: 0", "Refused: 1"]
    assert "Line 4: “messages” has no message" in result.output


def test_importing_again_finds_only_what_is_known(rows: Path) -> None:
    attune("import", str(rows))

    result = attune("import", str(rows))

    assert result.output.splitlines()[:2] == ["New: 0", "Known already: 3"]


def test_a_file_without_a_good_row_ends_in_one(folder: Path) -> None:
    (folder / "bad.jsonl").write_text('{"messages": []}\n')

    assert attune("import", str(folder / "bad.jsonl")).exit_code == 1


def test_a_missing_file_is_named() -> None:
    result = attune("import", "nowhere.jsonl")

    assert result.exit_code == 2
    assert "There is no file “nowhere.jsonl” here." in result.output


@pytest.mark.parametrize(
    ("words", "came_in"),
    [
        ((), False),
        (("--yes",), True),
        (("--columns", "question=question,answer=agent reply"), True),
        (("--columns", "question=question,answer=nowhere", "--yes"), False),
    ],
)
def test_guessed_columns_are_confirmed_in_the_shell(
    folder: Path, words: tuple[str, ...], came_in: bool
) -> None:
    table = "user,question,agent reply\nkim,How much?,Seven euros.\nlee,Any tyre?,Two.\n"
    (folder / "desk.csv").write_text(table)

    result = attune("import", str(folder / "desk.csv"), *words)

    assert ("New: 2" in result.output, result.exit_code) == (came_in, 0 if came_in else 2)
    if not words:
        lines = result.output.splitlines()
        assert lines[1:3] == ["1. How much? → Seven euros.", "2. Any tyre? → Two."]
        assert lines[3:5] == [
            "Columns: question ← question, answer ← agent reply",
            "Left out: user",
        ]
        assert "--columns" in result.output


@pytest.mark.parametrize(("answer", "came_in"), [("y\n", True), ("n\n", False)])
def test_a_terminal_shows_what_is_learned_and_asks_before_it_is(
    rows: Path, monkeypatch: pytest.MonkeyPatch, answer: str, came_in: bool
) -> None:
    monkeypatch.setattr("attune.__main__.is_terminal", lambda: True)

    result = CliRunner().invoke(app, ["import", str(rows)], input=answer)

    lines = result.output.splitlines()
    assert lines[0] == "Check rows.jsonl: this is what would be learned"
    assert lines[1].startswith("1. ")
    assert lines[3].startswith("3. ")
    assert ("New: 3" in lines, "Nothing was imported." in result.output) == (came_in, not came_in)


def test_unknown_columns_say_how_to_name_them(folder: Path) -> None:
    (folder / "desk.csv").write_text("topic,text a,text b\nTube,How much?,Seven.\n")

    result = attune("import", str(folder / "desk.csv"))

    assert result.exit_code == 2
    assert "--columns question=HEADING,answer=HEADING" in result.output


def test_what_is_imported_can_be_exported_as_it_is_trained(rows: Path, folder: Path) -> None:
    attune("import", str(rows))

    attune("export", "--out", "out.jsonl")

    lines = (folder / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == ROWS


def test_import_works_while_a_service_runs(rows: Path, folder: Path) -> None:
    with data_lock(folder / "data"):
        assert attune("import", str(rows)).exit_code == 0


def test_another_workspace_has_rows_of_its_own(rows: Path) -> None:
    attune("import", str(rows), "--workspace", "slack:T1")

    result = attune("export")

    assert "There are no approved examples to export." in result.output


def test_an_unknown_assistant_is_named(rows: Path) -> None:
    result = attune("import", str(rows), "--assistant", "nobody")

    assert "There is no assistant “nobody” here." in result.output


@pytest.mark.parametrize(
    ("variable", "value", "remedy"),
    [
        ("SLACK_MODE", "carrier-pigeon", "Write socket or http."),
        ("ATTUNE_STUDIO_PORT", "99999", "Write a number from 0 to 65535."),
        ("ATTUNE_ADMINS", "U123", "Write a list like slack:U123,discord:456."),
    ],
)
def test_a_wrong_setting_is_named_with_its_remedy(
    variable: str, value: str, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    result = attune("migrate")

    assert result.exit_code == 2
    assert variable in result.output
    assert remedy in result.output


def test_a_second_service_is_refused_in_a_sentence(folder: Path) -> None:
    with data_lock(folder / "data"):
        result = attune("chat")

    assert result.exit_code == 2
    assert "Another Attune runs on" in result.output


def test_an_open_door_needs_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_STUDIO_HOST", "0.0.0.0")

    result = attune("run")

    assert result.exit_code == 2
    assert "Set ATTUNE_STUDIO_PASSWORD" in result.output


@pytest.mark.parametrize("blanks", ["", " ", "\t \n" * 20, "\u3000" * 40])
def test_blanks_are_no_secret(blanks: str) -> None:
    secrets = [
        field.alias
        for field in Settings.model_fields.values()
        if field.alias is not None and field.annotation == SecretStr | None
    ]
    blank = Settings.model_validate(dict.fromkeys(secrets, blanks))

    assert secrets
    assert not [value for _, value in blank if isinstance(value, SecretStr)]


def test_a_taken_port_is_told_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("ATTUNE_STUDIO_PORT", str(taken.getsockname()[1]))

        result = attune("run")

    assert result.exit_code == 2
    assert "choose another port" in result.output


def test_the_doctor_finds_a_fresh_folder_well() -> None:
    result = attune("doctor")

    assert result.exit_code == 0, result.output
    assert "✓ Host sandbox (sandbox): answers; models: 1; trains" in result.output


def test_the_doctor_says_which_platform_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "✓ Slack is off: no SLACK_BOT_TOKEN in the environment" in attune("doctor").output

    monkeypatch.setenv("SLACK_APP_TOKEN", "xapp-1")
    result = attune("doctor")

    assert result.exit_code == 1
    assert "✗ Slack is off" in result.output


def test_the_doctor_names_a_host_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("ATTUNE_BASE_MODEL", "some-model")

    result = attune("doctor")

    assert result.exit_code == 1
    assert "✗ Host default (custom): The host “default” cannot be reached." in result.output


def test_the_doctor_works_beside_a_running_service(folder: Path) -> None:
    with data_lock(folder / "data"):
        result = attune("doctor")

    assert result.exit_code == 0
    assert "✓ Attune runs on this folder" in result.output


def test_a_host_of_ones_own_must_name_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")

    result = attune("import", "rows.jsonl", "--workspace", "slack:T1")

    assert result.exit_code == 2
    assert "ATTUNE_BASE_MODEL" in attune("doctor").output


def test_a_workspace_must_be_one() -> None:
    assert attune("export", "--workspace", "nonsense").exit_code == 2


def test_nobody_is_healthy_where_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTUNE_STUDIO_PORT", "9")

    assert attune("health").exit_code == 1


def test_the_health_check_loads_no_server() -> None:
    """It runs every half minute, and has five seconds on a busy machine."""
    heavy = {"fastapi", "nicegui", "uvicorn", "openai", "sqlalchemy", "discord", "numpy"}
    program = (
        f"import attune.__main__, attune.run_command, sys; print(sys.modules.keys() & {heavy})"
    )

    loaded = subprocess.check_output([sys.executable, "-c", program], text=True)

    assert loaded.strip() == "set()"
