"""Everything of a person is shown to them, and nothing of it is left in any file."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters.studio.page_session import STUDIO_OWNER
from attune.background_loops import running_app
from attune.bootstrap import App
from attune.settings import Settings
from bot.domain import LOCAL, ExampleState, Grant, Phase, Place, Role, User, UserId
from bot.events import ButtonClicked, CommandInvoked, Event, EventContent, FormSubmitted
from bot.replies import Card, Reply, Text
from bot.rows import Method
from storage.personal_data import PERSONAL_COLUMNS
from storage.tables import metadata
from tests.scene import GENERAL, Scene
from tests.waiting import until

MARKER = "quixotic-marmalade"
PERSON_COLUMNS = {
    *("user", "asker", "asked_by", "by", "editor", "decided_by", "author_id", "item"),
    *("started_by", "ended_by"),
}
OTHER_ITEMS = {"example_tags.item"}
"""Columns that are called like a person's and hold something else."""


def test_every_column_that_names_a_person_is_known_to_their_data() -> None:
    named = {
        f"{table.name}.{column.name}"
        for table in metadata.sorted_tables
        for column in table.c
        if column.name in PERSON_COLUMNS
    }

    known = {f"{c.table.name}.{c.name}" for columns in PERSONAL_COLUMNS.values() for c in columns}
    assert named - OTHER_ITEMS == known


async def lived(scene: Scene) -> None:
    """Mina says, asks, votes, teaches, marks, edits, trains, exports and is talked about."""
    await scene.command("help")
    await scene.grant("mina", Role.TRAINER)
    await scene.say(f"@attune where is the {MARKER} one?", by="mina")
    answer = (await scene.messages())[-1].number
    await scene.react(answer, "👎", by="mina")
    await scene.click("Tell us why", by="mina")
    await scene.submit(reason=f"not {MARKER} two", better=f"in the {MARKER} three", by="mina")
    await scene.command("teach", by="mina")
    await scene.submit(question=f"a {MARKER} four?", answer=f"the {MARKER} five", by="mina")
    await scene.command("teach", by="omar")
    await scene.submit(question="when do you open?", answer="at nine sharp, always", by="omar")
    await edited_by_mina(scene)
    await scene.command("review", by="you")
    await scene.command("examples", by="you")
    await scene.command("consent on", by="mina")
    await scene.command("my-data", by="mina")
    await scene.command("export", by="you")
    await scene.command("audit", by="you")


async def edited_by_mina(scene: Scene) -> None:
    (omars,) = [one for one in await scene.examples() if "sharp" in str(one.row)]
    async with scene.store.writing() as records:
        await records.examples.set_state(
            LOCAL, [omars.id], ExampleState.APPROVED, at=scene.clock.now()
        )
    await scene.command(f"examples edit:{omars.id}", by="mina")
    await scene.submit(answer=f"at the {MARKER} six", by="mina")


async def forget(scene: Scene) -> None:
    await scene.command("forget-me", by="mina")
    await scene.click("Erase", by="mina")
    await scene.settle()


def files_with(folder: Path, marker: str = MARKER) -> list[str]:
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and marker.encode() in path.read_bytes()
    )


async def data_of(scene: Scene, by: str = "mina") -> list[dict[str, Any]]:
    await scene.command("my-data", by=by)
    (path,) = (scene.folder / "exports").glob(f"my-data-{by}.jsonl")
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return lines


async def test_my_data_is_everything(scene: Scene) -> None:
    await lived(scene)
    (scene.folder / "exports" / "my-data-mina.jsonl").unlink()

    lines = await data_of(scene)

    kinds = {line["kind"] for line in lines}
    assert kinds >= {
        *("consent", "role", "spending", "vote", "author", "reaction", "audit", "turn"),
        *("example", "message"),
    }
    told = "\n".join(json.dumps(line) for line in lines)
    assert [n for n in ("one", "two", "three", "four", "five", "six") if n not in told] == []
    assert all("zoe" not in json.dumps(line) for line in lines)


async def test_forgetting_leaves_no_word_in_any_file(scene: Scene) -> None:
    await lived(scene)
    assert files_with(scene.folder)

    await forget(scene)

    assert files_with(scene.folder) == []
    assert not list((scene.folder / "exports").glob("*"))


async def test_forgetting_leaves_no_name_in_any_table(scene: Scene) -> None:
    await lived(scene)

    await forget(scene)

    lines = await data_of(scene)
    # What they do from now on is kept again: the asking itself, and the file they were sent.
    assert {line["kind"] for line in lines} <= {"message"}


async def test_an_edit_of_somebody_elses_example_is_taken_back(scene: Scene) -> None:
    await lived(scene)

    await forget(scene)

    (omars,) = [one for one in await scene.examples() if one.row is not None]
    assert "at nine sharp, always" in str(omars.row)
    assert (omars.state, omars.authors) == (ExampleState.PROPOSED, ("omar",))


async def test_a_text_that_is_in_force_again_is_looked_through_for_private_text(
    scene: Scene,
) -> None:
    await scene.command("help")
    await scene.grant("mina", Role.CURATOR)
    await scene.command("teach", by="omar")
    await scene.submit(
        question="whom do I ask?", answer="ada@example.com, at nine sharp", by="omar"
    )
    (before,) = await scene.examples()
    await edited_by_mina(scene)
    (edited,) = await scene.examples()

    await forget(scene)

    (again,) = [one for one in await scene.examples() if one.row is not None]
    assert before.private_text
    assert not edited.private_text
    assert again.private_text == before.private_text


async def test_an_edit_that_was_trained_on_goes_at_the_host(scene: Scene) -> None:
    await scene.command("help")
    await scene.grant("mina", Role.CURATOR)
    await scene.command("teach", by="omar")
    await scene.submit(question="when do you open?", answer="at nine sharp, always", by="omar")
    await edited_by_mina(scene)
    await scene.tuned()
    assert scene.host.files

    await forget(scene)

    assert scene.host.files == {}
    assert any(model.is_tainted for model in await scene.models())


async def test_what_others_said_and_did_stays(scene: Scene) -> None:
    await scene.say("hello from zoe", by="zoe")
    await scene.say("@attune and a question of zoe's", by="zoe")
    await scene.say(f"the {MARKER}", by="mina")

    await forget(scene)

    texts = [message.text for message in await scene.messages()]
    assert "hello from zoe" in texts
    assert any("a question of zoe" in text for text in texts)


async def test_tokens_of_the_workspace_stay_counted_and_a_no_stays_a_no(scene: Scene) -> None:
    await scene.say("@attune hello", by="mina")
    await scene.command("consent off", by="mina")
    async with scene.database.reading() as records:
        day = scene.clock.now().date()
        _, before = await records.daily_tokens.tokens_of_day(LOCAL, UserId("mina"), day)

    await forget(scene)

    async with scene.database.reading() as records:
        own, whole = await records.daily_tokens.tokens_of_day(LOCAL, UserId("mina"), day)
        held = await records.consents.get(LOCAL, UserId("mina"))
    assert (own, whole) == (0, before)
    assert held is not None
    assert not held.given


# With the real tuner


MINA = User(UserId("mina"), "mina")


async def ask(built: App, what: EventContent, *, by: User, key: str) -> Reply:
    event = Event(key, Place(LOCAL, GENERAL), by, built.clock.now(), what)
    return await built.handle_for_page(event)


async def until_forgotten(built: App) -> None:
    async def is_forgotten() -> bool:
        async with built.store.reading() as records:
            waiting = await records.jobs.list_awaiting_file_deletion()
            assistant = await records.assistants.default(LOCAL)
            assert assistant is not None
            models = await records.models.all(LOCAL, assistant.id)
        return not waiting and not any(model.is_tainted for model in models)

    async def wake_jobs() -> None:
        for wake in built.runners.job_wakes.values():
            wake.set()
        await asyncio.sleep(0.05)

    await until(is_forgotten, meanwhile=wake_jobs)


async def until_tuned(built: App) -> None:
    async def is_tuned() -> bool:
        async with built.store.reading() as records:
            (job,) = await records.jobs.page(LOCAL)
        assert not job.phase.is_over or job.phase is Phase.SUCCEEDED
        return job.phase.is_over

    await until(is_tuned)


@pytest.mark.parametrize("method", [Method.SUPERVISED, Method.DPO])
async def test_forgetting_reaches_the_files_and_models_of_the_tuner(
    tmp_path: Path, method: Method
) -> None:
    settings = Settings.model_validate({"ATTUNE_DATA_DIR": str(tmp_path)})
    async with running_app(settings) as built:
        await ask(built, CommandInvoked("help"), by=STUDIO_OWNER, key="first")
        async with built.store.writing() as records:
            await records.roles.set_grant(LOCAL, MINA.id, Grant(Role.CURATOR, datetime.now(UTC)))
        for number in range(12):
            texts = {"question": f"what is {number}?", "answer": f"it is {MARKER} {number}"}
            what: EventContent = FormSubmitted("teach", texts)
            if method is Method.DPO:
                pair = {"preferred": texts["answer"], "rejected": f"{MARKER} no"}
                what = FormSubmitted("prefer", {**texts, **pair})
            told = await ask(built, what, by=MINA, key=f"teach{number}")
            assert isinstance(told, Text), told
        async with built.store.writing() as records:
            found = await records.examples.list_ids_by_author(LOCAL, MINA.id)
            at, approved = built.clock.now(), ExampleState.APPROVED
            await records.examples.set_state(LOCAL, found, approved, at=at)
        started = await ask(
            built, CommandInvoked(f"start method:{method}"), by=STUDIO_OWNER, key="start"
        )
        assert isinstance(started, Card), started
        confirm = next(b.action for b in started.buttons if "confirm" in b.action)
        await ask(built, ButtonClicked(confirm), by=STUDIO_OWNER, key="confirm")
        await until_tuned(built)
        assert any(name.startswith("tuner") for name in files_with(tmp_path))

        card = await ask(built, CommandInvoked("forget-me"), by=MINA, key="card")
        assert isinstance(card, Card), card
        await ask(built, ButtonClicked(card.buttons[0].action), by=MINA, key="forget")
        await until_forgotten(built)

    assert files_with(tmp_path) == []
