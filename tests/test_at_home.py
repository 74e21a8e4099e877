"""The bot keeps to what each platform offers: groups of people, organisations, views, accounts."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adapters.slack import payload_parsing
from adapters.slack.block_kit import to_modal
from attune.bootstrap import App
from bot.domain import ChannelId, ExampleFilter, Place, UserId, WorkspaceId
from bot.events import FormSubmitted
from bot.examples.row_texts import readable_texts
from bot.ports.surface import CanFetchUser
from bot.replies import Field, FieldKind, Form
from bot.words import Words
from tests.discord_scene import HERE
from tests.discord_scene import Scene as DiscordScene
from tests.fakes.discord import ADMIN, ANN, BEN, GENERAL, GUILD
from tests.fakes.discord_rest import shown as shown_in_discord
from tests.fakes.faulty_host import faulty_host
from tests.fakes.slack import TEAM, FakeSlack, fake_slack, labels, shown
from tests.fakes.slack_rules import check_view
from tests.slack_scene import Scene as SlackScene
from tests.waiting import until

EDITORS = "555"
MEMBER = "GET /guilds/{guild}/members/{user}"
SLACK_TEAM = WorkspaceId(f"slack:{TEAM}")
MARKETING: dict[str, object] = {"id": "S0123", "handle": "marketing", "users": ["U2"]}


async def test_a_server_role_holds_a_role(in_discord: DiscordScene) -> None:
    fake = in_discord.discord
    fake.roles[EDITORS] = "Editors"
    granted = fake.command(ADMIN, GENERAL, "admin roles", user=EDITORS, role="curator")
    await in_discord.answered(granted)
    assert f"<@&{EDITORS}> is curator now" in shown_in_discord((await in_discord.whispered())[0])

    fake.guilds[GUILD].members[ANN] = [EDITORS]
    for user in (ANN, BEN):
        await in_discord.answered(fake.command(user, GENERAL, "review"))
    reviewed, refused = map(shown_in_discord, (await in_discord.whispered(3))[1:])
    fake.command(ADMIN, GENERAL, "admin roles")

    assert "needs the role" in refused
    assert "needs the role" not in reviewed
    assert f"<@&{EDITORS}>" in shown_in_discord((await in_discord.whispered(4))[-1])


async def test_a_user_group_holds_a_role(in_slack: SlackScene) -> None:
    fake = in_slack.slack
    fake.tiers.is_on = False
    fake.groups["S0123"] = MARKETING
    fake.command("U1", "C1", "admin roles <!subteam^S0123|@marketing> role:curator")
    assert "@marketing is curator now." in shown((await in_slack.whispered())[0])

    for user in ("U2", "U3"):
        fake.command(user, "C1", "review")
        await in_slack.settled()
    reviewed, refused = map(shown, (await in_slack.whispered(3))[1:])
    fake.groups["S0123"] = {**MARKETING, "users": ["U3"]}
    fake.event({"type": "subteam_members_changed", "subteam_id": "S0123"})
    await in_slack.settled()
    fake.command("U2", "C1", "review")

    assert "needs the role" in refused
    assert "needs the role" not in reviewed
    assert "needs the role" in shown((await in_slack.whispered(4))[-1])


async def test_without_the_scope_for_user_groups_a_sentence_says_so(in_slack: SlackScene) -> None:
    in_slack.slack.scopes.discard("usergroups:read")

    in_slack.slack.command("U1", "C1", "admin roles <!subteam^S0123> role:curator")

    assert "usergroups:read" in shown((await in_slack.whispered())[0])


@pytest.mark.parametrize("is_org", [False, True])
async def test_an_organisations_admins_are_admins(tmp_path: Path, is_org: bool) -> None:
    """https://docs.slack.dev/enterprise: of one of its workspaces, or installed for all of them."""
    async with fake_slack() as slack, faulty_host() as host:
        slack.tiers.is_on = False
        slack.enterprise = "E1" if is_org else None
        slack.enterprise_of_team = "E1"
        mine = {"id": "U2", "enterprise_id": "E1", "teams": [TEAM]}
        for user, more in (("U2", {"is_admin": True}), ("U3", {})):
            slack.users[user]["enterprise_user"] = {**mine, **more}
        scene = SlackScene(slack, host, tmp_path)
        await scene.start(ATTUNE_ADMINS="")
        slack.mention("U3", "C1", "hello")
        answers = await scene.hear("C1")
        for user in ("U2", "U3"):
            slack.command(user, "C1", "admin audit")
            await scene.settled()
        allowed, refused = map(shown, await scene.whispered(2))
        await scene.stop()

    assert "Hello from the model" in answers[-1]
    assert "needs the role" not in allowed
    assert "needs the role" in refused


async def opened_messages(fake: FakeSlack) -> str:
    """The conversation of U2 and the app."""
    fake.add_channel("D2", "im")
    fake.open_messages("U2", "D2")
    await until(lambda: bool(fake.prompts), lambda: str(fake.refusals))
    return "D2"


async def test_the_conversation_begins_with_prompts_and_gets_a_title(in_slack: SlackScene) -> None:
    direct = await opened_messages(in_slack.slack)
    prompts = in_slack.slack.prompts[0]
    ts = in_slack.slack.say("U2", direct, "How do\nwe greet?")
    await in_slack.hear(direct)
    await until(lambda: bool(in_slack.slack.titles), lambda: str(in_slack.slack.refusals))

    assert "thread_ts" not in prompts
    assert prompts["prompts"][0] == {"title": "What can you do?", "message": "tune help"}
    assert in_slack.slack.titles == {(direct, ts): "How do we greet?"}


async def test_a_direct_question_goes_to_the_assistant_of_the_channel_beside_it(
    in_slack: SlackScene,
) -> None:
    fake = in_slack.slack
    fake.tiers.is_on = False
    fake.command("U1", "C1", 'assistant create press instructions:"Be brief"')
    await in_slack.whispered()
    fake.command("U1", "C1", "assistant bind press")
    await in_slack.hear("C1")
    direct = await opened_messages(fake)

    fake.say("U2", direct, "one")
    await in_slack.hear(direct)
    fake.look_at("U2", "C1")
    await in_slack.settled()
    fake.say("U2", direct, "two")
    await in_slack.hear(direct, 2)

    first, second = (str(one) for one in in_slack.host.asked[-2:])
    assert "Be brief" not in first
    assert "Be brief" in second


async def test_added_to_an_account_the_question_goes_to_the_askers_server(
    in_discord: DiscordScene,
) -> None:
    """https://docs.discord.com/developers/resources/application#installation-context"""
    fake = in_discord.discord
    fake.add_channel("99", "98")

    fake.ask(ANN, "99", "hello")

    (answer,) = await in_discord.whispered()
    await until(lambda: "Hello from the model" in shown_in_discord(answer))
    assert fake.own("99") == []


async def test_an_admin_is_asked_though_nobody_has_a_role(tmp_path: Path) -> None:
    async with fake_slack() as slack, faulty_host() as host:
        slack.tiers.is_on = False
        slack.users["U1"]["is_owner"] = True
        scene = SlackScene(slack, host, tmp_path)
        await scene.start(ATTUNE_ADMINS="")
        slack.put("U2", "C1", "How do we greet?")
        slack.react("U2", "C1", slack.put("U3", "C1", "With Ahoy"), "mortar_board")
        heard = (await scene.whispered())[0]
        await until(lambda: "DU1" in slack.channels and bool(slack.own("DU1")))
        await scene.stop()

    assert "I have asked name-U1" in heard["text"]
    assert "Allow for messages" in labels(slack.own("DU1")[0])


async def test_the_servers_owner_is_asked_though_nobody_has_a_role(
    in_discord: DiscordScene,
) -> None:
    await in_discord.stop()
    fake = in_discord.discord
    fake.guilds[GUILD].owner = BEN
    await in_discord.start(ATTUNE_ADMINS="")
    asked = fake.put(ANN, GENERAL, "How do we greet?")
    fake.react(ANN, GENERAL, fake.put(ADMIN, GENERAL, "With Ahoy", answers=asked), "🎓")

    direct = fake.direct(BEN)
    await until(lambda: bool(fake.own(direct)), lambda: str(fake.refusals))


async def test_people_channels_and_times_are_called_as_the_platform_calls_them(
    in_discord: DiscordScene,
) -> None:
    fake = in_discord.discord
    await in_discord.answered(fake.command(ADMIN, GENERAL, "admin guests", where="here"))
    granted = fake.command(ADMIN, GENERAL, "admin roles", user=ANN, role="curator")
    await in_discord.answered(granted)
    await in_discord.answered(fake.command(ADMIN, GENERAL, "admin audit"))

    guests, role, audit = map(shown_in_discord, await in_discord.whispered(3))

    assert f"<@{ANN}> is curator now." in role
    assert f"<#{GENERAL}>" in guests
    assert re.search(r"<t:\d+:f>", audit)
    assert f"<@{ADMIN}>" in audit
    assert f"<@{ANN}> · curator" in audit
    assert fake.pings == []


async def test_a_member_of_a_server_is_asked_for_once_in_a_while(in_discord: DiscordScene) -> None:
    surface = in_discord.surface
    assert isinstance(surface, CanFetchUser)
    before = len(in_discord.discord.called(MEMBER))

    described = [await surface.fetch_user(HERE, UserId(user)) for user in (ANN, ANN, BEN, ANN)]

    assert [one.name for one in described] == ["name-102", "name-102", "name-103", "name-102"]
    assert len(in_discord.discord.called(MEMBER)) - before == 2


async def test_where_there_are_no_mentions_everything_has_its_name(in_slack: SlackScene) -> None:
    fake = in_slack.slack
    fake.command("U1", "C1", "admin guests where:here")
    await in_slack.whispered()
    fake.command("U1", "C1", "admin audit")

    guests, audit = map(shown, await in_slack.whispered(2))

    assert "#name-C1" in guests
    assert "name-U1: " in audit
    assert fake.pings == []


async def test_a_longer_list_of_choices_is_searched(in_slack: SlackScene) -> None:
    """https://docs.slack.dev/reference/block-kit/composition-objects/option-group-object"""
    choices = tuple((f"m{number}", f"Model {number}") for number in range(230))
    fields = (
        Field("model", "Model", FieldKind.CHOICE, "m229", choices=choices),
        Field("kinds", "Kinds", FieldKind.CHOICES, "m3,m150", choices=choices),
    )
    view = to_modal(
        Form("f", "Choose", fields, "Go"), Place(SLACK_TEAM, ChannelId("C1")), close="No"
    )

    check_view(view, "modal")
    sent = in_slack.slack.submit("U1", {**view, "id": "V1"}, model="m101", kinds=("m1", "m222"))
    (event,) = payload_parsing.read_events(
        sent.envelope["payload"], payload_parsing.Bot(TEAM, "UBOT", "BBOT"), datetime.now(UTC)
    )

    assert isinstance(event.what, FormSubmitted)
    assert event.what.values == {"model": "m101", "kinds": "m1,m222"}


async def test_a_whole_thread_is_marked_at_once_and_its_author_is_reached(
    in_slack: SlackScene,
) -> None:
    fake = in_slack.slack
    fake.tiers.is_on = False
    await in_slack.allow_messages()
    root = fake.put("U2", "C1", "How do we greet?")
    fake.put("U3", "C1", "With Ahoy", thread=root)
    fake.put("U2", "C1", "And at night?", thread=root)
    fake.put("U3", "C1", "With a lantern", thread=root)

    fake.shortcut("U1", "thread", "C1", root)
    heard = shown((await in_slack.whispered())[-1])
    await until(lambda: len(fake.pings) >= 2, lambda: str(fake.refusals))
    asked = [one for one in fake.own("C1") if "May I learn" in shown(one)]

    assert "the 3 texts before it" in heard
    assert sorted(fake.pings) == ["<@U2>", "<@U3>"]
    assert all("Open the message" in str(one["blocks"]) for one in asked)


async def test_several_messages_are_chosen_in_a_form_on_slack(in_slack: SlackScene) -> None:
    """With what lies between left out; an edit of one of them is followed."""
    fake = in_slack.slack
    fake.tiers.is_on = False
    await in_slack.allow_messages()
    said = [("U2", "How do we greet?"), ("U3", "With Ahoy"), ("U1", "Lunch?"), ("U2", "At night?")]
    earlier = [fake.put(user, "C1", text) for user, text in said]
    answer = fake.put("U3", "C1", "With a lantern")

    views, before = len(fake.views), len(fake.ephemerals)
    fake.shortcut("U1", "several", "C1", answer)
    view = await in_slack.view(views + 1)
    ticked = [one["value"] for one in view["blocks"][-1]["element"]["initial_options"]]
    fake.submit("U1", view, messages=tuple(earlier[at] for at in (3, 0, 1)))
    heard = shown((await in_slack.whispered(before + 1))[-1])

    assert "Lunch?" in str(view)
    assert ticked == [earlier[3]]
    assert "the 3 texts before it" in heard
    assert "name-U2 → name-U3 → name-U2 → name-U3" in heard
    calls = len(fake.calls)
    fake.edit("U2", "C1", earlier[0], "How do we say hello?")
    await in_slack.settled()
    looked = [one.method for one in fake.calls[calls:] if one.method.startswith("conversations.")]
    assert len(looked) <= 5, looked
    assert await texts_of(in_slack.app, SLACK_TEAM) == [
        *("How do we say hello?", "With Ahoy", "At night?", "With a lantern")
    ]


async def test_several_messages_are_chosen_in_a_form_on_discord(in_discord: DiscordScene) -> None:
    fake = in_discord.discord
    await in_discord.allow_messages()
    first = fake.put(ANN, GENERAL, "How do we greet?")
    fake.put(ADMIN, GENERAL, "Lunch?")
    answer = fake.put(BEN, GENERAL, "With Ahoy")

    asked = fake.menu(ANN, GENERAL, "Save several messages", answer)
    form = await in_discord.form(asked)
    fake.submit(ANN, asked, messages=[])
    refused = shown_in_discord((await in_discord.whispered())[-1])
    fake.submit(ANN, asked, messages=[first])
    heard = shown_in_discord((await in_discord.whispered(2))[-1])

    assert "name-102: How do we greet?" in str(form)
    assert "Choose at least one" in refused
    assert "Saved as example" in heard
    assert await texts_of(in_discord.app, WorkspaceId(f"discord:{GUILD}")) == [
        *("How do we greet?", "With Ahoy")
    ]


async def texts_of(app: App | None, workspace: WorkspaceId) -> list[str]:
    """Of the one example that there is."""
    assert app is not None
    async with app.store.reading() as records:
        (kept,) = await records.examples.page(workspace, ExampleFilter(), limit=2)
    return list(readable_texts(kept.row).values())


async def test_one_receipt_stands_below_a_message_whoever_reacts(in_discord: DiscordScene) -> None:
    fake = in_discord.discord
    await in_discord.allow_messages()
    asked = fake.put(ANN, GENERAL, "How do we greet?")
    answer = fake.put(BEN, GENERAL, "With Ahoy", answers=asked)
    for user in (ANN, BEN, ADMIN):
        fake.react(user, GENERAL, answer, "🎓")
        await in_discord.settled()

    receipts = [one for one in fake.own(GENERAL) if one.get("message_reference")]
    assert len(receipts) == 1
    assert "I have that already" in shown_in_discord(receipts[0])


def test_a_workspace_is_a_server_on_discord() -> None:
    said = Words("en", "discord")("roles.empty")
    assert said.endswith("The owners and admins of this server are admins.")
    assert "服务器" in Words("zh", "discord")("roles.empty")
