"""A training from Slack: priced, confirmed, followed in one message, and told with its chart."""

from __future__ import annotations

from bot.domain import ChannelId, MessageId, Place, UserId, WorkspaceId
from bot.replies import Card, Chart, Series
from tests.fakes.slack import BOT, labels
from tests.slack_scene import Scene
from tests.waiting import until

TEAM = WorkspaceId("slack:T1")
CHART = Chart("Loss", "step", (Series("training", [(1, 2.0), (2, 1.0)]),), "from 2 to 1")
STARTER = "tune import starter:limericks"


async def post(scene: Scene, card: Card) -> MessageId:
    assert scene.app is not None
    surface = scene.app.surfaces.surface_of(TEAM)
    return await surface.post(Place(TEAM, ChannelId("C1")), card, key="job-1.ended")


async def priced(scene: Scene) -> None:
    """The estimate of a training is the second message of the channel."""
    scene.slack.mention("U1", "C1", STARTER)
    await scene.read("C1")
    scene.slack.command("U1", "C1", "start host:default base:base")
    await scene.read("C1", 2)


async def say_yes_twice(
    scene: Scene, confirm: str = "Confirm", anyway: str = "Train anyway"
) -> None:
    """Nobody knows the price at this host."""
    scene.slack.click("U1", scene.slack.read("C1")[1], confirm)
    await until(lambda: anyway in labels(scene.slack.read("C1")[1]))
    scene.slack.click("U1", scene.slack.read("C1")[1], anyway)


async def test_a_training_is_followed_to_its_end(in_slack: Scene) -> None:
    in_slack.host.life = ("succeeded",)
    await priced(in_slack)

    await say_yes_twice(in_slack)

    await until(
        lambda: any("succeeded" in text for text in in_slack.slack.texts("C1")),
        lambda: str(in_slack.slack.texts("C1")),
    )


async def test_its_messages_stay_in_the_language_of_whoever_confirmed_it(in_slack: Scene) -> None:
    in_slack.host.life = ("succeeded",)
    in_slack.slack.users["U1"]["locale"] = "zh-CN"
    await priced(in_slack)

    await say_yes_twice(in_slack, "确认", "仍然训练")

    await until(
        lambda: any("训练 1 成功" in text for text in in_slack.slack.texts("C1")),
        lambda: str(in_slack.slack.texts("C1")),
    )
    assert any("训练 1：attune" in text for text in in_slack.slack.texts("C1"))


async def test_a_chart_is_uploaded_beside_its_card(in_slack: Scene) -> None:

    message = await post(in_slack, Card("It succeeded", chart=CHART))

    (file,) = in_slack.slack.files.values()
    assert (file["name"], file["channel"], file["thread"]) == ("chart.png", "C1", message)
    assert file["bytes"].startswith(b"\x89PNG")


async def test_a_chart_that_a_crash_kept_back_comes_once(in_slack: Scene) -> None:
    await post(in_slack, Card("It succeeded"))

    for _ in range(2):
        await in_slack.restart()
        await post(in_slack, Card("It succeeded", chart=CHART))

    assert [file["name"] for file in in_slack.slack.files.values()] == ["chart.png"]
    assert len(in_slack.slack.read("C1")) == 1


async def test_whoever_started_a_training_hears_of_it_after_the_bot_was_sent_away(
    in_slack: Scene,
) -> None:
    in_slack.host.life = ("succeeded",)
    await priced(in_slack)
    await say_yes_twice(in_slack)
    await until(lambda: bool(in_slack.host.jobs))

    in_slack.slack.channels["C1"].members.discard(BOT)

    await until(lambda: "DU1" in in_slack.slack.channels)
    await until(
        lambda: any("succeeded" in text for text in in_slack.slack.texts("DU1")),
        lambda: str(in_slack.slack.texts("DU1")),
    )


async def test_only_a_trainer_confirms(in_slack: Scene) -> None:
    await priced(in_slack)

    in_slack.slack.click("U2", in_slack.slack.read("C1")[1], "Confirm")

    assert (await in_slack.whispered(3))[2]["user"] == UserId("U2")
    assert in_slack.host.jobs == {}


async def test_a_training_begun_in_a_thread_is_told_there(in_slack: Scene) -> None:
    in_slack.host.life = ("succeeded",)
    root = in_slack.slack.put("U1", "C1", "let us train")
    in_slack.slack.mention("U1", "C1", STARTER, thread=root)
    await in_slack.read("C1")
    in_slack.slack.mention("U1", "C1", "tune start host:default base:base", thread=root)
    await in_slack.read("C1", 2)

    await say_yes_twice(in_slack)

    await until(lambda: any("succeeded" in text for text in in_slack.slack.texts("C1")))
    assert {one["thread_ts"] for one in in_slack.slack.read("C1")} == {root}
