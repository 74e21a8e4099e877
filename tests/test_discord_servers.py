"""A Discord server that the operator has not allowed spends nothing at a configured host."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.studio.page_session import STUDIO_OWNER
from attune import doctor
from attune.settings import Settings
from bot.domain import (
    LOCAL,
    Assistant,
    ChannelId,
    HostName,
    ModelName,
    Place,
    Role,
    User,
    UserId,
)
from bot.errors import SettingsError
from bot.events import ButtonClicked, Event
from bot.replies import Listing, Refused, Reply, Text
from tests.discord_scene import TEAM, Scene
from tests.fakes.discord import ADMIN, ANN, GENERAL, GUILD, fake_discord
from tests.fakes.discord_rest import shown
from tests.fakes.faulty_host import faulty_host
from tests.test_discord_jobs import confirmed, priced
from tests.waiting import until

PAID = ("POST /chat/completions", "POST /files", "POST /fine_tuning/jobs")


@pytest.fixture
async def unlisted(tmp_path: Path) -> AsyncIterator[Scene]:
    """A server whose id is not in the settings."""
    async with fake_discord() as discord, faulty_host() as host:
        scene = Scene(discord, host, tmp_path)
        await scene.start(ATTUNE_DISCORD_SERVERS="")
        yield scene
        await scene.stop()


def spent(scene: Scene) -> int:
    return sum(scene.host.count(route) for route in PAID)


async def in_studio(scene: Scene, action: str, by: User = STUDIO_OWNER) -> Reply:
    assert scene.app is not None
    place = Place(LOCAL, ChannelId("general"))
    event = Event(uuid.uuid4().hex, place, by, datetime.now(UTC), ButtonClicked(action))
    return await scene.app.handle_for_page(event)


async def assistant(scene: Scene) -> Assistant:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        found = await records.assistants.default(TEAM)
    assert found is not None
    return found


async def set_up_before(scene: Scene) -> None:
    """As a server may stand that was allowed once: host, model in use, few-shot."""
    assert scene.app is not None
    mine, default = await assistant(scene), HostName("default")
    changed = replace(
        mine, chat_host=default, training_host=default, base=ModelName("base"), few_shot=2
    )
    async with scene.app.store.writing() as records:
        await records.assistants.update(TEAM, changed)


async def test_a_new_server_is_told_what_must_be_done(unlisted: Scene) -> None:
    (welcome,) = await unlisted.hear()

    assert "Whoever runs Attune allows it" in welcome
    assert f"adding {GUILD} to ATTUNE_DISCORD_SERVERS" in welcome
    assert (await assistant(unlisted)).chat_host == "sandbox"


async def test_a_listed_server_starts_at_the_configured_host(in_discord: Scene) -> None:
    assert (await assistant(in_discord)).chat_host == "default"


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ("start", {"host": "default", "base": "base"}),
        ("assistant edit", {"chat_host": "default"}),
        ("assistant edit", {"training_host": "default"}),
        ("assistant create", {"name": "other", "chat_host": "default"}),
    ],
)
async def test_no_command_reaches_a_configured_host(
    unlisted: Scene, words: str, options: dict[str, str]
) -> None:
    await unlisted.greeted()
    unlisted.discord.command(ADMIN, GENERAL, "import", starter="limericks")
    await unlisted.read(GENERAL)

    unlisted.discord.command(ADMIN, GENERAL, words, **options)

    told = (await unlisted.whispered(2))[1]
    assert "Whoever runs Attune allows it" in shown(told)
    assert spent(unlisted) == 0


async def test_what_was_set_up_before_spends_nothing_either(unlisted: Scene) -> None:
    await unlisted.greeted()
    await set_up_before(unlisted)

    unlisted.discord.mention(ANN, GENERAL, "hello")
    unlisted.discord.ask(ANN, GENERAL, "hello")
    unlisted.discord.command(ANN, GENERAL, "compare", question="hello")

    await until(lambda: "Whoever runs Attune allows it" in str(_all_texts(unlisted)))
    await unlisted.settled()
    assert spent(unlisted) == 0


async def test_a_model_of_another_host_that_is_in_use_spends_nothing(unlisted: Scene) -> None:
    await unlisted.greeted()
    assert unlisted.app is not None
    mine = await assistant(unlisted)
    async with unlisted.app.store.writing() as records:
        await records.deployments.add(
            TEAM,
            mine.id,
            model=ModelName("ft:base"),
            host=HostName("default"),
            by=UserId(ADMIN),
            at=datetime.now(UTC),
            previous_model=None,
        )

    unlisted.discord.mention(ANN, GENERAL, "hello")

    await unlisted.hear()
    assert spent(unlisted) == 0


@pytest.mark.parametrize("word", ["allow", "disallow"])
async def test_what_another_operator_did_already_is_not_done_again(
    in_discord: Scene, word: str
) -> None:
    await in_discord.stop()
    await in_discord.start(ATTUNE_DISCORD_SERVERS="")
    await in_studio(in_discord, f"workspace.disallow:{TEAM}")
    if word == "allow":
        await in_studio(in_discord, f"workspace.allow:{TEAM}")

    reply = await in_studio(in_discord, f"workspace.{word}:{TEAM}")

    assert isinstance(reply, Refused)
    assert "has changed since it was shown" in reply.text


async def test_a_training_confirmed_before_is_not_sent(in_discord: Scene) -> None:
    await in_discord.stop()
    await in_discord.start(ATTUNE_DISCORD_SERVERS="")
    await in_studio(in_discord, f"workspace.allow:{TEAM}")
    _, estimate = await priced(in_discord)
    await in_studio(in_discord, f"workspace.disallow:{TEAM}")

    await confirmed(in_discord, estimate)

    await until(lambda: "sandbox alone" in str(_all_texts(in_discord)))
    assert spent(in_discord) == 0


async def test_the_operator_allows_a_server_and_takes_it_back(unlisted: Scene) -> None:
    await unlisted.greeted()

    listed = await in_studio(unlisted, "workspaces")
    assert isinstance(listed, Listing)
    assert (listed.lines[0].text, listed.lines[0].buttons[0].label) == ("Guild", "Allow")
    told = await in_studio(unlisted, listed.lines[0].buttons[0].action)

    assert isinstance(told, Text)
    unlisted.discord.mention(ANN, GENERAL, "hello")
    assert await unlisted.hear() == ["Hello from the model"]

    listed = await in_studio(unlisted, "workspaces")
    assert isinstance(listed, Listing)
    button = next(line for line in listed.lines if line.id == TEAM).buttons[0]
    assert button.label == "Not any more"
    await in_studio(unlisted, button.action)
    before = spent(unlisted)
    unlisted.discord.mention(ANN, GENERAL, "and again?")
    await until(lambda: "Whoever runs Attune allows it" in str(_all_texts(unlisted)))
    assert spent(unlisted) == before


async def test_only_the_operator_allows(unlisted: Scene) -> None:
    await unlisted.greeted()
    admin = User(UserId(ADMIN), "admin", is_platform_admin=True)

    reply = await in_studio(unlisted, f"workspace.allow:{TEAM}", by=admin)

    assert isinstance(reply, Refused)
    assert Role.OPERATOR.name.lower() in reply.text.lower()
    assert spent(unlisted) == 0


async def test_the_doctor_names_the_servers_that_wait(unlisted: Scene) -> None:
    await unlisted.greeted()

    found = [
        one.what async for one in doctor._discord(unlisted.settings(ATTUNE_DISCORD_SERVERS=""))
    ]
    listed = [one.what async for one in doctor._discord(unlisted.settings())]
    names = ("OPENAI_BASE_URL", "OPENAI_API_KEY", "ATTUNE_BASE_MODEL", "ATTUNE_DISCORD_SERVERS")
    hostless = unlisted.settings(**dict.fromkeys(names, ""))
    alone = [one.what async for one in doctor._discord(hostless)]

    assert any(f"Guild ({GUILD})" in what for what in found)
    assert not any(f"Guild ({GUILD})" in what for what in listed)
    assert alone
    assert "wait for you" not in str(alone)


def test_a_servers_id_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    from attune.settings import read_settings

    monkeypatch.setenv("ATTUNE_DISCORD_SERVERS", "10, my server")

    with pytest.raises(SettingsError, match="my server"):
        read_settings()


def test_servers_are_named_with_commas() -> None:
    settings = Settings.model_validate({"ATTUNE_DISCORD_SERVERS": "10, 11"})

    assert settings.allowed_workspaces == {"discord:10", "discord:11"}


def _all_texts(scene: Scene) -> list[str]:
    told = [shown(one) for one in scene.discord.ephemerals]
    for channel in scene.discord.channels:
        told += scene.discord.texts(channel)
    return told
