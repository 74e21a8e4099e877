"""The commands as Discord draws them, and how they are answered in time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import discord
import pytest
from discord import app_commands

from adapters.discord.command_registration import commands_hash, commands_of
from adapters.discord.invite_link import invite_link, missing_permissions
from bot.command_catalogue import CATALOGUE
from bot.words import LANGUAGES, Words
from tests.discord_scene import Scene
from tests.fakes.discord import ADMIN, ANN, GENERAL, GUILD, fake_discord
from tests.fakes.discord_rest import Fault, labels, shown
from tests.fakes.discord_rules import Json, check_commands
from tests.fakes.discord_spec import published
from tests.fakes.faulty_host import faulty_host
from tests.opening import opened
from tests.waiting import until

CALLBACK = "POST /interactions/{interaction}/{token}/callback"
REGISTER = "PUT /applications/{application}/commands"


def say(key: str, locale: str = "en", **details: object) -> str:
    return Words(locale)(key, **details)


DRAWN = commands_of(CATALOGUE, say)


def option_of(path: str, name: str) -> Json:
    found: Json = DRAWN[0]
    for word in (*path.split(), name):
        found = next(one for one in found["options"] if one["name"] == word)
    return found


def test_discord_takes_the_commands() -> None:
    check_commands(DRAWN)


@pytest.mark.skipif(published() is None, reason="the description is not beside this checkout")
def test_the_commands_are_as_discord_describes_them() -> None:
    described = published()
    assert described is not None

    assert described.problems("PUT", "/applications/1/commands", DRAWN) == []


def test_every_word_of_the_catalogue_is_there() -> None:
    def paths(options: list[Json], before: str = "") -> Iterator[str]:
        for one in options:
            if one["type"] == 2:
                yield from paths(one["options"], f"{before}{one['name']} ")
            else:
                yield before + one["name"]

    assert set(paths(DRAWN[0]["options"])) == {command.path for command in CATALOGUE.commands}


@pytest.mark.parametrize("locale", ["zh-CN", "zh-TW"])
def test_names_are_localised_and_stay_apart(locale: str) -> None:
    def check(one: Json) -> None:
        assert one["name_localizations"][locale]
        names = [inner["name_localizations"][locale] for inner in one.get("options", ())]
        assert len(names) == len(set(names)), names
        for inner in one.get("options", ()):
            check(inner)

    for command in DRAWN:
        check(command)
    assert DRAWN[0]["options"][0]["name_localizations"][locale] == "帮助"


def test_the_library_can_build_the_same_tree() -> None:
    """discord.py's own classes hold the group: its limits are theirs too."""
    client = discord.Client(intents=discord.Intents.none())
    tree = app_commands.CommandTree(client)
    group = app_commands.Group(name="tune", description=DRAWN[0]["description"])
    for one in DRAWN[0]["options"]:
        if one["type"] == 2:
            inner = app_commands.Group(name=one["name"], description=one["description"])
            for each in one["options"]:
                inner.add_command(built(each))
            group.add_command(inner)
        else:
            group.add_command(built(one))

    tree.add_command(group)

    assert len(group.commands) == len(DRAWN[0]["options"]) <= 25


def built(drawn: Json) -> app_commands.Command[app_commands.Group, ..., None]:
    async def run(interaction: discord.Interaction) -> None:
        return None

    return app_commands.Command(name=drawn["name"], description=drawn["description"], callback=run)


def test_options_are_what_discord_can_check_by_itself() -> None:
    limits = {"min_value": 1, "max_value": 200, "type": 4}
    assert option_of("admin audit", "limit") | limits == option_of("admin audit", "limit")
    assert option_of("start", "epochs")["type"] == 3
    assert option_of("import", "file")["type"] == 11
    assert option_of("admin roles", "user")["type"] == 9
    assert option_of("admin audit", "user")["type"] == 6
    assert [one["value"] for one in option_of("start", "use")["choices"]] == [
        "if_better",
        "yes",
        "no",
    ]
    assert [one["value"] for one in option_of("export", "format")["choices"]] == [
        *("jsonl", "csv", "dataset")
    ]
    assert option_of("use", "model")["autocomplete"]


def test_everybody_who_may_write_may_use_them_by_default() -> None:
    assert {command["default_member_permissions"] for command in DRAWN} == {2048}


def test_menus_stand_beside_the_group() -> None:
    menus = [(one["name"], one["type"]) for one in DRAWN if one["type"] == 3]

    saving = ("Save as example", "Save several messages", "Save whole thread")
    assert menus == [(name, 3) for name in (*saving, "Improve this reply")]


def test_the_invitation_asks_for_the_least() -> None:
    link = invite_link("123")

    assert link.startswith("https://discord.com/oauth2/authorize?client_id=123&scope=bot+")
    permissions = int(link.rpartition("=")[2])
    assert missing_permissions(permissions) == []
    assert not permissions & (1 << 3 | 1 << 5 | 1 << 13 | 1 << 17)


def test_what_is_missing_is_named() -> None:
    assert missing_permissions(1 << 10) == [
        "Add Reactions",
        "Send Messages",
        "Embed Links",
        "Attach Files",
        "Read Message History",
        "Send Messages in Threads",
    ]
    assert missing_permissions(1 << 3) == []


def test_a_change_of_words_or_place_is_a_change() -> None:
    known = commands_hash(DRAWN, "api", "1", "")

    assert commands_hash(DRAWN, "api", "1", "") == known
    assert commands_hash(DRAWN[:-1], "api", "1", "") != known
    assert commands_hash(DRAWN, "api", "1", GUILD) != known


async def test_a_number_that_may_be_auto_is_offered_and_typed(in_discord: Scene) -> None:
    offered = in_discord.discord.complete(ADMIN, GENERAL, "start", "epochs", "")
    await until(lambda: offered.choices is not None)
    typed = in_discord.discord.complete(ADMIN, GENERAL, "start", "epochs", "7")
    await until(lambda: typed.choices is not None)
    in_discord.discord.command(ADMIN, GENERAL, "start", epochs="forty")

    assert [one["value"] for one in offered.choices or ()][:2] == ["auto", "1"]
    assert [one["value"] for one in typed.choices or ()] == ["7"]
    assert "epochs" in shown((await in_discord.whispered())[-1])


async def test_commands_are_registered_once(in_discord: Scene) -> None:
    await until(lambda: bool(in_discord.discord.commands))
    in_discord.discord.commands.clear()

    await in_discord.restart()
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()

    assert in_discord.discord.commands == {}


async def test_for_development_they_are_registered_in_one_guild(tmp_path: Path) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        scene = Scene(fake, host, tmp_path)
        await scene.start(DISCORD_GUILD=GUILD)
        await until(lambda: GUILD in fake.commands)
        await scene.stop()

    assert "" not in fake.commands


async def test_commands_that_discord_refuses_do_not_stop_the_bot(tmp_path: Path) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        scene = Scene(fake, host, tmp_path)
        fake.fail(REGISTER, Fault(status=400, code=50035))
        await scene.start()
        await scene.greeted()
        fake.mention(ANN, GENERAL, "hello")

        assert await scene.hear() == ["Hello from the model"]
        await scene.stop()


async def test_a_command_answers_where_it_was_asked(in_discord: Scene) -> None:
    asked = in_discord.discord.command(ANN, GENERAL, "help", topic="status")

    (send_ephemeral,) = await in_discord.whispered()
    assert shown(send_ephemeral).startswith("/tune status")
    assert asked.response is not None
    assert asked.response["type"] == 4


async def test_a_refusal_is_for_the_asker_alone(in_discord: Scene) -> None:
    in_discord.discord.command(ANN, GENERAL, "admin budget")

    (send_ephemeral,) = await in_discord.whispered()
    assert send_ephemeral["user"] == ANN
    assert in_discord.discord.texts(GENERAL) == []


async def test_those_who_manage_the_guild_are_admins(in_discord: Scene) -> None:
    in_discord.discord.guilds[GUILD].members[ANN] = ["991"]

    in_discord.discord.command(ANN, GENERAL, "admin budget")

    assert "Tokens today" in shown((await in_discord.whispered())[0])


async def test_options_come_parsed(in_discord: Scene) -> None:
    in_discord.discord.command(
        ADMIN, GENERAL, "assistant create", name="poet", instructions="You are kind: be brief"
    )

    assert "poet" in (await in_discord.read(GENERAL))[0]


async def test_numbers_are_completed_from_what_there_is(in_discord: Scene) -> None:
    in_discord.discord.command(ADMIN, GENERAL, "assistant create", name="poet")
    await in_discord.read(GENERAL)

    asked = in_discord.discord.complete(ANN, GENERAL, "assistant show", "name", "po")

    await in_discord.answered(asked)
    assert asked.choices == [{"name": "poet", "value": "poet"}]


@pytest.mark.parametrize(
    ("words", "name", "expected"),
    [("start", "host", "default"), ("use", "model", "base"), ("jobs", "job", None)],
)
async def test_nouns_complete_themselves(
    in_discord: Scene, words: str, name: str, expected: str | None
) -> None:
    asked = in_discord.discord.complete(ADMIN, GENERAL, words, name, "")

    await in_discord.answered(asked)
    values = [one["value"] for one in asked.choices or ()]
    assert values == [] if expected is None else expected in values


async def test_a_stranger_learns_nothing_by_completion(in_discord: Scene) -> None:
    asked = in_discord.discord.complete(ANN, GENERAL, "start", "host", "")

    await in_discord.answered(asked)

    assert asked.choices is not None


async def test_a_file_comes_with_the_command(in_discord: Scene) -> None:
    rows = b"question,answer\nWhen?,At nine.\n"

    in_discord.discord.command(ADMIN, GENERAL, "import", yes="yes", file=("rows.csv", rows))

    assert "New: 1" in (await in_discord.read(GENERAL))[0]


async def test_without_a_file_a_form_asks_for_it(in_discord: Scene) -> None:
    asked = in_discord.discord.command(ADMIN, GENERAL, "import")
    await in_discord.form(asked)

    in_discord.discord.submit(ADMIN, asked, file=("rows.csv", b"question,answer\nA?,B.\n"))
    assert "A? → B." in (await in_discord.read(GENERAL))[0]
    preview = in_discord.discord.read(GENERAL)[0]
    clicked = in_discord.discord.click(ADMIN, preview, "Import")

    await in_discord.answered(clicked)
    await in_discord.settled()
    assert "New: 1" in shown(in_discord.discord.read(GENERAL)[0])


async def test_an_export_is_a_file_for_the_asker_alone(in_discord: Scene) -> None:
    rows = b"question,answer\nWhen?,At nine.\n"
    in_discord.discord.command(ADMIN, GENERAL, "import", yes="yes", file=("rows.csv", rows))
    await in_discord.read(GENERAL)

    in_discord.discord.command(ADMIN, GENERAL, "export")

    assert [one["user"] for one in await in_discord.whispered(2)] == [ADMIN, ADMIN]
    (file,) = in_discord.discord.files
    assert "At nine." in json.loads(file["data"])["messages"][1]["content"]


async def test_an_export_asked_for_by_a_message_comes_alone(in_discord: Scene) -> None:
    rows = b"question,answer\nWhen?,At nine.\n"
    in_discord.discord.command(ADMIN, GENERAL, "import", yes="yes", file=("rows.csv", rows))
    await in_discord.read(GENERAL)

    in_discord.discord.mention(ADMIN, GENERAL, "tune export")

    direct = in_discord.discord.direct(ADMIN)
    await in_discord.hear(direct)
    assert [file["channel"] for file in in_discord.discord.files] == [direct]


async def test_somebody_without_direct_messages_is_told_so(in_discord: Scene) -> None:
    rows = b"question,answer\nWhen?,At nine.\n"
    in_discord.discord.command(ADMIN, GENERAL, "import", yes="yes", file=("rows.csv", rows))
    await in_discord.read(GENERAL)
    in_discord.discord.direct_closed.add(ADMIN)

    in_discord.discord.mention(ADMIN, GENERAL, "tune export")

    assert "direct messages" in (await in_discord.hear())[0]


async def test_commands_work_in_direct_messages(in_discord: Scene) -> None:
    channel = in_discord.discord.direct(ANN)

    in_discord.discord.command(ANN, channel, "consent", switch="on")

    assert "Thank" in (await in_discord.hear(channel))[0]


async def slowly(scene: Scene, seconds: float) -> None:
    """The database takes so long to keep an event."""
    assert scene.app is not None
    handle = scene.app.dispatch.handle

    async def slow(event: object) -> object:
        await asyncio.sleep(seconds)
        return await handle(event)  # type: ignore[arg-type]

    scene.app.dispatch.handle = slow  # type: ignore[method-assign,assignment]


async def test_a_slow_database_costs_no_interaction(in_discord: Scene) -> None:
    await slowly(in_discord, 2.6)

    asked = in_discord.discord.command(ANN, GENERAL, "help", topic="status")

    assert shown((await in_discord.whispered())[0]).startswith("/tune status")
    assert asked.took is not None
    assert asked.took < 3
    assert asked.response == {"type": 5, "data": {"flags": 64}}


async def test_a_form_that_comes_late_is_opened_by_a_button(in_discord: Scene) -> None:
    await slowly(in_discord, 2.4)
    asked = in_discord.discord.command(ADMIN, GENERAL, "admin sources")
    (send_ephemeral,) = await in_discord.whispered()
    await in_discord.settled()

    again = in_discord.discord.click(ADMIN, send_ephemeral, labels(send_ephemeral)[0])

    form = await in_discord.form(again)
    assert form["custom_id"].partition(":")[0] == "sources"
    assert asked.response is not None


async def test_an_interaction_that_cannot_be_kept_is_answered_all_the_same(
    in_discord: Scene,
) -> None:
    assert in_discord.app is not None

    async def failing(event: object) -> object:
        raise OSError("the disk is full")

    in_discord.app.dispatch.handle = failing  # type: ignore[method-assign,assignment]
    asked = in_discord.discord.command(ANN, GENERAL, "help")

    await in_discord.answered(asked)
    assert asked.took is not None
    assert asked.took < 3


async def test_an_expired_interaction_is_answered_between_the_two_of_us(in_discord: Scene) -> None:
    in_discord.discord.fail(CALLBACK, Fault(status=404, code=10062))

    in_discord.discord.command(ANN, GENERAL, "status")

    assert "No training" in (await in_discord.hear(in_discord.discord.direct(ANN)))[0]


async def test_a_refusal_that_comes_too_late_reaches_the_asker_alone(in_discord: Scene) -> None:
    in_discord.discord.fail(CALLBACK, Fault(status=404, code=10062))

    in_discord.discord.command(ANN, GENERAL, "admin budget")

    assert "admin" in (await in_discord.hear(in_discord.discord.direct(ANN)))[0]
    assert in_discord.discord.texts(GENERAL) == []


async def test_an_answer_of_unknown_outcome_stands_once(in_discord: Scene) -> None:
    in_discord.discord.fail(CALLBACK, Fault(status=503, is_done=True))

    in_discord.discord.command(ANN, GENERAL, "help", topic="status")

    await in_discord.whispered()
    await in_discord.settled()
    assert len(in_discord.discord.ephemerals) == 1


async def test_where_the_bot_may_not_write_a_command_is_still_answered(in_discord: Scene) -> None:
    in_discord.discord.channels[GENERAL].denied = 1 << 11

    in_discord.discord.command(ADMIN, GENERAL, "assistant show")

    assert len(await in_discord.whispered()) == 1


async def test_two_guilds_know_nothing_of_one_another(in_discord: Scene) -> None:
    in_discord.discord.join("30")
    await in_discord.hear("3020")
    in_discord.discord.command(ADMIN, GENERAL, "assistant create", name="poet")
    await in_discord.read(GENERAL)

    in_discord.discord.command(ADMIN, "3020", "assistant show", name="poet")

    refused = (await in_discord.whispered(2))[-1]
    assert "There is no assistant" in shown(refused)


def test_both_languages_are_drawn() -> None:
    assert set(LANGUAGES) == {"en", "zh"}


async def test_the_token_is_refused_in_a_sentence(tmp_path: Path) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        settings = Scene(fake, host, tmp_path).settings(DISCORD_TOKEN="other")
        with pytest.raises(BaseExceptionGroup) as caught:
            async with opened(settings):
                await asyncio.sleep(30)

    assert "DISCORD_TOKEN" in str(caught.value.exceptions)
