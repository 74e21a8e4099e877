"""Every other way in: reactions, menus, forms and buttons, and what a restart leaves of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.domain import ExampleFilter, ExampleState
from tests.discord_scene import TEAM, Scene
from tests.fakes.discord import ADMIN, ANN, BEN, BOT, GENERAL, fake_discord
from tests.fakes.discord_rest import Fault, labels, shown
from tests.fakes.faulty_host import faulty_host
from tests.waiting import until

ANSWER = "Hello from the model"


async def examples(scene: Scene, state: ExampleState | None = None) -> int:
    assert scene.app is not None
    async with scene.app.store.reading() as records:
        return await records.examples.count(TEAM, ExampleFilter(state=state))


async def exchange(scene: Scene) -> str:
    """A question and its answer by two people; the answer's id."""
    asked = scene.discord.put(ANN, GENERAL, "When do you open?")
    return scene.discord.put(BEN, GENERAL, "At nine.", answers=asked)


async def test_a_cap_on_a_message_keeps_a_pointer(in_discord: Scene) -> None:
    message = await exchange(in_discord)

    in_discord.discord.react(ANN, GENERAL, message, "🎓")

    assert "pointer" in (await in_discord.hear())[0]
    assert await examples(in_discord, ExampleState.PROPOSED) == 1


async def test_old_messages_can_be_marked_too(in_discord: Scene) -> None:
    message = await exchange(in_discord)
    for number in range(60):
        in_discord.discord.put(ANN, GENERAL, f"talk {number}")
    await in_discord.restart()

    in_discord.discord.react(ANN, GENERAL, message, "🎓")

    await in_discord.hear()
    assert await examples(in_discord) == 1


async def test_with_permission_a_cap_keeps_the_words(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    message = await exchange(in_discord)

    in_discord.discord.react(ANN, GENERAL, message, "🎓")

    await until(
        lambda: "🎓" in in_discord.discord.channels[GENERAL].messages[message].get("reactions", [])
    )
    await in_discord.settled()
    assert in_discord.app is not None
    async with in_discord.app.store.reading() as records:
        (example,) = await records.examples.page(TEAM, ExampleFilter(), limit=9)
    assert example.row == {
        "messages": [
            {"role": "user", "content": "When do you open?"},
            {"role": "assistant", "content": "At nine."},
        ]
    }


async def test_a_reaction_told_twice_is_one(in_discord: Scene) -> None:
    message = await exchange(in_discord)
    told = in_discord.discord.react(ANN, GENERAL, message, "🎓")
    await in_discord.hear()

    in_discord.discord.gateway.repeat("MESSAGE_REACTION_ADD", told)

    await in_discord.settled()
    assert len(in_discord.discord.own(GENERAL)) == 1


async def test_a_reaction_put_again_counts_again(in_discord: Scene) -> None:
    message = await exchange(in_discord)
    in_discord.discord.react(ANN, GENERAL, message, "🎓")
    await in_discord.hear()
    in_discord.discord.react(ANN, GENERAL, message, "🎓", off=True)
    await in_discord.settled()
    (receipt,) = in_discord.discord.texts(GENERAL)

    in_discord.discord.react(ANN, GENERAL, message, "🎓")

    await in_discord.settled()
    assert in_discord.discord.texts(GENERAL) != [receipt]


async def test_other_emoji_and_our_own_mean_nothing(in_discord: Scene) -> None:
    message = await exchange(in_discord)

    in_discord.discord.react(ANN, GENERAL, message, "🍕")
    in_discord.discord.react(BOT, GENERAL, message, "🎓")

    await in_discord.settled()
    assert await examples(in_discord) == 0


async def test_a_thumb_is_a_vote(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    answer = in_discord.discord.own(GENERAL)[0]["id"]

    in_discord.discord.react(ANN, GENERAL, answer, "👎")

    await in_discord.hear(GENERAL, 2)
    asked = in_discord.discord.own(GENERAL)[1]
    assert labels(asked) == ["Tell us why"]
    assert asked["flags"] & (1 << 12)
    assert in_discord.discord.pings == []


async def test_the_button_asks_why_in_a_form(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    asked = in_discord.discord.click(ANN, in_discord.discord.own(GENERAL)[0], "👎")
    await in_discord.form(asked)

    in_discord.discord.submit(ANN, asked, reason="too short")

    assert "Thank" in shown((await in_discord.whispered())[0])


async def test_a_good_vote_by_button_is_thanked_for(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()

    in_discord.discord.click(ANN, in_discord.discord.own(GENERAL)[0], "👍")

    assert "Thank" in shown((await in_discord.whispered())[0])


async def test_the_menu_improves_a_reply(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear(GENERAL, 2)
    answer = in_discord.discord.own(GENERAL)[-1]["id"]

    asked = in_discord.discord.menu(ANN, GENERAL, "Improve this reply", answer)

    form = await in_discord.form(asked)
    assert ANSWER in [one["component"].get("value") for one in form["components"]]


async def test_a_menu_is_answered_for_the_asker_alone(in_discord: Scene) -> None:
    message = await exchange(in_discord)

    asked = in_discord.discord.menu(ANN, GENERAL, "Save as example", message)

    await in_discord.answered(asked)
    await in_discord.settled()
    assert asked.response is not None


async def test_buttons_and_forms_outlive_a_restart(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    asked = in_discord.discord.click(ANN, in_discord.discord.own(GENERAL)[0], "👎")
    await in_discord.form(asked)
    await in_discord.restart()

    in_discord.discord.submit(ANN, asked, reason="too short")
    await in_discord.whispered()
    in_discord.discord.click(ANN, in_discord.discord.own(GENERAL)[0], "👍")

    assert "Thank" in shown((await in_discord.whispered(2))[1])


async def test_every_click_is_checked_again(in_discord: Scene) -> None:
    await in_discord.allow_messages()
    message = await exchange(in_discord)
    in_discord.discord.react(ANN, GENERAL, message, "🎓")
    await in_discord.hear(GENERAL, 2)
    in_discord.discord.command(ADMIN, GENERAL, "review")
    card = (await in_discord.whispered())[0]

    in_discord.discord.click(BEN, card, "Approve")

    assert "the role" in shown((await in_discord.whispered(2))[1])
    assert await examples(in_discord, ExampleState.APPROVED) == 0


async def test_a_click_changes_its_own_message(in_discord: Scene) -> None:
    in_discord.discord.command(ANN, GENERAL, "forget-me")
    (card,) = await in_discord.whispered()

    asked = in_discord.discord.click(ANN, card, labels(card)[-1])

    await in_discord.answered(asked)
    await in_discord.settled()
    assert asked.response is not None
    assert asked.response["type"] == 7
    assert card["components"] == []


async def test_many_lines_are_chosen_from_a_menu(in_discord: Scene) -> None:
    rows = b"question,answer\n" + b"".join(b"When %d?,At nine.\n" % n for n in range(8))
    in_discord.discord.command(ADMIN, GENERAL, "import", yes="yes", file=("rows.csv", rows))
    await in_discord.read(GENERAL)
    in_discord.discord.command(ADMIN, GENERAL, "examples")
    listing = (await in_discord.whispered(2))[1]
    choices = [
        one["label"]
        for row in listing["components"]
        for one in row["components"][0].get("options", ())
    ]

    asked = in_discord.discord.click(ADMIN, listing, choices[0])

    await in_discord.answered(asked)
    await in_discord.settled()
    assert len(choices) > 10
    assert not in_discord.discord.refusals


async def test_joining_a_guild_is_said_once(tmp_path: Path) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        scene = Scene(fake, host, tmp_path)
        await scene.start()
        (first,) = await scene.hear()
        await scene.stop()
        fake.gateway.forget_sessions()
        await scene.start()
        await scene.settled()

        assert await scene.hear() == [first]
        assert labels(fake.own(GENERAL)[0])
        await scene.stop()


async def test_the_welcome_goes_where_the_bot_may_speak(tmp_path: Path) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        fake.channels[GENERAL].denied = 1 << 11
        fake.add_channel("21")
        scene = Scene(fake, host, tmp_path)
        await scene.start()

        assert len(await scene.hear("21")) == 1
        await scene.stop()


async def test_an_admin_is_led_to_the_sources(tmp_path: Path) -> None:
    async with fake_discord() as fake, faulty_host() as host:
        scene = Scene(fake, host, tmp_path)
        await scene.start()
        await scene.hear()
        welcome = fake.own(GENERAL)[0]

        asked = fake.click(ADMIN, welcome, labels(welcome)[2])

        form = await scene.form(asked)
        assert "Rule 21" in form["components"][0]["content"]
        await scene.stop()


@pytest.mark.parametrize("code", [10008, 50001, 90001])
async def test_a_receipt_that_cannot_be_put_is_left_out(in_discord: Scene, code: int) -> None:
    await in_discord.allow_messages()
    message = await exchange(in_discord)
    route = "PUT /channels/{channel}/messages/{message}/reactions/{emoji}/@me"
    in_discord.discord.fail(route, Fault(status=403, code=code))

    in_discord.discord.react(ANN, GENERAL, message, "🎓")

    await until(lambda: not in_discord.discord.rest._faults[route])
    await in_discord.settled()
    assert await examples(in_discord) == 1
