"""A training from Discord: priced, confirmed, followed in one message, told with its chart."""

from __future__ import annotations

from bot.replies import Card, Chart, Series
from tests.discord_scene import HERE, Scene
from tests.fakes.discord import ADMIN, ANN, BEN, GENERAL, GUILD, Interaction
from tests.fakes.discord_rest import labels, shown
from tests.fakes.discord_rules import Json
from tests.waiting import until

CHART = Chart("Loss", "step", (Series("training", [(1, 2.0), (2, 1.0)]),), "from 2 to 1")


async def priced(scene: Scene, channel: str = GENERAL) -> tuple[Interaction, Json]:
    """The estimate of a training, as it stands in the channel."""
    scene.discord.command(ADMIN, channel, "import", starter="limericks")
    await scene.read(channel)
    asked = scene.discord.command(ADMIN, channel, "start", host="default", base="base")
    await scene.read(channel, 2)
    return asked, scene.discord.read(channel)[1]


async def confirmed(scene: Scene, estimate: Json) -> None:
    """Nobody knows the price at this host, so it is asked twice."""
    scene.discord.click(ADMIN, estimate, "Confirm")
    await until(lambda: "Train anyway" in labels(estimate), lambda: shown(estimate))
    await scene.settled()
    scene.discord.click(ADMIN, estimate, "Train anyway")


async def told(scene: Scene, part: str, channel: str = GENERAL) -> Json:
    def found() -> list[Json]:
        return [one for one in scene.discord.read(channel) if part in shown(one)]

    await until(lambda: bool(found()), lambda: str(scene.discord.texts(channel)))
    return found()[-1]


async def test_the_estimate_is_for_whoever_asked(in_discord: Scene) -> None:
    _, estimate = await priced(in_discord)

    assert labels(estimate) == ["Confirm", "Cancel", "Share here"]
    assert estimate in in_discord.discord.ephemerals
    assert in_discord.discord.own(GENERAL) == []


async def test_a_training_is_followed_to_its_end_and_calls_those_who_asked(
    in_discord: Scene,
) -> None:
    fake, host = in_discord.discord, in_discord.host
    host.life = ("running",)
    _, estimate = await priced(in_discord)
    await confirmed(in_discord, estimate)
    await until(lambda: any("Ping me" in str(labels(one)) for one in fake.read(GENERAL)))
    (status,) = [one for one in fake.read(GENERAL) if "Ping me at the end" in labels(one)]
    for user, times in ((ANN, 1), (BEN, 2)):
        for _ in range(times):
            await in_discord.answered(fake.click(user, status, "Ping me at the end"))
            await in_discord.settled()
    await until(lambda: bool(host.jobs))
    (job,) = host.jobs.values()
    job.life.append("succeeded")

    message = await told(in_discord, "succeeded")
    await until(lambda: bool(fake.pings), lambda: str(fake.texts(GENERAL)))
    assert fake.pings == [ANN]
    assert message["author"]["id"] == "900"


async def test_the_tuned_model_answers_afterwards(in_discord: Scene) -> None:
    in_discord.host.life = ("succeeded",)
    _, estimate = await priced(in_discord)
    await confirmed(in_discord, estimate)
    await told(in_discord, "succeeded")
    await in_discord.settled()

    in_discord.discord.mention(ANN, GENERAL, "hello")

    await told(in_discord, "Hello from the model")
    asked = in_discord.host.last("POST /chat/completions").body
    assert str(asked["model"]).startswith("ft:")


async def test_whoever_started_a_training_hears_of_it_after_its_channel_is_gone(
    in_discord: Scene,
) -> None:
    in_discord.host.life = ("succeeded",)
    _, estimate = await priced(in_discord)
    await confirmed(in_discord, estimate)
    await until(lambda: bool(in_discord.host.jobs))

    del in_discord.discord.channels[GENERAL]

    await told(in_discord, "succeeded", in_discord.discord.direct(ADMIN))


async def test_only_a_trainer_confirms(in_discord: Scene) -> None:
    _, estimate = await priced(in_discord)

    in_discord.discord.click(ANN, estimate, "Confirm")

    assert (await in_discord.whispered(3))[2]["user"] == ANN
    assert in_discord.host.jobs == {}


async def test_a_declined_estimate_says_so_in_its_place(in_discord: Scene) -> None:
    _, estimate = await priced(in_discord)

    in_discord.discord.click(ADMIN, estimate, "Cancel")

    await until(lambda: labels(estimate) == [])
    assert in_discord.host.jobs == {}


async def test_a_training_can_be_confirmed_after_a_restart(in_discord: Scene) -> None:
    in_discord.host.life = ("succeeded",)
    _, estimate = await priced(in_discord)
    await in_discord.restart()

    await confirmed(in_discord, estimate)

    await told(in_discord, "succeeded")
    assert len(in_discord.host.jobs) == 1


async def test_two_clicks_are_one_training(in_discord: Scene) -> None:
    in_discord.host.life = ("succeeded",)
    _, estimate = await priced(in_discord)
    in_discord.discord.click(ADMIN, estimate, "Confirm")
    await until(lambda: "Train anyway" in labels(estimate))
    twice = dict(estimate)

    in_discord.discord.click(ADMIN, estimate, "Train anyway")
    in_discord.discord.click(ADMIN, twice, "Train anyway")

    await told(in_discord, "succeeded")
    await in_discord.settled()
    assert len(in_discord.host.jobs) == 1


async def test_a_chart_comes_with_its_card(in_discord: Scene) -> None:
    message = await in_discord.surface.post(HERE, Card("It succeeded", chart=CHART), key="1.ended")

    (file,) = in_discord.discord.files
    posted = in_discord.discord.channels[GENERAL].messages[message]
    assert file["filename"] == "chart.png"
    assert file["data"].startswith(b"\x89PNG")
    assert posted["embeds"][0]["image"]["url"] == "attachment://chart.png"


async def test_without_the_permission_for_files_the_words_still_stand(in_discord: Scene) -> None:
    in_discord.discord.guilds[GUILD].bot_permissions &= ~(1 << 15)

    await in_discord.surface.post(HERE, Card("It succeeded", chart=CHART), key="1.ended")

    assert in_discord.discord.texts(GENERAL)[0].startswith("It succeeded")


async def test_a_training_begun_in_a_thread_is_told_there(in_discord: Scene) -> None:
    in_discord.host.life = ("succeeded",)
    thread = in_discord.discord.open_thread(GENERAL, in_discord.discord.put(ANN, GENERAL, "topic"))
    _, estimate = await priced(in_discord, thread)

    await confirmed(in_discord, estimate)

    await told(in_discord, "succeeded", thread)
    assert in_discord.discord.read(GENERAL) == []
