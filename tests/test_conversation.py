"""A conversation as people lead it: edits, threads, long talks, and words that look like ours."""

from __future__ import annotations

import asyncio
import zipfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject

from bot import conversation_history
from bot.built_in_tools import MAX_TOOL_ROUNDS
from tests.discord_scene import Scene as DiscordScene
from tests.fakes.discord import ANN, GENERAL
from tests.fakes.discord_rest import labels as discord_labels
from tests.fakes.faults import answers
from tests.fakes.slack import BOT
from tests.fakes.slack import Fault as SlackFault
from tests.fakes.slack import labels as slack_labels
from tests.fakes.slack import shown as slack_shown
from tests.front import DiscordFront, Front, RoomFront, SlackFront
from tests.scene import Scene
from tests.waiting import until

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


async def ask_with(front: Front, text: str, **files: bytes) -> list[str]:
    """A question with files; in their names `_` stands for the dot."""
    named = {name[::-1].replace("_", ".", 1)[::-1]: content for name, content in files.items()}
    if isinstance(front, SlackFront):
        given = [front.slack.give_file(name, content) for name, content in named.items()]
        ts = front.slack.put("U2", "C1", text)
        asked = front.slack.channels["C1"].find(ts)
        assert asked is not None
        asked["files"], front.thread = given, ts
        event = {"type": "message", "subtype": "file_share", "channel": "C1", "user": "U2"}
        front.slack.event({**event, "ts": ts, "text": f"<@{BOT}> {text}", "files": given})
        await front.made.settled()
        return front.texts()
    assert isinstance(front, DiscordFront)
    resolved: dict[str, Any] = {}
    numbers = [front.discord._upload(one, resolved) for one in named.items()]
    attached = [resolved["attachments"][number] for number in numbers]
    front.discord.mention(ANN, GENERAL, text, attachments=attached)
    await front.made.settled()
    return front.texts()


@pytest.mark.parametrize(
    ("name", "content", "read", "note"),
    [
        ("notes_csv", b"day,hours\nMonday,9", "notes.csv", ""),
        ("message_txt", "Wann öffnet ihr?".encode(), "Wann öffnet ihr?", ""),
        ("long_txt", b"word " * 20_000, "word", "the first 40,000 characters"),
        ("song_mp3", b"ID3\0\0", "When?", "I cannot read song.mp3"),
    ],
)
async def test_a_file_that_came_with_a_question_is_read_as_text(
    front: Front, name: str, content: bytes, read: str, note: str
) -> None:
    if isinstance(front, RoomFront):
        pytest.skip("nobody can add a file there")

    texts = await ask_with(front, "When?", **{name: content})

    assert read in last_question(front)
    assert len(last_question(front)) < 41_000
    assert texts[-1].startswith("Hello from the model")
    assert note in texts[-1]


async def test_documents_are_read_as_far_as_the_room_goes(front: Front) -> None:
    if isinstance(front, RoomFront):
        pytest.skip("nobody can add a file there")
    pages = ["The price is 3 euros", *["word " * 1000] * 11]
    files = {"minutes_docx": word_file("Ann", "opens"), "bomb_docx": word_file("a" * (1 << 25))}
    if isinstance(front, DiscordFront):
        files = {"locked_pdf": pdf("secret", password="x")}

    texts = await ask_with(front, "What does it cost?", **files, offer_pdf=pdf(*pages))

    assert "The price is 3 euros" in last_question(front)
    assert len(last_question(front)) < 41_000
    assert "Of offer.pdf I have read the first 9 of 12 pages." in texts[-1]
    if isinstance(front, DiscordFront):
        assert "I cannot read locked.pdf: locked with a password." in texts[-1]
    else:
        assert "Ann\nopens" in last_question(front)
        assert "I cannot read bomb.docx" in texts[-1]
    await front.ask("And for two?")
    assert "The price is 3 euros" in history(front)[0]


PICTURE = b"\x89PNG\r\n\x1a\n and its pixels"


async def test_files_that_are_not_read_are_told_in_one_sentence(front: Front) -> None:
    if isinstance(front, RoomFront):
        pytest.skip("nobody can add a file there")
    files = {f"{name}_txt": b"word " * 10_000 for name in ("a", "b", "c")}

    (answer,) = await ask_with(front, "When?", **files, photo_png=PICTURE)

    assert "I have not read b.txt, c.txt: the other files took all the room." in answer
    assert "(The picture photo.png)" in last_question(front)


async def test_pictures_without_words_are_no_question_to_a_model_that_sees_none(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.openai.image_support.MODEL_LIST_CACHE_SECONDS", 0.0)
    if isinstance(front, RoomFront):
        pytest.skip("nobody can add a file there")

    said = await ask_with(front, "", photo_png=PICTURE)
    if isinstance(front, SlackFront):
        said += [slack_shown(one) for one in front.slack.ephemerals]
    assert len(said) == 1
    assert "base sees no pictures" in said[0]
    assert front.host.count(CHAT) == 0

    front.host.listed = {"base": {"architecture": {"input_modalities": ["text", "image"]}}}
    assert (await ask_with(front, "", photo_png=PICTURE))[-1] == "Hello from the model"


async def test_a_picture_goes_to_a_model_that_sees(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.openai.image_support.MODEL_LIST_CACHE_SECONDS", 0.0)
    if isinstance(front, RoomFront):
        pytest.skip("nobody can add a file there")

    (answer,) = await ask_with(front, "What is this?", photo_png=PICTURE)

    assert answer.startswith("Hello from the model")
    assert "sees no pictures" in answer
    assert isinstance(last_question(front), str)

    front.host.listed = {"base": {"architecture": {"input_modalities": ["text", "image"]}}}
    texts = await front.click("Try again")

    messages: Any = front.host.last(CHAT).body["messages"]
    text, picture = messages[-1]["content"]
    assert text["text"].startswith("What is this?")
    assert picture["image_url"]["url"] == f"data:image/png;base64,{b64encode(PICTURE).decode()}"
    assert texts[-1] == "Hello from the model"


def pdf(*texts: str, password: str = "") -> bytes:
    """Pages of text in the one font that every reader has."""
    writer, content = PdfWriter(), BytesIO()
    font = DictionaryObject({NameObject("/Type"): NameObject("/Font")})
    font[NameObject("/Subtype")] = NameObject("/Type1")
    font[NameObject("/BaseFont")] = NameObject("/Helvetica")
    for text in texts:
        page, stream = writer.add_blank_page(600, 800), StreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 700 Td ({text}) Tj ET".encode())
        fonts = DictionaryObject({NameObject("/F1"): font})
        page[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
        page[NameObject("/Contents")] = stream
    if password:
        writer.encrypt(password, algorithm="RC4-128")
    writer.write(content)
    return content.getvalue()


def word_file(*paragraphs: str) -> bytes:
    space = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    body = "".join(f"<w:p><w:r><w:t>{one}</w:t></w:r></w:p>" for one in paragraphs)
    content = BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{space}">{body}</w:document>')
    return content.getvalue()


async def test_of_a_long_conversation_the_older_part_is_summarised_once(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_history, "_MAX_MESSAGES", 2)
    if isinstance(front, RoomFront):
        pytest.skip("words in the room are a new conversation each, but in threads")
    await front.ask("My name is Ann.")
    front.host.answers = lambda body: "The gist." if is_summary(body) else "Yes."
    texts = await front.ask("two")
    assert "summary" not in texts[-1]

    texts = await front.ask("three")

    (asked,) = summaries(front)
    assert "My name is Ann." in asked
    assert "goes along as a summary" in texts[-1]
    assert prompts(front)[0].endswith("The gist.")
    assert prompts(front)[1:] == ["two", "Yes.", "three"]
    texts = await front.ask("four")
    assert len(summaries(front)) == 2
    assert texts[-1] == "Yes."
    assert "The gist." in summaries(front)[1]


async def test_what_cannot_be_summarised_is_left_out_and_said_to_be(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_history, "_MAX_MESSAGES", 2)
    if isinstance(front, RoomFront):
        pytest.skip("words in the room are a new conversation each, but in threads")
    await front.ask("one")
    await front.ask("two")
    front.host.fail(CHAT, answers(400, "Not now."))

    texts = await front.ask("three")
    front.host.fail(CHAT, answers(400, "Not now."))
    again = await front.ask("four")

    assert "I have read the last 2 messages" in texts[-1]
    assert again[-1] == "Hello from the model"


def is_summary(body: Mapping[str, Any]) -> bool:
    return str(body["messages"][-1]["content"]).startswith("Summarise")


def summaries(front: Front) -> list[str]:
    """What the model was asked to summarise, each time."""
    asked: list[Any] = [one.body for one in front.host.asked if one.route == CHAT]
    return [str(body["messages"][-1]["content"]) for body in asked if is_summary(body)]


def prompts(front: Front) -> list[str]:
    messages: Any = front.host.last(CHAT).body["messages"]
    return [one["content"] for one in messages]


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


def texts_of(front: Front) -> list[str]:
    assert isinstance(front, SlackFront | DiscordFront)
    return front.texts()


def labels(front: Front) -> list[str]:
    """The buttons of the newest message of the assistant."""
    if isinstance(front, SlackFront):
        return slack_labels(front.slack.own("C1")[-1])
    assert isinstance(front, DiscordFront)
    return discord_labels(front.discord.own(GENERAL)[-1])


def history(front: Front) -> list[str]:
    messages: Any = front.host.last(CHAT).body["messages"]
    return [one["content"] for one in messages if one["role"] != "system"]


async def test_another_answer_comes_below_and_takes_the_place_of_the_first(front: Front) -> None:
    front.host.pieces = ["Rome."]
    await front.ask("Which city?")

    front.host.pieces = ["Paris."]
    texts = await front.click("Try again")

    assert texts == ["Rome.", "Paris."]
    assert history(front) == ["Which city?"]
    if not isinstance(front, RoomFront):
        await front.ask("And then?")
        assert history(front) == ["Which city?", "Paris.", "And then?"]


async def test_a_conversation_begins_anew_where_somebody_says_so(front: Front) -> None:
    if isinstance(front, RoomFront):
        pytest.skip("words in the room are a new conversation each, but in threads")
    await front.ask("one")
    await front.ask("two")
    assert history(front) == ["one", "Hello from the model", "two"]

    front.host.finish_reason = "length"
    await front.ask("three")
    await front.click("Go on")
    said = "Hello from the model"
    assert history(front)[:6] == ["one", said, "two", said, "three", said]

    front.host.finish_reason = "stop"
    texts = await front.click("New conversation")
    await front.ask("four")

    assert texts[-1].startswith("A new conversation begins here.")
    assert history(front) == ["four"]


async def test_a_long_answer_is_stopped_by_the_button_below_it(front: Front) -> None:
    if isinstance(front, RoomFront):
        pytest.skip("the studio and the terminal have their own")
    front.host.pieces, front.host.piece_seconds = ["word " * 60] * 100, 0.02
    if isinstance(front, SlackFront):
        front.slack.fail("chat.startStream", SlackFault(error="unknown_method"))
    else:
        assert isinstance(front, DiscordFront)
        front.discord.limits.is_on = False
    asking = asyncio.create_task(front.ask("for ever"))
    is_long = isinstance(front, DiscordFront)
    await until(lambda: len(texts_of(front)) > is_long and labels(front) == ["Stop"])

    await front.click("Stop")
    await asking

    assert front.host.stopped_streams == 1
    assert labels(front) == ["👍", "👎", "Try again"]


def looks_up(body: Mapping[str, Any]) -> list[dict[str, object]]:
    """A model that asks for two tools first, then answers with what they gave."""
    results = [one["content"] for one in body["messages"] if one["role"] == "tool"]
    if results:
        return [{"content": f"It is {results[0]}"}]
    names = [("today", "{}"), ("hand_over", '{"reason": "a refund"}')]
    return [
        {"tool_calls": [{"index": n, "function": {"name": name, "arguments": arguments}}]}
        for n, (name, arguments) in enumerate(names)
    ]


async def test_a_model_may_call_the_tools_that_its_assistant_has(front: Front) -> None:
    await front.ask("Hello")
    async with front.app.store.writing() as records:
        for workspace in await records.workspaces.page(limit=5):
            assistant = await records.assistants.default(workspace.id)
            assert assistant is not None
            changed = replace(assistant, tools=("today", "hand_over"))
            await records.assistants.update(workspace.id, changed)
    front.host.deltas = looks_up

    texts = await front.ask("Which day is it? I want a refund.")

    asked: Any = front.host.last(CHAT).body
    answer = next(text for text in texts if "It is " in text)
    assert [one["function"]["name"] for one in asked["tools"]] == ["today", "hand_over"]
    assert answer.startswith("⋯ Asked for today's date.")
    assert "⋯ Asked for a person: a refund" in answer
    assert answer.splitlines()[-1].startswith("It is ")
    assert "UTC" in answer
    front.host.deltas = ()
    await front.ask("Thanks")
    assert "Asked for" not in str(history(front))


async def test_a_model_that_only_calls_tools_is_made_to_answer(scene: Scene) -> None:
    await scene.command("assistant edit tools:today")
    scene.host.deltas = [{"tool_calls": [{"index": 0, "function": {"name": "today"}}]}]

    await scene.say("@attune Which day is it?")

    assert (await scene.last()).count("Asked for today's date.") == MAX_TOOL_ROUNDS
    assert scene.host.count(CHAT) == MAX_TOOL_ROUNDS + 1
    assert "tools" not in scene.host.last(CHAT).body
    await scene.command("assistant edit tools:search")
    assert "search_examples" in await scene.last()


async def test_a_host_that_takes_no_tools_is_asked_without(scene: Scene) -> None:
    await scene.command("assistant edit tools:all")
    refusal = '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser'
    scene.host.fail(CHAT, answers(400, refusal))

    await scene.say("@attune Hello?")

    assert await scene.last() == "Hello from the model"
    assert "tools" not in scene.host.last(CHAT).body
