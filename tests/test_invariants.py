"""What must always hold: permission, privacy, silence of the logs, one service a folder."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from attune.background_loops import data_lock
from attune.logs import JsonFormatter
from bot.domain import LOCAL, ExampleState, Phase, UserId
from bot.errors import SettingsError
from tests.fakes.connected import CHAT, CREATE, UPLOAD
from tests.fakes.faults import answers, cut_after, hangs
from tests.scene import Scene
from tests.waiting import until

CANARY = "kanarienvogel"
SECRET = "sk-canary-4711-never-in-a-log"
OUR_OWN = ("attune", "adapters", "bot", "storage", "tuner")


async def taught_by(scene: Scene, name: str) -> None:
    """Twelve rows of nobody's, and one that a person wrote."""
    await scene.learn(12)
    await scene.command("teach", by=name)
    await scene.submit(by=name, question=f"the question of {name}", answer=f"words of {name}")
    (example,) = await scene.examples(ExampleState.PROPOSED)
    async with scene.store.writing() as records:
        await records.examples.set_state(
            LOCAL, [example.id], ExampleState.APPROVED, at=scene.clock.now()
        )


def trained_on(scene: Scene, words: str) -> bool:
    return any(words.encode() in file.content for file in scene.host.files.values())


# Permission


async def test_permission_revoked_between_yes_and_upload_sends_nothing(scene: Scene) -> None:
    await taught_by(scene, "mina")
    await scene.confirm()

    await scene.command("consent off", by="mina")
    await scene.settle()

    assert scene.host.sent == []
    assert (await scene.job()).phase is Phase.ABANDONED
    assert "Permission for some of its examples was taken back" in await scene.last()


async def test_permission_revoked_between_upload_and_create_removes_the_files(
    scene: Scene,
) -> None:
    await taught_by(scene, "mina")
    await scene.confirm()
    await until(lambda: scene.host.files, meanwhile=scene.step)
    assert trained_on(scene, "words of mina")

    await scene.command("consent off", by="mina")
    await scene.settle()

    assert (scene.host.files, scene.host.jobs) == ({}, {})
    assert (await scene.job()).phase is Phase.ABANDONED
    assert "What had been uploaded was removed." in await scene.last()


async def test_permission_revoked_while_the_answer_to_an_upload_is_lost_removes_it_too(
    scene: Scene,
) -> None:
    scene.host.lag_seconds = 30
    scene.host.fail(UPLOAD, cut_after())
    await taught_by(scene, "mina")
    await scene.confirm()
    await until(lambda: scene.host.files, meanwhile=scene.step)

    await scene.command("consent off", by="mina")
    await scene.settle()

    assert (scene.host.files, scene.host.jobs) == ({}, {})


@pytest.mark.parametrize("seconds", range(0, 100, 20))
async def test_whenever_permission_goes_before_the_job_nothing_is_trained(
    scene: Scene, seconds: int
) -> None:
    scene.host.fail_always(CREATE, answers(503))
    await taught_by(scene, "mina")
    await scene.confirm()
    spent = 0.0
    while spent <= seconds:
        wait = max(await scene.turn() or 0.0, 1.0)
        scene.advance(wait)
        spent += wait

    await scene.command("consent off", by="mina")
    scene.host.recover()
    await scene.settle()

    assert (scene.host.files, scene.host.jobs) == ({}, {})


async def test_an_example_withdrawn_after_yes_is_not_trained_on(scene: Scene) -> None:
    await scene.learn(12)
    await scene.confirm()

    await scene.command("examples withdraw:3")
    await scene.settle()

    assert scene.host.sent == []


# Forget me


async def forget(scene: Scene, name: str) -> None:
    await scene.command("forget-me", by=name)
    await scene.click("Erase it all", by=name)


async def test_forgetting_a_person_erases_what_they_wrote_everywhere(scene: Scene) -> None:
    await taught_by(scene, "mina")
    await scene.say("@attune a question of hers", by="mina")

    await forget(scene, "mina")

    async with scene.database.reading() as records:
        assert await records.turns.count_by_asker(LOCAL, UserId("mina")) == 0
        assert await records.examples.list_ids_by_author(LOCAL, UserId("mina")) == []
    assert len(await scene.examples(ExampleState.APPROVED)) == 12


async def test_forgetting_deletes_the_hosts_file_and_marks_the_models(scene: Scene) -> None:
    await taught_by(scene, "mina")
    await scene.confirm()
    await scene.settle()
    assert trained_on(scene, "words of mina")

    await forget(scene, "mina")
    await scene.settle()

    assert scene.host.files == {}
    assert all(model.is_tainted for model in await scene.models())
    assert "Models marked: 2" in "".join(await scene.texts())


async def test_forgetting_while_a_job_runs_does_the_same_at_its_end(scene: Scene) -> None:
    await taught_by(scene, "mina")
    await scene.confirm()
    await until(lambda: scene.host.jobs, meanwhile=scene.step)

    await forget(scene, "mina")
    await scene.settle()

    assert scene.host.files == {}
    assert all(model.is_tainted for model in await scene.models())


async def test_forgetting_leaves_other_files_alone(scene: Scene) -> None:
    await scene.tuned()
    await scene.say("@attune hi", by="mina")

    await forget(scene, "mina")
    await scene.settle()

    assert len(scene.host.files) == 1
    assert not any(model.is_tainted for model in await scene.models())


async def test_nobody_is_forgotten_by_somebody_else(scene: Scene) -> None:
    await taught_by(scene, "mina")
    await scene.command("forget-me", by="mina")

    await scene.click("Erase it all", by="omar")

    assert "Only the person themself can do that." in await scene.last()
    assert len(await scene.examples(ExampleState.APPROVED)) == 13


async def test_thinking_better_of_it_erases_nothing(scene: Scene) -> None:
    await taught_by(scene, "mina")
    await scene.command("forget-me", by="mina")

    await scene.click("Keep it", by="mina")

    assert len(await scene.examples(ExampleState.APPROVED)) == 13


async def test_my_data_holds_what_is_kept_of_me_and_nothing_else(scene: Scene) -> None:
    await taught_by(scene, "mina")
    await scene.say("@attune a question of hers", by="mina")
    await scene.say("@attune a question of his", by="omar")

    await scene.command("my-data", by="mina")

    (file,) = (scene.folder / "exports").iterdir()
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert {entry["kind"] for entry in told} >= {"example", "turn"}
    assert "a question of his" not in file.read_text()


async def test_a_workspace_that_leaves_takes_everything_along(scene: Scene) -> None:
    await taught_by(scene, "mina")
    await scene.command("teach", by="mina")

    await scene.leave()

    assert await scene.examples() == []
    assert not [
        path for path in scene.folder.glob("attune.db*") if b"words of mina" in path.read_bytes()
    ]


# Logs


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Every line that the house would write at its most talkative."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.addHandler(handler)
    levels = {name: logging.getLogger(name).level for name in OUR_OWN}
    for name in OUR_OWN:
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield written
    root.removeHandler(handler)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


async def test_no_log_line_holds_a_secret_or_a_word_of_anybody(
    scene: Scene, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.host.key = SECRET
    await scene.restart()
    scene.host.pieces = (CANARY, " answers")
    await scene.say(f"@attune {CANARY}", by="mina")
    await scene.react(2, "🎓", by="mina")
    await scene.do(f"/edit 1 @attune {CANARY} again", by="mina")
    await scene.command("teach", by="mina")
    await scene.submit(by="mina", question=f"{CANARY} q", answer=f"{CANARY} a")
    await scene.learn(12)
    scene.host.fail(UPLOAD, answers(500, CANARY), cut_after())
    scene.host.fail(CREATE, answers(429, CANARY), answers(503, f"{CANARY} {SECRET}"))
    await scene.confirm()
    await scene.settle()
    scene.host.fail(CHAT, answers(400, CANARY))
    await scene.say(f"@attune {CANARY}?", by="mina")

    async def broken(*_: object, **__: object) -> None:
        raise ValueError(CANARY)

    monkeypatch.setattr("bot.tuning.cards._shown_job", broken)
    monkeypatch.setattr("bot.tuning.job_steps.find_job_by_training_file", broken)
    await scene.command(f"status {CANARY}")
    scene.host.fail(CREATE, cut_after())
    await scene.confirm()
    for _ in range(12):
        scene.advance(await scene.turn() or 0.0)

    said = log.getvalue()
    assert "An event could not be handled" in said
    assert "A job could not be advanced" in said
    assert "A host made a job wait" in said
    assert "A tuned model failed" in said
    assert CANARY not in said
    assert SECRET not in said


async def test_the_key_of_a_host_is_told_to_nobody(scene: Scene) -> None:
    scene.host.fail(CHAT, answers(400, f"Strange key: {scene.host.key}."))

    await scene.say("@attune hi")

    assert "Strange key: …" in await scene.last()
    assert scene.host.key not in "".join(await scene.texts())


# Transactions


@pytest.mark.parametrize("pause", [n / 1000 for n in range(0, 40, 4)])
async def test_whoever_is_cancelled_leaves_no_open_transaction(scene: Scene, pause: float) -> None:
    await scene.learn(12)
    await scene.command("start")
    await scene.ask_only("/click LAST Confirm")
    await scene.ask_only("@attune hi")
    await asyncio.sleep(pause)

    for task in set(scene.app.running_tasks):
        task.cancel()
    await asyncio.gather(*scene.app.running_tasks, return_exceptions=True)

    async with asyncio.timeout(2), scene.store.writing() as records:
        await records.inbox.delete_finished_before(scene.clock.now())


async def test_the_watcher_can_be_cancelled_while_a_host_is_silent(scene: Scene) -> None:
    scene.host.fail(UPLOAD, hangs())
    await scene.learn(12)
    await scene.confirm()
    await scene.turn()
    looking = asyncio.create_task(scene.turn())
    await until(lambda: scene.host.count(UPLOAD) == 1)

    looking.cancel()
    await asyncio.wait({looking})

    scene.host.release()
    async with asyncio.timeout(10):
        await scene.settle()
    assert len(scene.host.files) == 1


# One service a folder


def test_a_folder_in_use_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with data_lock(tmp_path), pytest.raises(SettingsError) as refused, data_lock(tmp_path):
        raise AssertionError("two services on one folder")

    assert "Another Attune runs on" in refused.value.sentence
    assert "Stop that one first" in refused.value.sentence


def test_a_folder_is_free_again_once_its_service_has_ended(tmp_path: Path) -> None:
    with data_lock(tmp_path):
        pass

    with data_lock(tmp_path):
        pass


def test_beside_a_service_only_errands_are_run(tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("question,answer\nwhen?,at nine")
    with data_lock(tmp_path / "data"):
        second = attune(tmp_path, "chat")
        brought = attune(tmp_path, "import", str(rows))
        taken = attune(tmp_path, "export")

    assert second.returncode == 2
    assert "Another Attune runs on" in second.stderr
    assert "Traceback" not in second.stderr
    assert (brought.returncode, brought.stdout.splitlines()[0]) == (0, "New: 1")
    assert json.loads(taken.stdout)["messages"][1]["content"] == "at nine"


def attune(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "attune", *words],
        cwd=Path(__file__).parent.parent,
        env={**kept, "ATTUNE_DATA_DIR": str(folder / "data")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
