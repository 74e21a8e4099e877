"""Answers on their way to Discord: first words, edits, ends, and what happens when it fails."""

from __future__ import annotations

import random

import pytest

from tests.discord_scene import Scene
from tests.fakes.discord import ADMIN, ANN, BEN, GENERAL
from tests.fakes.discord_rest import Fault, labels
from tests.waiting import until

POST = "POST /channels/{channel}/messages"
EDIT = "PATCH /channels/{channel}/messages/{message}"


def busy(scene: Scene) -> list[int]:
    return [code for _, code in scene.discord.refusals if code == 429]


async def test_the_first_words_stand_at_once(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["One", " two", " three"], 0.3

    in_discord.discord.mention(ANN, GENERAL, "count")

    await until(lambda: in_discord.discord.texts(GENERAL) == ["One"])
    assert await in_discord.hear() == ["One two three"]


async def test_the_last_words_do_not_wait_for_a_pause(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["One"] + [" more"] * 12, 0.1
    in_discord.discord.mention(ANN, GENERAL, "count")
    await until(lambda: bool(in_discord.discord.own(GENERAL)))

    await in_discord.hear()

    edits = in_discord.discord.called(EDIT)
    assert len(edits) <= 4
    assert in_discord.discord.texts(GENERAL)[0].count("more") == 12
    assert busy(in_discord) == []


async def test_an_answer_of_many_seconds_never_meets_a_limit(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["One"] + [" more"] * 60, 0.1

    in_discord.discord.mention(ANN, GENERAL, "count")

    assert (await in_discord.hear())[0].count("more") == 60
    assert busy(in_discord) == []


async def test_a_long_answer_is_split_and_its_code_goes_on(in_discord: Scene) -> None:
    code = "".join(f"line {number} of the code\n" for number in range(150))
    in_discord.host.pieces = [f"```python\n{code}```\nDone."]

    in_discord.discord.mention(ANN, GENERAL, "code")

    texts = await in_discord.hear(GENERAL, 2)
    contents = [one["content"] for one in in_discord.discord.own(GENERAL)]
    assert all(len(text) <= 2000 for text in contents)
    assert all(text.count("```") == 2 for text in contents)
    assert all(text.startswith("```python\n") for text in contents)
    lines = [line for text in texts for line in text.splitlines() if line.startswith("line")]
    assert len(lines) == 150


async def test_a_long_answer_in_small_pieces_is_split_too(in_discord: Scene) -> None:
    in_discord.host.pieces = [f"word{number} " for number in range(700)]

    in_discord.discord.mention(ANN, GENERAL, "words")

    texts = await in_discord.hear(GENERAL, 3)
    assert " ".join(texts).split() == [f"word{number}" for number in range(700)]


async def test_wide_characters_are_counted_as_discord_does(in_discord: Scene) -> None:
    in_discord.host.pieces = ["🦊 " * 1200]

    in_discord.discord.mention(ANN, GENERAL, "foxes")

    await in_discord.hear(GENERAL, 2)
    contents = [one["content"] for one in in_discord.discord.own(GENERAL)]
    assert all(len(text.encode("utf-16-le")) // 2 <= 2000 for text in contents)
    assert sum(text.count("🦊") for text in contents) == 1200


async def test_models_neither_ping_nor_unfurl(in_discord: Scene) -> None:
    in_discord.host.pieces = [f"@everyone <@{ANN}> <@&991> @here https://evil.example/?q=1"]

    in_discord.discord.mention(ANN, GENERAL, "shout")

    await in_discord.hear()
    (answer,) = in_discord.discord.own(GENERAL)
    assert in_discord.discord.pings == []
    assert answer["flags"] & 4


async def test_a_cross_from_the_asker_stops_the_answer(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["One"] + [" more"] * 100, 0.1
    in_discord.discord.mention(ANN, GENERAL, "for ever")
    await until(lambda: bool(in_discord.discord.own(GENERAL)))

    in_discord.discord.react(ANN, GENERAL, in_discord.discord.own(GENERAL)[0]["id"], "❌")

    await in_discord.settled()
    assert in_discord.discord.texts(GENERAL)[0].count("more") < 60
    assert in_discord.host.stopped_streams == 1


async def test_a_stranger_cannot_stop_it(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["One", " two", " three"], 0.4
    in_discord.discord.mention(ANN, GENERAL, "count")
    await until(lambda: bool(in_discord.discord.own(GENERAL)))

    in_discord.discord.react(BEN, GENERAL, in_discord.discord.own(GENERAL)[0]["id"], "❌")

    assert (await in_discord.hear(GENERAL, 2))[0] == "One two three"


@pytest.mark.parametrize("is_channel", [False, True])
async def test_what_is_deleted_while_it_is_written_ends_the_answer(
    in_discord: Scene, is_channel: bool
) -> None:
    in_discord.discord.add_channel("55")
    in_discord.host.pieces, in_discord.host.piece_seconds = ["One"] + [" more"] * 40, 0.1
    in_discord.discord.mention(ANN, "55", "for ever")
    await until(lambda: bool(in_discord.discord.own("55")))

    if is_channel:
        del in_discord.discord.channels["55"]
    else:
        in_discord.discord.delete("55", in_discord.discord.own("55")[0]["id"])

    await until(lambda: in_discord.host.stopped_streams == 1)
    await until(in_discord.is_idle)


async def test_permissions_that_are_taken_end_the_answer(in_discord: Scene) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["One"] + [" more"] * 40, 0.1
    in_discord.discord.mention(ANN, GENERAL, "for ever")
    await until(lambda: bool(in_discord.discord.own(GENERAL)))

    in_discord.discord.channels[GENERAL].denied = 1 << 10

    await until(lambda: in_discord.host.stopped_streams == 1)
    await until(in_discord.is_idle)


@pytest.mark.parametrize("route", [POST, EDIT])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503),
        Fault(is_cut=True),
        Fault(is_cut=True, is_done=True),
        Fault(status=429, retry_after=0.3),
        Fault(status=429, retry_after=0.3, has_via=False),
    ],
)
async def test_a_fault_of_discord_costs_no_word(
    in_discord: Scene, route: str, fault: Fault
) -> None:
    in_discord.host.pieces, in_discord.host.piece_seconds = ["One", " two", " three"], 0.4
    in_discord.discord.fail(route, fault)

    in_discord.discord.mention(ANN, GENERAL, "count")

    assert await in_discord.hear() == ["One two three"]


async def test_the_thumbs_stand_below_the_last_part(in_discord: Scene) -> None:
    in_discord.host.pieces = ["word " * 900]
    in_discord.discord.mention(ANN, GENERAL, "words")
    await in_discord.hear(GENERAL, 3)
    first, *_, last = in_discord.discord.own(GENERAL)

    in_discord.discord.click(ANN, last, "👍")

    await in_discord.whispered()
    assert labels(first) == []
    assert in_discord.app is not None
    assert "Thank" in in_discord.discord.ephemerals[0]["content"]


async def test_many_channels_are_answered_within_the_limit(in_discord: Scene) -> None:
    channels = [f"6{number:03}" for number in range(60)]
    for channel in channels:
        in_discord.discord.add_channel(channel)
        in_discord.discord.gateway.dispatch(
            "CHANNEL_CREATE", in_discord.discord.channels[channel].described()
        )

    for channel in channels:
        in_discord.discord.mention(ANN, channel, "hello")

    for channel in channels:
        assert await in_discord.hear(channel) == ["Hello from the model"]
    # What was let go in time may arrive late and in a heap where the machine is busy with others;
    # then it is refused and comes again.
    assert len(busy(in_discord)) < len(channels)


async def test_in_one_channel_the_queue_drains_at_its_own_rate(in_discord: Scene) -> None:
    for number in range(8):
        in_discord.discord.mention(ANN, GENERAL, f"question {number}")

    texts = await in_discord.hear(GENERAL, 8)

    assert texts == ["Hello from the model"] * 8
    assert GENERAL in in_discord.discord.typed
    assert busy(in_discord) == []


HOSTILE = (
    "@everyone",
    "@here",
    f"<@{ADMIN}>",
    f"<@!{ADMIN}>",
    "<@&991>",
    "<#20>",
    "<t:0:R>",
    "[click](https://evil.example)",
    "https://evil.example/a.png",
    "```",
    "~~~",
    "`" * 70,
    "\u202e",
    "\u0000",
    "\u200b",
    "\ud83e\udd8a".encode("utf-16", "surrogatepass").decode("utf-16"),
    "||spoiler||",
    "> quote",
    "# title",
    "-# small",
    "*" * 40,
    "x" * 2500,
    "\n" * 50,
    "{}",
    "%s",
    "\\",
    "<script>",
)


@pytest.mark.parametrize("seed", range(4))
async def test_hostile_texts_come_through_whole_and_harmless(in_discord: Scene, seed: int) -> None:
    """Fifteen a seed: nobody is pinged, nothing is refused, no word is lost."""
    in_discord.discord.limits.is_on = False
    chance = random.Random(seed)
    for number in range(15):
        in_discord.discord.add_channel(f"8{number:03}")
        in_discord.discord.gateway.dispatch(
            "CHANNEL_CREATE", in_discord.discord.channels[f"8{number:03}"].described()
        )
        pieces = ["begin ", *chance.choices(HOSTILE, k=chance.randrange(1, 9)), " end"]
        in_discord.host.pieces = pieces
        in_discord.discord.mention(ANN, f"8{number:03}", f"say {chance.choice(HOSTILE)}")
        texts = await in_discord.hear(f"8{number:03}")
        assert texts[0].startswith("begin"), pieces
        assert texts[-1].rstrip("`~\n").endswith("end"), pieces

    assert in_discord.discord.pings == []
    assert in_discord.discord.refusals == []


async def test_an_answer_whose_first_reply_fell_back_stays_in_the_channel(
    in_discord: Scene,
) -> None:
    gone = Fault(status=404, code=10062)
    in_discord.discord.fail("POST /interactions/{interaction}/{token}/callback", *[gone] * 9)
    in_discord.host.pieces = ("word " * 300, "and " * 300, "end")
    in_discord.host.piece_seconds = 0.2

    in_discord.discord.ask(ANN, GENERAL, "hello")

    await in_discord.hear()
    await in_discord.settled()
    told = "".join(in_discord.discord.texts(GENERAL))
    assert told.rstrip().endswith("end")
    assert told.count("word") == 300
    assert told.count("and") == 300
    # Of an interaction that is gone Discord knows nothing, so nothing more is tried with it.
    assert [one.route for one in in_discord.discord.calls if "/webhooks/" in one.route] == []
