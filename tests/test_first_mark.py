"""The first mark where messages may not be kept brings the admins a card that leads somewhere."""

from __future__ import annotations

import pytest

from bot.domain import Example, ExampleFilter, WorkspaceId
from tests import discord_scene, slack_scene
from tests.fakes.discord import ADMIN as DISCORD_ADMIN
from tests.fakes.discord import ANN, BEN, GENERAL, GUILD
from tests.fakes.discord_rest import shown
from tests.fakes.slack import labels
from tests.waiting import until

CAP = "🎓"
PERMISSION = "Letter of 1 May"


async def kept_in(scene: slack_scene.Scene | discord_scene.Scene, workspace: str) -> list[Example]:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        found = await records.examples.page(WorkspaceId(workspace), ExampleFilter(), limit=50)
    return [one for one in found if one.row is not None]


async def marked_in_slack(scene: slack_scene.Scene) -> str:
    scene.slack.put("U2", "C1", "How do we greet?")
    answer = scene.slack.put("U3", "C1", "With Ahoy")
    scene.slack.react("U2", "C1", answer, "mortar_board")
    await until(lambda: "DU1" in scene.slack.channels and bool(scene.slack.own("DU1")))
    await scene.settled()
    return answer


async def test_in_slack_an_admin_allows_it_and_the_mark_is_offered_again(
    in_slack: slack_scene.Scene,
) -> None:
    in_slack.slack.tiers.is_on = False
    answer = await marked_in_slack(in_slack)
    in_slack.slack.react("U3", "C1", answer, "mortar_board")
    heard = (await in_slack.whispered(2))[0]
    (card,) = in_slack.slack.own("DU1")

    assert "I have asked name-U1" in heard["text"]
    assert labels(heard) == []
    assert "name-U2" in card["text"]
    assert "Slack's App Developer Policy" in card["text"]
    assert "Ahoy" not in str(card)

    in_slack.slack.click("U1", card, "Allow for messages")
    in_slack.slack.submit("U1", await in_slack.form(), permission=PERMISSION)
    await until(lambda: "may be kept now" in str(in_slack.slack.texts("C1")))
    in_slack.slack.click("U2", in_slack.slack.own("C1")[-1], "Keep them")
    await in_slack.whispered(3)
    await in_slack.settled()

    (example,) = await kept_in(in_slack, "slack:T1")
    assert "Ahoy" in str(example.row)
    assert str(in_slack.slack.texts("DU1")).count("has marked a message") == 1


@pytest.mark.parametrize("label", ["Only what people write in forms", "Not here"])
async def test_in_slack_an_admin_allows_less(in_slack: slack_scene.Scene, label: str) -> None:
    in_slack.slack.tiers.is_on = False
    answer = await marked_in_slack(in_slack)
    (card,) = in_slack.slack.own("DU1")

    in_slack.slack.click("U1", card, label)
    if label != "Not here":
        in_slack.slack.submit("U1", await in_slack.form(), permission=PERMISSION)
    done = "I keep no messages" if label == "Not here" else "From now on I may learn"
    await until(lambda: done in str(in_slack.slack.texts("DU1")))
    await in_slack.settled()
    in_slack.slack.react("U3", "C1", answer, "mortar_board")
    heard = (await in_slack.whispered(2))[1]

    assert await kept_in(in_slack, "slack:T1") == []
    if label == "Not here":
        assert "decided against it" in heard["text"]
    else:
        in_slack.slack.click("U3", heard, "Write it up")
        assert (await in_slack.form(2))["callback_id"].startswith("example.written:")


async def test_on_discord_an_admin_allows_it_and_the_mark_is_offered_again(
    in_discord: discord_scene.Scene,
) -> None:
    discord = in_discord.discord
    asked = discord.put(ANN, GENERAL, "How do we greet?")
    discord.react(ANN, GENERAL, discord.put(BEN, GENERAL, "With Ahoy", answers=asked), CAP)
    direct = discord.direct(DISCORD_ADMIN)
    await until(lambda: bool(discord.own(direct)), lambda: str(discord.refusals))
    (card,) = discord.own(direct)
    assert "Rule 21 of Discord's Developer Policy" in shown(card)
    await until(lambda: "I have asked" in str(discord.texts(GENERAL)))

    clicked = discord.click(DISCORD_ADMIN, card, "Allow for messages")
    await in_discord.form(clicked)
    await in_discord.answered(discord.submit(DISCORD_ADMIN, clicked, permission=PERMISSION))
    await until(lambda: "may be kept now" in str(discord.texts(GENERAL)))
    await in_discord.answered(discord.click(ANN, discord.own(GENERAL)[-1], "Keep them"))
    await in_discord.settled()

    (example,) = await kept_in(in_discord, f"discord:{GUILD}")
    assert "Ahoy" in str(example.row)


async def test_a_better_answer_is_asked_for_only_where_it_can_be_kept(
    in_slack: slack_scene.Scene,
) -> None:
    in_slack.slack.tiers.is_on = False
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")

    in_slack.slack.click("U2", in_slack.slack.own("C1")[0], "👎")
    form = await in_slack.form()

    names = [one["block_id"] for one in form["blocks"] if one["type"] == "input"]
    assert names == ["reason"]


async def test_in_slack_a_lesson_that_may_not_be_typed_asks_an_admin(
    in_slack: slack_scene.Scene,
) -> None:
    in_slack.slack.tiers.is_on = False
    for user in ("U2", "U1"):
        in_slack.slack.command(user, "C1", "teach")
        await in_slack.settled()
    heard, own = (await in_slack.whispered(2))[:2]
    await until(lambda: "DU1" in in_slack.slack.channels and bool(in_slack.slack.own("DU1")))
    (card,) = in_slack.slack.own("DU1")

    assert "I have asked name-U1 whether I may." in heard["text"]
    assert "name-U2 wants to write a lesson in the channel #name-C1" in card["text"]
    assert "Only what people write in forms" in labels(own)

    in_slack.slack.click("U1", card, "Only what people write in forms")
    in_slack.slack.submit("U1", await in_slack.form(), permission=PERMISSION)
    await until(lambda: "From now on I may learn" in str(in_slack.slack.texts("DU1")))
    in_slack.slack.command("U2", "C1", "teach")
    assert (await in_slack.form(2))["callback_id"] == "teach"


async def test_after_a_mark_the_admins_are_asked_about_typed_lessons_too(
    in_slack: slack_scene.Scene,
) -> None:
    in_slack.slack.tiers.is_on = False
    await marked_in_slack(in_slack)

    for _ in range(2):
        in_slack.slack.command("U2", "C1", "teach")
        await in_slack.settled()

    assert "I have asked name-U1 whether I may." in (await in_slack.whispered(2))[1]["text"]
    await until(lambda: len(in_slack.slack.own("DU1")) > 1)
    assert str(in_slack.slack.texts("DU1")).count("has marked a message") == 1
    assert str(in_slack.slack.texts("DU1")).count("wants to write a lesson") == 1


async def test_on_discord_a_lesson_that_may_not_be_typed_asks_an_admin(
    in_discord: discord_scene.Scene,
) -> None:
    discord = in_discord.discord
    await in_discord.answered(discord.command(ANN, GENERAL, "teach"))
    (heard,) = await in_discord.whispered()
    direct = discord.direct(DISCORD_ADMIN)
    await until(lambda: bool(discord.own(direct)), lambda: str(discord.refusals))

    assert "I have asked" in shown(heard)
    assert "wants to write a lesson" in shown(discord.own(direct)[0])
