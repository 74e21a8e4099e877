"""Answers whole and clean on every platform: cut off, filtered, thoughts, tool calls, tables."""

from __future__ import annotations

from typing import Any

import pytest

from bot import chat
from bot.domain import UserId
from tests.fakes.discord_rest import Fault as DiscordFault
from tests.fakes.faults import answers
from tests.fakes.slack import Fault as SlackFault
from tests.front import DiscordFront, Front, RoomFront, SlackFront
from tests.scene import Scene

EDIT = "PATCH /channels/{channel}/messages/{message}"
CHAT = "POST /chat/completions"
CUT = "The answer is cut off here: it has reached its limit of tokens."
TABLE = "Prices:\n\n| Size | Price |\n|---|--:|\n| S | 3 € |\n| 大 | 5 € |\n\nAll of them."


def said_to_model(front: Front) -> list[tuple[str, str]]:
    messages: Any = front.host.last(CHAT).body["messages"]
    return [(one["role"], one["content"]) for one in messages if one["role"] != "system"]


async def test_an_answer_that_is_cut_off_says_so_and_goes_on(front: Front) -> None:
    front.host.pieces, front.host.finish_reason = ["One, two, "], "length"
    (first,) = await front.ask("Count to four")

    front.host.pieces, front.host.finish_reason = ["three, four."], "stop"
    texts = await front.click("Go on")

    assert first.startswith("One, two,")
    assert CUT in first
    assert texts[1:] == ["three, four."]
    assert said_to_model(front)[:2] == [("user", "Count to four"), ("assistant", "One, two, ")]
    await front.ask("Thank you")
    assert CUT not in str(said_to_model(front))
    async with front.app.store.reading() as records:
        for workspace in [one.id for one in await records.workspaces.page(limit=5)]:
            for asker in ("U2", "102", "you"):
                kept = [one.reply for one in await records.turns.by_asker(workspace, UserId(asker))]
                assert not kept or "One, two, three, four." in kept


async def test_an_answer_is_continued_after_a_restart_once(front: Front) -> None:
    front.host.pieces, front.host.finish_reason = ["Half"], "length"
    await front.ask("Tell me")
    await front.restart()

    texts = await front.click("Go on")

    assert [text.partition("\n")[0] for text in texts] == ["Half", "Half"]
    assert front.host.count(CHAT) == 2


def call(**function: str) -> dict[str, object]:
    return {"tool_calls": [{"index": 0, "function": function}]}


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}


@pytest.mark.parametrize(
    ("deltas", "finish", "expected"),
    [
        ([{"reasoning_content": "Hm."}, {"content": "Yes."}], "stop", "Yes."),
        ([{"reasoning": "Hm."}, {"content": "Yes."}], "stop", "Yes."),
        ([{"content": one} for one in ("<thi", "nk>Hm.</th", "ink>\n\nYes.")], "stop", "Yes."),
        ([{"content": "[THINK]Hm.[/THINK]Yes."}], "stop", "Yes."),
        ([{"content": [one]} for one in (THOUGHT, {"type": "text", "text": "Yes."})], "", "Yes."),
        ([{"reasoning": "Hm."}], "length", "only thought"),
        ([{"content": ""}], "content_filter", "content filter"),
        ([{"content": "Well"}], "content_filter", "content filter stopped it"),
        ([{"refusal": "I cannot."}], "stop", "I cannot."),
        ([{"content": "I cannot.", "is_refusal": True}], "stop", "I cannot."),
        (
            [call(name="weather", arguments='{"at"'), call(arguments=': "Rome"}')],
            "tool_calls",
            'the tool “weather” with {"at": "Rome"}',
        ),
        ([{"content": "1 < 2, <thin> is no tag"}], "stop", "1 < 2, <thin> is no tag"),
    ],
)
async def test_whatever_shape_an_answer_has_it_is_understood(
    scene: Scene, deltas: list[dict[str, object]], finish: str, expected: str
) -> None:
    scene.host.deltas, scene.host.finish_reason = deltas, finish

    await scene.say("@attune Well?")

    assert expected in await scene.last()
    assert "Hm." not in str(await scene.texts())


async def test_a_table_becomes_what_the_platform_shows(front: Front) -> None:
    front.host.pieces = [TABLE[at : at + 5] for at in range(0, len(TABLE), 5)]

    texts = await front.ask("Prices?")

    if isinstance(front, RoomFront):
        assert texts == [TABLE]
    else:
        assert "```\nSize │ Price\n─────┼──────\nS    │ 3 €\n大   │ 5 €\n```" in texts[-1]
        assert texts[-1].endswith("All of them.")


@pytest.mark.parametrize("refused", [1, 2])
async def test_a_refused_end_of_an_answer_loses_no_word(front: Front, refused: int) -> None:
    """The first refusal is of the end with its buttons, the second of the end without them."""
    text = "word " * 40
    front.host.pieces = [text[at : at + 20] for at in range(0, len(text), 20)]
    if isinstance(front, SlackFront):
        front.slack.fail("chat.stopStream", *[SlackFault(error="invalid_blocks")] * 3)
        front.slack.fail("chat.update", *[SlackFault(error="invalid_blocks")] * refused)
    elif isinstance(front, DiscordFront):
        refusal = DiscordFault(status=400, code=50035)
        front.discord.rest.fail(EDIT, *[refusal] * refused)
    else:
        pytest.skip("the room keeps its own messages")

    texts = await front.ask("Many words?")

    assert "".join("".join(texts).split()) == "".join(text.split())


async def test_a_model_that_is_loaded_is_said_to_be(
    front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat, "SECONDS_BEFORE_LOADING_NOTICE", 0.05)
    monkeypatch.setattr("adapters.openai.openai_host._LOADING_PAUSE", 0.1)
    front.host.fail(CHAT, *[answers(503, "Loading model")] * 3)

    texts = await front.ask("Hello?")

    whispers = front.slack.ephemerals if isinstance(front, SlackFront) else []
    assert "Hello from the model" in texts
    assert "being loaded" in str([*texts, *whispers])
