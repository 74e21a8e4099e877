"""Answers on their way to Slack: streams, their ends, and what happens without them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

import pytest
from fastapi import Response

from adapters.slack import message_writer
from adapters.slack.api_port import Api
from adapters.slack.thinking_status import thinking_status
from tests.fakes.faults import Call, refusal
from tests.fakes.slack import Fault, labels
from tests.slack_scene import Scene
from tests.waiting import until

CHAT = "POST /chat/completions"


async def test_the_first_words_stand_at_once(in_slack: Scene) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["One", " two", " three"], 0.3

    in_slack.slack.mention("U2", "C1", "count")

    await until(lambda: in_slack.slack.texts("C1") == ["One"])
    assert await in_slack.hear("C1") == ["One two three"]


async def test_a_slow_model_shows_a_status(in_slack: Scene) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["Late", " words"], 1.0

    in_slack.slack.mention("U2", "C1", "hello")

    await until(lambda: bool(in_slack.slack.statuses))
    assert in_slack.slack.statuses[0]["status"]
    await in_slack.hear("C1")


async def hangs_and_fails(call: Call) -> Response:
    await call.released()
    return refusal(400, "Not now.")


@pytest.mark.parametrize("is_stopped", [True, False])
async def test_the_status_goes_where_no_word_comes(in_slack: Scene, *, is_stopped: bool) -> None:
    """As nothing is posted that would take it away; also where the host fails late."""
    slack, host = in_slack.slack, in_slack.host
    host.fail_always(CHAT, hangs_and_fails)
    asked = slack.mention("U2", "C1", "hello")
    await until(lambda: bool(slack.statuses))

    if is_stopped:
        slack.react("U2", "C1", asked, "x")
    else:
        host.release()

    await until(lambda: [one["status"] for one in slack.statuses][1:] == [""])
    await in_slack.settled()
    assert slack.texts("C1") == []


async def test_a_status_that_was_on_its_way_when_words_came_is_cleared() -> None:
    """As Slack may show it after the message, and then nothing takes it away."""
    slack = SlowStatuses()

    async with thinking_status(cast(Api, slack), "C1", "1.0", "is thinking …") as end:
        await slack.is_asked.wait()
        for _ in range(2):
            end()
            await asyncio.sleep(0)

    assert slack.statuses == ["is thinking …", ""]


class SlowStatuses:
    """Shows each status, but answers the first request never."""

    def __init__(self) -> None:
        self.statuses: list[object] = []
        self.is_asked = asyncio.Event()

    async def call(self, method: str, args: Mapping[str, object], **more: object) -> None:
        self.statuses.append(args["status"])
        self.is_asked.set()
        if args["status"]:
            await asyncio.Event().wait()


async def test_a_long_answer_is_split_and_its_code_goes_on(in_slack: Scene) -> None:
    code = "".join(f"line {number} of the code\n" for number in range(900))
    in_slack.host.pieces = [f"```python\n{code}```\nDone."]

    in_slack.slack.mention("U2", "C1", "code")

    texts = await in_slack.hear("C1", 2)
    assert all(len(text) <= 12_000 for text in texts)
    assert all(text.count("```") == 2 for text in texts)
    assert all(text.startswith("```python\n") for text in texts)
    lines = [line for text in texts for line in text.splitlines() if line.startswith("line")]
    assert len(lines) == 900


async def test_a_long_answer_in_small_pieces_is_split_too(in_slack: Scene) -> None:
    in_slack.host.pieces = [f"word{number} " for number in range(3000)]

    in_slack.slack.mention("U2", "C1", "words")

    texts = await in_slack.hear("C1", 3)
    assert "".join(texts).split() == [f"word{number}" for number in range(3000)]


async def test_a_stream_is_renewed_before_it_dies(
    in_slack: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_writer, "_STREAM_SECONDS", 0.8)
    in_slack.slack.stream_seconds = 1.6
    in_slack.slack.tiers.is_on = False
    in_slack.host.pieces = [f"line {number}\n" for number in range(12)]
    in_slack.host.piece_seconds = 0.25

    in_slack.slack.mention("U2", "C1", "slowly")

    texts = await in_slack.hear("C1", 2)
    await in_slack.settled()
    assert "".join(f"{text}\n" for text in texts).split() == "".join(in_slack.host.pieces).split()
    assert not [one for one in in_slack.slack.refusals if one[0].startswith("chat.")]


async def test_a_stream_that_died_is_finished_by_an_update(in_slack: Scene) -> None:
    in_slack.slack.stream_seconds = 0.5
    in_slack.host.pieces, in_slack.host.piece_seconds = ["One", " two", " three"], 0.5

    in_slack.slack.mention("U2", "C1", "count")

    assert await in_slack.hear("C1") == ["One two three"]


async def test_without_a_stream_the_answer_is_posted_and_updated(in_slack: Scene) -> None:
    in_slack.slack.fail("chat.startStream", Fault(status=429, retry_after=30))

    in_slack.slack.mention("U2", "C1", "hello")

    await in_slack.hear("C1")
    await in_slack.settled()
    assert in_slack.slack.texts("C1") == ["Hello from the model"]
    assert len(in_slack.slack.called("chat.update")) <= 2


async def test_when_streams_are_used_up_people_are_still_answered_at_once(in_slack: Scene) -> None:
    channels = [f"C{number}" for number in range(100, 125)]
    for channel in channels:
        in_slack.slack.add_channel(channel)

    for channel in channels:
        in_slack.slack.mention("U2", channel, "hello")

    for channel in channels:
        assert await in_slack.hear(channel) == ["Hello from the model"]
    assert "ratelimited" not in [code for _, code in in_slack.slack.refusals]


@pytest.mark.usefixtures("slack_pace")
async def test_in_one_channel_one_answer_a_second_is_begun(in_slack: Scene) -> None:
    for number in range(3):
        in_slack.slack.mention("U2", "C1", f"question {number}")

    assert await in_slack.hear("C1", 3) == ["Hello from the model"] * 3
    assert "ratelimited" not in [code for _, code in in_slack.slack.refusals]


async def test_a_cross_from_the_asker_stops_the_answer(in_slack: Scene) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["One"] + [" more"] * 100, 0.1
    in_slack.slack.mention("U2", "C1", "for ever")
    await until(lambda: bool(in_slack.slack.own("C1")))
    answer = in_slack.slack.own("C1")[0]["ts"]

    in_slack.slack.react("U2", "C1", answer, "x")

    await in_slack.settled()
    assert in_slack.slack.streams["C1", answer].state == "stopped"
    assert in_slack.slack.texts("C1")[0].count("more") < 60


async def test_slacks_own_stop_button_stops_the_answer(in_slack: Scene) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["One"] + [" more"] * 100, 0.1
    in_slack.slack.mention("U2", "C1", "for ever")
    await until(lambda: bool(in_slack.slack.own("C1")))
    answer = in_slack.slack.own("C1")[0]["ts"]

    in_slack.slack.press_stop("U2", "C1", answer)

    await until(lambda: labels(in_slack.slack.own("C1")[0]) == ["👍", "👎", "Try again"])
    await until(lambda: in_slack.host.stopped_streams == 1)


async def test_a_stranger_cannot_stop_it(in_slack: Scene) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["One", " two", " three"], 0.4
    in_slack.slack.mention("U2", "C1", "count")
    await until(lambda: bool(in_slack.slack.own("C1")))

    in_slack.slack.react("U3", "C1", in_slack.slack.own("C1")[0]["ts"], "x")

    assert await in_slack.hear("C1") == ["One two three"]
    assert (await in_slack.whispered())[0]["user"] == "U3"


async def test_a_message_deleted_while_it_is_written_ends_the_answer(in_slack: Scene) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["One"] + [" more"] * 40, 0.1
    in_slack.slack.mention("U2", "C1", "for ever")
    await until(lambda: bool(in_slack.slack.own("C1")))

    in_slack.slack.delete("C1", in_slack.slack.own("C1")[0]["ts"])

    await in_slack.settled()
    assert in_slack.slack.texts("C1") == []
    assert in_slack.host.stopped_streams == 1


@pytest.mark.parametrize("method", ["chat.startStream", "chat.appendStream", "chat.stopStream"])
@pytest.mark.parametrize(
    "fault", [Fault(status=500), Fault(status=503), Fault(is_cut=True), Fault(error="fatal_error")]
)
async def test_a_fault_of_slack_costs_no_word(in_slack: Scene, method: str, fault: Fault) -> None:
    in_slack.host.pieces, in_slack.host.piece_seconds = ["One", " two", " three"], 0.4
    in_slack.slack.fail(method, fault)

    in_slack.slack.mention("U2", "C1", "count")

    assert (await in_slack.hear("C1"))[-1] == "One two three"


async def test_an_answer_can_be_judged_by_its_thumbs(in_slack: Scene) -> None:
    in_slack.slack.mention("U2", "C1", "hello")
    await in_slack.hear("C1")

    in_slack.slack.click("U2", in_slack.slack.own("C1")[0], "👍")

    assert (await in_slack.whispered())[0]["text"] == "Thank you."


async def test_in_a_crowd_every_answer_can_be_judged(in_slack: Scene) -> None:
    """Past the budgets of streams and updates an answer is posted when it is whole."""
    channels = [f"C{number}" for number in range(100, 180)]
    for channel in channels:
        in_slack.slack.add_channel(channel)
        in_slack.slack.mention("U2", channel, "hello")
    for channel in channels:
        await in_slack.hear(channel)

    for channel in channels:
        in_slack.slack.click("U2", in_slack.slack.own(channel)[0], "👍")

    assert [said["text"] for said in await in_slack.whispered(80)] == ["Thank you."] * 80


async def test_a_long_answer_is_judged_by_the_thumbs_at_its_end(in_slack: Scene) -> None:
    in_slack.host.pieces = ["word " * 4000]
    in_slack.slack.mention("U2", "C1", "words")
    await in_slack.hear("C1", 2)

    in_slack.slack.click("U2", in_slack.slack.own("C1")[-1], "👍")

    assert (await in_slack.whispered())[0]["text"] == "Thank you."
