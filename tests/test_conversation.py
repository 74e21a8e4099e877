"""A conversation as people lead it: edits, threads, long talks, and words that look like ours."""

from __future__ import annotations

from typing import Any

import pytest

from bot import chat
from tests.discord_scene import Scene as DiscordScene
from tests.fakes.discord import ANN, GENERAL
from tests.fakes.faults import answers
from tests.fakes.slack import BOT
from tests.front import DiscordFront, Front, RoomFront, SlackFront

CHAT = "POST /chat/completions"


def last_question(front: Front) -> str:
    messages: Any = front.host.last(CHAT).body["messages"]
    return str(messages[-1]["content"])


async def edit(front: Front, text: str) -> list[str]:
    """The person rewrites the first question."""
    if isinstance(front, SlackFront):
        front.slack.edit("U2", "C1", str(front.thread), f"<@{BOT}> {text}")
        await front.made.settled()
        return front.texts()
    if isinstance(front, DiscordFront):
        asked = next(
            m
            for m, one in front.discord.channels[GENERAL].messages.items()
            if one["author"]["id"] == ANN
        )
        front.discord.edit(GENERAL, asked, text)
        await front.made.settled()
        return front.texts()
    assert isinstance(front, RoomFront)
    await front.made.do(f"/edit 1 @attune {text}")
    return await front.made.texts()


async def test_an_edited_question_is_answered_anew_in_place(front: Front) -> None:
    front.host.pieces = ["Rome."]
    assert await front.ask("Capital of Italy?") == ["Rome."]

    front.host.pieces = ["Paris."]
    texts = await edit(front, "Capital of France?")

    assert texts == ["Paris."]
    assert "Capital of France?" in last_question(front)
    assert front.host.count(CHAT) == 2
    await edit(front, "Capital of France?")
    assert front.host.count(CHAT) == 2

    front.host.fail(CHAT, answers(400, "Not now."))
    assert (await edit(front, "Capital of Spain?"))[0] == "Paris."
    front.host.pieces = ["Madrid."]
    assert (await edit(front, "And the capital of Spain?"))[0] == "Madrid."


async def test_words_that_only_look_like_a_command_are_a_question(front: Front) -> None:
    (answer,) = await front.ask("tune my guitar, please")

    assert answer == "Hello from the model"
    await front.ask("tune help")
    assert front.host.count(CHAT) == 1


async def ask_with(front: Front, text: str, name: str, content: bytes) -> list[str]:
    if isinstance(front, SlackFront):
        file = front.slack.give_file(name, content)
        ts = front.slack.put("U2", "C1", text)
        event = {"type": "message", "subtype": "file_share", "channel": "C1", "user": "U2"}
        front.slack.event({**event, "ts": ts, "text": f"<@{BOT}> {text}", "files": [file]})
        await front.made.settled()
        return front.texts()
    assert isinstance(front, DiscordFront)
    resolved: dict[str, Any] = {}
    number = front.discord._upload((name, content), resolved)
    front.discord.mention(ANN, GENERAL, text, attachments=[resolved["attachments"][number]])
    await front.made.settled()
    return front.texts()


@pytest.mark.parametrize(
    ("name", "content", "read", "note"),
    [
        ("notes.csv", b"day,hours\nMonday,9", "notes.csv", ""),
        ("message.txt", "Wann öffnet ihr?".encode(), "Wann öffnet ihr?", ""),
        ("long.txt", b"word " * 20_000, "word", "the first 40,000 characters"),
        ("photo.png", b"\x89PNG\r\n\x00\x00", "When?", "I cannot read photo.png"),
    ],
)
async def test_a_file_that_came_with_a_question_is_read_as_text(
    front: Front, name: str, content: bytes, read: str, note: str
) -> None:
    if isinstance(front, RoomFront):
        pytest.skip("nobody can add a file there")

    texts = await ask_with(front, "When?", name, content)

    assert read in last_question(front)
    assert len(last_question(front)) < 41_000
    assert texts[-1].startswith("Hello from the model")
    assert note in texts[-1]


async def test_a_long_conversation_says_once_that_its_beginning_is_not_read(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "_HISTORY", 2)
    if isinstance(front, RoomFront):
        pytest.skip("words in the room are a new conversation each, but in threads")
    await front.ask("one")
    texts = await front.ask("two")
    again = await front.ask("three")

    assert "I have read the last 2 messages" in texts[-1]
    assert again[-1] == "Hello from the model"


async def test_a_thread_opened_on_an_answer_goes_on(in_discord: DiscordScene) -> None:
    in_discord.discord.mention(ANN, GENERAL, "hello")
    await in_discord.hear()
    thread = in_discord.discord.open_thread(GENERAL, in_discord.discord.own(GENERAL)[0]["id"])

    in_discord.discord.say(ANN, thread, "and then?")
    await in_discord.settled()

    assert in_discord.discord.texts(thread) == ["Hello from the model"]


async def test_a_forum_post_is_answered_in_it_and_goes_on(in_discord: DiscordScene) -> None:
    discord = in_discord.discord
    discord.add_channel("37", kind=15)
    post = discord.open_thread("37", discord.snowflake())

    discord.mention(ANN, post, "hello")
    await in_discord.settled()
    discord.say(ANN, post, "and then?", answers=discord.own(post)[0]["id"])
    await in_discord.settled()

    assert discord.texts(post) == ["Hello from the model"] * 2
    messages: Any = in_discord.host.last(CHAT).body["messages"]
    assert [one["content"] for one in messages if one["role"] == "user"] == ["hello", "and then?"]
