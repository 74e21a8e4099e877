"""Exports of chats brought in where they come from: permission, consent, and what is shown."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner, Result

from attune.__main__ import app
from bot.domain import (
    ChannelId,
    Example,
    ExampleFilter,
    ExampleState,
    Origin,
    Place,
    User,
    UserId,
    WorkspaceId,
)
from bot.events import ButtonClicked, Event, EventContent, FormSubmitted
from bot.replies import Refused, Reply
from tests.chat_export_files import (
    discord_json,
    discord_message,
    slack_message,
    slack_zip,
    zipped,
)
from tests.discord_scene import TEAM as DISCORD
from tests.discord_scene import Scene as DiscordScene
from tests.fakes.discord import ADMIN, ANN, BEN, GENERAL
from tests.fakes.discord_rest import shown as drawn
from tests.fakes.slack import shown
from tests.slack_scene import Scene
from tests.waiting import until

S = slack_message
TEAM = WorkspaceId("slack:T1")
DAY = [
    *(S("U2", "100.1", "How do I reset it?", "100.1"), S("U3", "100.2", "Hold it.", "100.1")),
    *(S("U2", "200.1", "And then?", "200.1"), S("U4", "200.2", "Ask cy@shop.example.", "200.1")),
    *(S("U2", "300.1", "Who left?", "300.1"), S("U5", "300.2", "I did.", "300.1")),
    *(S("U2", "400.1", "Who else?", "400.1"), S("U6", "400.2", "A guest.", "400.1")),
    *(S("U2", "500.1", "And who?", "500.1"), S("U99", "500.2", "Nobody.", "500.1")),
    S("B1", "600.1", "I am a robot.", bot_id="B1"),
]
EXPORT = slack_zip(
    {"general/2026-01-01": DAY, "board/2026-01-01": DAY, "D1/2026-01-01": DAY},
    groups=[{"id": "G1", "name": "board"}],
    dms=[{"id": "D1", "members": ["U2", "U3"]}],
)


async def kept(scene: Scene) -> list[Example]:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return list(await records.examples.page(TEAM, ExampleFilter(), limit=50))


async def hand_over(scene: Scene, file: bytes = EXPORT) -> str:
    """What the form was answered with, where it was refused."""
    scene.slack.command("U1", "C1", "import")
    form = await scene.form(len(scene.slack.views) + 1)
    sent = scene.slack.submit("U1", form, file=scene.slack.give_file("export.zip", file))
    await scene.settled()
    return str(sent.response)


def waiting_files(scene: Scene) -> list[str]:
    return [path.name for path in (scene.folder / "imports").glob("*")]


def attune(scene: Scene, monkeypatch: pytest.MonkeyPatch, *words: str) -> Result:
    monkeypatch.setenv("ATTUNE_DATA_DIR", str(scene.folder))
    path = scene.folder / "again.zip"
    path.write_bytes(EXPORT)
    return CliRunner().invoke(app, ["import", str(path), *words])


async def test_below_messages_an_export_is_refused_with_the_reason(in_slack: Scene) -> None:
    assert "may not be learned from" in await hand_over(in_slack)
    assert (await kept(in_slack), waiting_files(in_slack)) == ([], [])


async def test_an_export_of_slack_waits_for_its_authors(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_slack.slack.tiers.is_on = False
    await in_slack.allow_messages()
    own = len(in_slack.slack.read("C1"))
    await hand_over(in_slack)
    preview = in_slack.slack.read("C1")[own]
    for part in (
        *("How do I reset it? → Hold it.", "Ann (2), Ben (1), Cy (1)", "one message of a bot"),
        *("one channel that is private", "one direct conversation", "with a guest"),
        *("somebody who has left", "whom the export does not name", "asked in #general"),
    ):
        assert part in shown(preview)
    assert await kept(in_slack) == []

    in_slack.slack.click("U1", preview, "Import")
    await in_slack.read("C1", own + 2)

    examples = await kept(in_slack)
    assert [one.authors for one in examples] == [("U2", "U3"), ("U2", "U4")]
    assert {(one.state, one.origin) for one in examples} == {
        (ExampleState.PROPOSED, Origin.MESSAGE)
    }
    assert [(one.source.channel, one.source.message) for one in examples if one.source] == [
        ("C1", "100.2"),
        ("C1", "200.2"),
    ]
    assert waiting_files(in_slack) == []
    assert "Of all examples one holds private text" in shown(in_slack.slack.read("C1")[own])
    question = in_slack.slack.read("C1")[own + 1]
    assert "Ann, Ben, Cy, messages of yours here" in shown(question)

    in_slack.slack.click("U2", question, "Yes, learn from me")
    in_slack.slack.click("U4", question, "No, leave me out")
    await in_slack.settled()
    assert isinstance(await approve(in_slack, examples[0]), Refused)
    assert "2 wait until everybody" in await approve_all(in_slack)
    in_slack.slack.click("U3", question, "Yes, learn from me")
    await in_slack.settled()
    assert not isinstance(await approve(in_slack, examples[0]), Refused)
    assert isinstance(await approve(in_slack, examples[1]), Refused)
    assert [one.state for one in await kept(in_slack)] == [
        ExampleState.APPROVED,
        ExampleState.PROPOSED,
    ]

    result = await asyncio.to_thread(attune, in_slack, monkeypatch, "--workspace", "slack:T1")
    assert "say --yes" in result.output
    told = ("--workspace", "slack:T1", "--yes")
    result = await asyncio.to_thread(attune, in_slack, monkeypatch, *told)
    assert "with somebody who said no" in result.output
    assert "Known already: 1" in result.output
    assert (result.exit_code, len(await kept(in_slack))) == (0, 2)
    result = await asyncio.to_thread(attune, in_slack, monkeypatch)
    assert (result.exit_code, "Choose that workspace" in result.output) == (2, True)


def event(what: EventContent) -> Event:
    at = datetime.now(UTC)
    user = User(UserId("U1"), "admin", is_operator=True)
    return Event(f"{what} {at}", Place(TEAM, ChannelId("C1")), user, at, what)


async def approve_all(scene: Scene) -> str:
    assert scene.app is not None
    reply = await scene.app.handle_for_page(
        event(FormSubmitted("examples:approved", {"all": "yes"}))
    )
    return getattr(reply, "text", "")


async def approve(scene: Scene, example: Example) -> Reply:
    assert scene.app is not None
    what = ButtonClicked(f"example.approve:{example.id}.r{example.revision}.{example.state}")
    return await scene.app.handle_for_page(event(what))


async def test_an_export_of_discord_waits_for_its_authors(in_discord: DiscordScene) -> None:
    discord = in_discord.discord
    D = discord_message  # noqa: N806
    said = [D(ANN, "1001", "When?"), D(BEN, "1002", "At nine.", "1001")]
    discord.add_channel("21", nsfw=True)
    files = {
        "general.json": discord_json(said),
        "adults.json": discord_json(said, id="21", name="adults"),
        "unknown.json": discord_json(said, id="99", name="unknown"),
    }
    discord.command(ADMIN, GENERAL, "import", yes="yes", file=("export.zip", zipped(files)))
    await until(lambda: "may not be learned from" in str(discord.ephemerals))
    await in_discord.settled()
    await in_discord.allow_messages()
    own = len(discord.read(GENERAL))

    discord.command(ADMIN, GENERAL, "import", file=("export.zip", zipped(files)))
    await in_discord.read(GENERAL, own + 1)
    preview = discord.read(GENERAL)[own]
    for part in ("When? → At nine.", "one age-restricted channel", "it is not known who reads it"):
        assert part in drawn(preview)
    await in_discord.answered(discord.click(ADMIN, preview, "Import"))
    await in_discord.read(GENERAL, own + 2)

    question = discord.read(GENERAL)[own + 1]
    assert f"name-{ANN}, name-{BEN}, messages of yours here" in drawn(question)
    assert in_discord.app is not None
    async with in_discord.app.store.reading() as records:
        (example,) = await records.examples.page(DISCORD, ExampleFilter(), limit=50)
    assert (example.state, example.authors) == (ExampleState.PROPOSED, (ANN, BEN))
