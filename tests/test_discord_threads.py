"""A thread for each question, where that is set: opened, named, and gone on with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from adapters.thread_titles import title_of
from tests.discord_scene import Scene
from tests.fakes.discord import ADMIN, ANN, GENERAL
from tests.fakes.discord_rest import Fault
from tests.fakes.faults import answers
from tests.test_discord_talk import ANSWER, asked_of
from tests.waiting import until

OPENED = "POST /channels/{channel}/messages/{message}/threads"


async def set_threads(scene: Scene, words: str = "assistant edit", **options: bool) -> None:
    await scene.answered(scene.discord.command(ADMIN, GENERAL, words, **options))
    await scene.settled()
    for message in scene.discord.own(GENERAL):
        del scene.discord.channels[GENERAL].messages[message["id"]]


async def test_a_question_is_answered_in_its_own_thread(in_discord: Scene) -> None:
    discord = in_discord.discord
    await set_threads(in_discord, threads=True)

    root = discord.mention(ANN, GENERAL, "**Where** is `the` [oven](https://a.b) @everyone?")
    await until(lambda: root in discord.channels, lambda: str(discord.refusals))
    assert await in_discord.hear(root) == [ANSWER]
    discord.say(ANN, root, "and then?")
    assert await in_discord.hear(root, 2) == [ANSWER, ANSWER]
    assert asked_of(in_discord)[1:] == [ANSWER, "and then?"]
    assert len(asked_of(in_discord)) == 3

    assert discord.channels[root].name == "Where is the oven everyone?"
    assert discord.texts(GENERAL) == []
    assert len(discord.called(OPENED)) == 1
    assert discord.pings == []


async def test_its_answer_can_be_asked_for_again_and_its_question_edited(in_discord: Scene) -> None:
    discord = in_discord.discord
    await set_threads(in_discord, threads=True)
    root = discord.mention(ANN, GENERAL, "hello")
    await until(lambda: root in discord.channels, lambda: str(discord.refusals))
    await in_discord.hear(root)

    in_discord.host.pieces = ["Anew"]
    discord.edit(GENERAL, root, "<@900> hello you")
    await until(lambda: discord.texts(root) == ["Anew"], lambda: str(discord.texts(root)))
    await in_discord.settled()
    assert asked_of(in_discord) == ["hello you"]
    discord.click(ANN, discord.own(root)[0], "Try again")

    assert await in_discord.hear(root, 2) == ["Anew", "Anew"]
    assert asked_of(in_discord) == ["hello you"]
    assert discord.texts(GENERAL) == []


async def test_a_host_that_fails_is_told_in_the_thread(in_discord: Scene) -> None:
    await set_threads(in_discord, threads=True)
    in_discord.host.fail_always("POST /chat/completions", answers(400))

    root = in_discord.discord.mention(ANN, GENERAL, "hello")

    await until(lambda: root in in_discord.discord.channels)
    assert len(await in_discord.hear(root)) == 1
    assert in_discord.discord.texts(GENERAL) == []


async def test_what_answers_something_or_stands_in_a_thread_stays_there(in_discord: Scene) -> None:
    discord = in_discord.discord
    await set_threads(in_discord, threads=True)
    topic = discord.put(ANN, GENERAL, "a topic")
    thread = discord.open_thread(GENERAL, topic)
    discord.add_channel("40", kind=15)
    discord.add_channel("41", kind=11, parent="40")

    discord.mention(ANN, thread, "hello")
    discord.mention(ANN, "41", "hello")
    discord.mention(ANN, GENERAL, "hello", answers=topic)
    discord.ask(ANN, GENERAL, "hello")
    discord.say(ANN, discord.direct(ANN), "hello")

    for channel, count in ((thread, 1), ("41", 1), (GENERAL, 2), (discord.direct(ANN), 1)):
        assert await in_discord.hear(channel, count) == [ANSWER] * count
    assert discord.called(OPENED) == []


@contextmanager
def missing(scene: Scene, how: str) -> Iterator[None]:
    """By what the gateway told of the channel, or by Discord's own word."""
    channel = scene.discord.channels[GENERAL]
    if how == "told":
        channel.denied = 1 << 35
        scene.discord.gateway.dispatch("CHANNEL_UPDATE", channel.described())
    else:
        scene.discord.fail(OPENED, *[Fault(status=403, code=50013)] * 2)
    yield


@pytest.mark.parametrize("how", ["told", "refused"])
async def test_without_the_permission_it_answers_below_and_says_so_once(
    in_discord: Scene, how: str
) -> None:
    await set_threads(in_discord, threads=True)
    with missing(in_discord, how):
        in_discord.discord.mention(ANN, GENERAL, "hello")
        texts = await in_discord.hear(GENERAL, 2)
        in_discord.discord.mention(ANN, GENERAL, "hello")
        await in_discord.hear(GENERAL, 3)
        await in_discord.settled()

    texts = in_discord.discord.texts(GENERAL)
    assert texts.count(ANSWER) == 2
    (told,) = [one for one in texts if one != ANSWER]
    assert "Create Public Threads" in told


async def test_a_channel_may_differ_from_its_assistant(in_discord: Scene) -> None:
    await set_threads(in_discord, threads=True)
    await set_threads(in_discord, "assistant bind", threads=False)

    in_discord.discord.mention(ANN, GENERAL, "hello")

    assert await in_discord.hear() == [ANSWER]
    assert in_discord.discord.called(OPENED) == []


@pytest.mark.parametrize("first", ["always", "threads"])
async def test_one_option_of_a_channel_leaves_the_other_alone(
    in_discord: Scene, first: str
) -> None:
    wanted = {"always": True, "threads": True}
    await set_threads(in_discord, "assistant bind", **{first: wanted.pop(first)})
    await set_threads(in_discord, "assistant bind", **wanted)

    root = in_discord.discord.say(ANN, GENERAL, "hello")
    await until(lambda: root in in_discord.discord.channels)

    assert await in_discord.hear(root) == [ANSWER]


async def test_after_a_crash_it_goes_on_in_the_thread_that_stands(in_discord: Scene) -> None:
    discord = in_discord.discord
    await set_threads(in_discord, threads=True)
    in_discord.host.pieces, in_discord.host.piece_seconds = ["Once", " upon", " a"], 0.3
    root = discord.mention(ANN, GENERAL, "hello")
    await until(lambda: root in discord.channels and bool(discord.own(root)))
    assert in_discord.app is not None
    for task in set(in_discord.app.running_tasks):
        task.cancel()
    await in_discord.stop()
    in_discord.host.piece_seconds = 0.0

    await in_discord.start()

    assert await in_discord.hear(root) == ["Once upon a"]
    assert discord.texts(GENERAL) == []
    assert len(discord.called(OPENED)) == 1


@pytest.mark.parametrize(
    ("question", "title"),
    [
        ("# Big\n> quoted *words* and ~~more~~", "Big quoted words and more"),
        ("snake_case __init__ stays _so_", "snake_case init stays so"),
        ("<@&12> <#3> @here", "here"),
        ("```py\nprint(1)\n```", "print(1)"),
        ("a" * 200, "a" * 99 + "…"),
        ("😀" * 80, "😀" * 49 + "…"),
        ("机器人怎么重启？", "机器人怎么重启？"),
        ("||***||", ""),
    ],
)
def test_a_title_is_one_plain_line(question: str, title: str) -> None:
    assert title_of(question, 100) == title
