"""Talking with the bot on Discord: mentions, answers, direct messages, threads, questions."""

from __future__ import annotations

import asyncio

import pytest

from bot.domain import MessageId
from bot.replies import Card, Text
from tests.discord_scene import HERE, Scene
from tests.fakes.discord import ADMIN, ANN, BEN, BOT_ROLE, GENERAL, GUILD
from tests.fakes.discord_rest import Fault, shown
from tests.waiting import until

ANSWER = "Hello from the model"
POST = "POST /channels/{channel}/messages"


def asked_of(scene: Scene) -> list[str]:
    """What the model was told, without its instructions."""
    messages = scene.host.last("POST /chat/completions").body["messages"]
    assert isinstance(messages, list)
    return [one["content"] for one in messages if one["role"] != "system"]


async def test_a_mention_is_answered_once_below_it(in_discord: Scene) -> None:
    asked = in_discord.discord.mention(ANN, GENERAL, "hello")

    assert await in_discord.hear() == [ANSWER]
    (answer,) = in_discord.discord.own(GENERAL)
    assert answer["message_reference"]["message_id"] == asked
    assert in_discord.discord.pings == []


async def test_a_short_answer_takes_two_writes(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")

    await in_discord.hear()

    writes = [call.route for call in in_discord.discord.calls if "/messages" in call.route]
    assert writes == [POST, "PATCH /channels/{channel}/messages/{message}"]


async def test_the_bots_own_role_calls_it_too(in_discord: Scene) -> None:
    in_discord.discord.say(ANN, GENERAL, f"<@&{BOT_ROLE}> hello", mention_roles=[BOT_ROLE])

    assert await in_discord.hear() == [ANSWER]
    assert asked_of(in_discord) == ["hello"]


async def test_words_for_others_are_left_alone(in_discord: Scene) -> None:
    in_discord.discord.say(ANN, GENERAL, "hello everybody")

    await in_discord.settled()

    assert in_discord.discord.texts(GENERAL) == []


async def test_an_answer_to_the_bot_goes_on_with_the_chain(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    (answer,) = in_discord.discord.own(GENERAL)

    in_discord.discord.say(ANN, GENERAL, "and then?", answers=answer["id"])

    assert await in_discord.hear(GENERAL, 2) == [ANSWER, ANSWER]
    assert asked_of(in_discord) == ["hello", ANSWER, "and then?"]


async def test_history_can_be_left_out(in_discord: Scene) -> None:
    in_discord.discord.command(ADMIN, GENERAL, "assistant edit", history=False)
    await in_discord.whispered()
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    answer = in_discord.discord.own(GENERAL)[-1]

    in_discord.discord.say(ANN, GENERAL, "and then?", answers=answer["id"])

    await in_discord.hear(GENERAL, 2)
    assert asked_of(in_discord) == ["and then?"]


async def test_a_direct_message_needs_no_mention(in_discord: Scene) -> None:
    channel = in_discord.discord.direct(ANN)

    in_discord.discord.say(ANN, channel, "hello")

    assert await in_discord.hear(channel) == [ANSWER]


async def test_a_direct_message_belongs_to_the_guild_that_is_shared(in_discord: Scene) -> None:
    in_discord.discord.join("30")
    await in_discord.hear("3020")
    in_discord.discord.add_user("777")
    in_discord.discord.guilds["30"].members["777"] = []

    in_discord.discord.say("777", in_discord.discord.direct("777"), "hello")

    assert await in_discord.hear(in_discord.discord.direct("777")) == [ANSWER]
    assert in_discord.app is not None
    async with in_discord.app.store.reading() as records:
        turns = await records.turns.by_asker(HERE.workspace, "777")  # type: ignore[arg-type]
    assert turns == []


async def test_a_thread_that_began_with_a_question_goes_on(in_discord: Scene) -> None:
    root = in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    thread = in_discord.discord.open_thread(GENERAL, root)

    in_discord.discord.say(ANN, thread, "and then?")

    assert await in_discord.hear(thread) == [ANSWER]
    assert asked_of(in_discord) == ["hello", "and then?"]


async def test_a_thread_has_the_assistant_of_its_channel(in_discord: Scene) -> None:
    in_discord.discord.command(ADMIN, GENERAL, "assistant bind", always=True)
    await in_discord.hear()
    root = in_discord.discord.put(ANN, GENERAL, "a topic")
    thread = in_discord.discord.open_thread(GENERAL, root)

    in_discord.discord.say(ANN, thread, "hello")

    assert await in_discord.hear(thread) == [ANSWER]


async def test_a_channel_that_is_always_answered_needs_no_mention(in_discord: Scene) -> None:
    in_discord.discord.command(ADMIN, GENERAL, "assistant bind", always=True)
    await in_discord.hear()

    in_discord.discord.say(ANN, GENERAL, "hello")

    assert (await in_discord.hear(GENERAL, 2))[1] == ANSWER


async def test_other_bots_and_webhooks_are_not_answered(in_discord: Scene) -> None:
    in_discord.discord.add_user("800", bot=True)

    in_discord.discord.mention("800", GENERAL, "hello")
    in_discord.discord.mention(ANN, GENERAL, "hello", webhook_id="5")

    await in_discord.settled()
    assert in_discord.discord.texts(GENERAL) == []


async def test_the_same_words_work_as_a_message(in_discord: Scene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "tune status")

    assert "No training" in (await in_discord.hear(in_discord.discord.direct(ANN)))[0]


async def test_nobody_outside_the_server_gets_a_role(in_discord: Scene) -> None:
    del in_discord.discord.guilds[GUILD].members[BEN]

    for user in ("777", f"<@{BEN}>"):
        in_discord.discord.mention(ADMIN, GENERAL, f"tune admin roles user:{user} role:curator")
        await in_discord.settled()

    assert in_discord.discord.texts(GENERAL) == [
        f"There is no person “{user}” here." for user in ("777", BEN)
    ]


async def test_a_person_in_a_command_is_their_id(in_discord: Scene) -> None:
    in_discord.discord.mention(ADMIN, GENERAL, f"tune admin roles user:<@{BEN}> role:curator")

    assert BEN in (await in_discord.hear())[0]


async def test_a_question_can_be_asked_where_messages_are_not_read(in_discord: Scene) -> None:
    asked = in_discord.discord.ask(ANN, GENERAL, "hello")

    assert await in_discord.hear() == [ANSWER]
    assert asked.response is not None
    assert asked.response["type"] == 4


async def test_a_slow_answer_to_a_question_shows_dots_to_all(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["Late", " words"], 0.9

    asked = in_discord.discord.ask(ANN, GENERAL, "hello")

    assert await in_discord.hear() == ["Late words"]
    assert asked.response == {"type": 5, "data": {}}
    assert in_discord.discord.ephemerals == []


async def test_people_are_answered_in_their_language(in_discord: Scene) -> None:
    in_discord.discord.add_user(BEN, locale="zh-CN")

    in_discord.discord.command(BEN, GENERAL, "help", topic="status")

    assert "训练" in shown((await in_discord.whispered())[0])


async def test_without_the_content_intent_a_mention_still_works(in_discord: Scene) -> None:
    in_discord.discord.flags = 0
    await in_discord.stop()
    in_discord.discord.gateway.forget_sessions()
    await in_discord.start()

    in_discord.discord.say(ANN, GENERAL, "not for the bot")
    in_discord.discord.mention(ANN, GENERAL, "hello")

    assert await in_discord.hear() == [ANSWER]
    assert not in_discord.discord.gateway.identifies[-1]["intents"] & (1 << 15)


async def test_an_answer_that_was_broken_off_is_finished_in_its_message(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["Once", " upon", " a", " time"], 0.3
    in_discord.discord.mention(ANN, GENERAL, "tell me")
    await until(lambda: bool(in_discord.discord.own(GENERAL)))
    assert in_discord.app is not None
    for task in set(in_discord.app.running_tasks):
        task.cancel()
    await in_discord.stop()
    in_discord.host.piece_seconds = 0.0

    await in_discord.start()

    assert await in_discord.hear() == ["Once upon a time"]


async def test_a_post_that_was_not_kept_is_edited_and_not_repeated(in_discord: Scene) -> None:
    first = await in_discord.surface.post(HERE, Text("one"), key="job-1")

    await in_discord.restart()
    second = await in_discord.surface.post(HERE, Text("two"), key="job-1")

    assert first == second
    assert in_discord.discord.texts(GENERAL) == ["two"]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(status=503, is_done=True),
        Fault(is_cut=True, is_done=True),
        Fault(status=429, retry_after=0.2),
        Fault(status=429, retry_after=0.2, is_global=True),
        Fault(status=429, retry_after=0.2, has_via=False),
    ],
)
async def test_a_post_whose_outcome_is_unknown_stands_once(in_discord: Scene, fault: Fault) -> None:
    in_discord.discord.fail(POST, fault)

    in_discord.discord.mention(ADMIN, GENERAL, "tune use base")

    await in_discord.hear()
    await in_discord.settled()
    assert len(in_discord.discord.own(GENERAL)) == 1


async def test_a_channel_without_permission_is_left_in_peace(in_discord: Scene) -> None:
    in_discord.discord.channels[GENERAL].denied = 1 << 11

    in_discord.discord.mention(ANN, GENERAL, "hello")

    await in_discord.settled()
    assert in_discord.discord.texts(GENERAL) == []


async def test_frames_that_may_not_be_shown_become_words(in_discord: Scene) -> None:
    in_discord.discord.guilds[GUILD].bot_permissions &= ~(1 << 14)

    await in_discord.surface.post(HERE, Card("It succeeded", ("At last.",)), key="k")

    (message,) = in_discord.discord.own(GENERAL)
    assert message["embeds"] == []
    assert message["content"]


async def test_what_is_gone_is_fetched_as_nothing(in_discord: Scene) -> None:
    assert await in_discord.surface.fetch_message(HERE, MessageId("1")) is None


async def test_typing_shows_while_a_slow_model_thinks(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["Late", " words"], 1.0

    in_discord.discord.mention(ANN, GENERAL, "hello")

    await until(lambda: in_discord.discord.typed == [GENERAL])
    await in_discord.hear()
    await asyncio.sleep(0)
    assert in_discord.discord.typed == [GENERAL]
