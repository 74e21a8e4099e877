"""Hostile, long and strange texts on their way to Slack."""

from __future__ import annotations

import html
import time
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.message_splitting import closing_fence, split_messages, unclosed_fence
from adapters.slack.api_port import is_response_url
from adapters.slack.block_kit import reply_payloads
from adapters.slack.payload_parsing import Bot, strip_markup
from adapters.slack.text_escaping import SafeTextStream, escape, sanitize, split_for_inputs
from bot.replies import (
    Button,
    Card,
    Chart,
    Column,
    Fact,
    Listing,
    ListingRow,
    Progress,
    Series,
    Text,
)
from tests.fakes.slack_rules import check_blocks, live
from tests.slack_scene import Scene

CALLS = ["<!here>", "<!channel>", "<!everyone>", "<!subteam^S1|@team>", "<@U1>", "<@U1|ann>"]
SPELLINGS = [
    *CALLS,
    *(call.upper().replace("U1", "U1") for call in CALLS),
    *(call.replace("<", "＜").replace(">", "＞") for call in CALLS),
    *(call.replace("!", "！").replace("@", "＠") for call in CALLS),
    *(call.replace("<", "<\u200b") for call in CALLS),
    *(call.replace("<", "< ") for call in CALLS),
    *(call.replace("<", "&lt;").replace(">", "&gt;") for call in CALLS),
    *(call.replace("<", "&amp;lt;").replace(">", "&amp;gt;") for call in CALLS),
    *(call.replace("<", "&#60;").replace(">", "&#62;") for call in CALLS),
    *(call.replace("<", "&#x3c;").replace(">", "&#x3E;") for call in CALLS),
    *(f"```\n{call}\n```" for call in CALLS),
    *(f"**{call}**" for call in CALLS),
    *(f"[{call}](https://example.org)" for call in CALLS),
    "@here",
    "@channel!",
    "@everyone",
    "＠channel",
    "@\u200bhere",
    "\u202e<!here>",
    "<<!here>>",
    "<!<!here>here>",
]
HARMLESS = ["a < b > c", "<!DOCTYPE html>", "<!-- here -->", "ann@example.org", "x <- y", "# here"]


def letter_by_letter(text: str) -> str:
    flow = SafeTextStream()
    return "".join(flow.feed(letter) for letter in text) + flow.rest()


def pings(text: str) -> list[str]:
    """However Slack, or somebody who copies it, may read it."""
    seen = unicodedata.normalize("NFKC", text)
    message = {"text": "", "blocks": [{"type": "markdown", "text": seen}]}
    return live(message)


@pytest.mark.parametrize("made_safe", [sanitize, escape, letter_by_letter])
def test_nothing_a_model_writes_can_ping(made_safe: Callable[[str], str]) -> None:
    live_ones = [one for one in SPELLINGS if pings(made_safe(f"Hello {one} there"))]

    assert live_ones == []


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_harmless_stays_as_it_is(text: str) -> None:
    flow = SafeTextStream()

    assert sanitize(text) == text
    assert "".join(flow.feed(letter) for letter in text) + flow.rest() == text


def test_the_first_word_is_not_held_back() -> None:
    assert SafeTextStream().feed("Hello") == "Hello"


def test_pictures_become_links() -> None:
    assert sanitize("![x](https://evil.example/?q=secret)") == "[x](https://evil.example/?q=secret)"


def test_a_link_with_a_false_face_shows_its_address() -> None:
    assert sanitize("<https://evil.example|https://bank.example>") == (
        "https://bank.example (https://evil.example)"
    )


@given(st.text(max_size=300), st.integers(1, 7))
def test_pieces_are_made_safe_as_the_whole_is(text: str, size: int) -> None:
    flow = SafeTextStream()
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    shown = "".join(flow.feed(piece) for piece in pieces) + flow.rest()

    assert pings(shown) == []


@given(st.text(alphabet="ab `~\n", max_size=400), st.integers(100, 200))
def test_no_letter_is_lost_by_splitting(text: str, most: int) -> None:
    parts = list(split_messages(text, most))

    assert all(len(part) <= most for part in parts)
    letters = "".join(parts).replace("`", "").replace("~", "").replace("\n", "")
    wanted = text.replace("`", "").replace("~", "").replace("\n", "")
    assert len(letters.replace(" ", "")) >= len(wanted.replace(" ", ""))


def test_code_goes_on_in_the_next_message() -> None:
    text = "```python\n" + "x = 1\n" * 100 + "```\nThe end."

    parts = list(split_messages(text, 200))

    assert all(unclosed_fence(part) == "" for part in parts)
    assert all(part.startswith("```python\n") for part in parts[:-1])


@pytest.mark.parametrize("fence", ["```", "~~~~", "```js"])
def test_an_open_code_block_is_closed_with_its_own_marks(fence: str) -> None:
    text = f"{fence}\ncode"

    assert unclosed_fence(text + closing_fence(text)) == ""


def a_card() -> Card:
    hostile = " ".join(SPELLINGS)
    return Card(
        title=hostile,
        lines=(hostile, "x" * 40_000, ""),
        facts=tuple(Fact("*bold*", hostile * 9) for _ in range(23)),
        columns=(Column("Base", hostile, "note"),),
        buttons=tuple(Button("b" * 100, f"do:{number}") for number in range(30)),
        progress=Progress(3, 0),
        chart=Chart("Loss", "step", (Series("a", [(0, 1)]),), hostile),
    )


@pytest.mark.parametrize(
    "reply",
    [
        Text(" ".join(SPELLINGS)),
        Text("x" * 40_000),
        Text(""),
        Text("&" * 5000),
        a_card(),
        Listing("", (), empty="Nothing"),
        Listing(
            "t" * 400,
            tuple(
                ListingRow(str(n), "y" * 5000, "note", (Button("Go", f"go:{n}"),))
                for n in range(20)
            ),
        ),
    ],
)
def test_every_reply_keeps_to_slacks_limits(reply: Text | Card | Listing) -> None:
    for payload in reply_payloads(reply):
        check_blocks(payload.blocks)
        assert len(payload.text) <= 4000
        assert live({"text": payload.text, "blocks": payload.blocks}) == []


def test_a_long_text_is_shown_whole() -> None:
    text = " ".join(f"word{number}" for number in range(9000))

    shown = "".join(
        block["text"]["text"] for payload in reply_payloads(Text(text)) for block in payload.blocks
    )

    assert shown == text


@pytest.mark.parametrize("spelling", [*SPELLINGS[:7], "\u202eabc", "```\nopen", "x" * 40_000])
async def test_in_the_channel_nothing_pings_or_unfurls(in_slack: Scene, spelling: str) -> None:
    in_slack.host.pieces = [spelling[at : at + 3] for at in range(0, len(spelling), 3)]
    if len(spelling) > 1000:
        in_slack.host.pieces = [spelling]

    in_slack.slack.mention("U2", "C1", "be bad")

    await in_slack.hear("C1")
    await in_slack.settled()
    assert in_slack.slack.pings == []
    assert not any(message.get("unfurl") for message in in_slack.slack.own("C1"))
    assert [one for one in in_slack.slack.refusals if one[0].startswith("chat.")] == []


HALVES = ["<!here", "&lt;!here", "＜@", "&lt;@x", "&amp;", "&amp;lt;", "&#0", "&lt;a:", "<a:b|c"]
HALVES += ["< ", "<\u200b", "@\u200b", "&", "!", "![", "<#C1", "﹤#C", "|", "&lt;a:|", "<", ">"]
HALVES += ["@here", "﹗", "&lt;! ", "x", " ", "\n", "```\n", "~~~", "<https://a|"]


def seconds(work: Callable[[str], object], text: str) -> float:
    """The best of some runs: what else the machine does only adds to it."""

    def once() -> float:
        began = time.thread_time()
        work(text)
        return time.thread_time() - began

    return min(once() for _ in range(3))


def streamed(text: str) -> None:
    flow = SafeTextStream()
    for at in range(0, len(text), 400):
        flow.feed(text[at : at + 400])
    flow.rest()


def read_as_message(text: str) -> None:
    strip_markup(text, Bot("T1", "UBOT", "BBOT"))


WORK: list[Callable[[str], object]] = [
    sanitize,
    escape,
    streamed,
    read_as_message,
    lambda text: SafeTextStream().feed(text),
    lambda text: reply_payloads(Text(text)),
    lambda text: split_for_inputs(text, 3000),
    lambda text: is_response_url(text, "https://slack.com"),
]


@pytest.mark.parametrize("work", WORK, ids=range(len(WORK)))
def test_a_text_that_is_eight_times_as_long_takes_no_more_than_its_share(
    work: Callable[[str], object],
) -> None:
    """In a quadratic one it takes 64 times as long, in a linear one eight times."""
    for half in HALVES:
        for end in ("", ">", "&gt;"):
            short = half * (1_000 // len(half)) + end
            long = half * (8_000 // len(half)) + end
            base = max(seconds(work, short), 0.0005)
            assert seconds(work, long) < 32 * base, half


@pytest.mark.parametrize("hidden", ["<<a:b|@U1> x>", "<a:b|&lt;@U1&gt;>", "<@ &lt;!here x> y>"])
def test_what_is_taken_apart_becomes_no_mention(hidden: str) -> None:
    assert pings(sanitize(hidden)) == []
    assert pings(html.unescape(sanitize(hidden))) == []


def test_a_mention_whose_end_comes_late_is_none() -> None:
    flow = SafeTextStream()
    pieces = ["<@U1|", "x" * 300, "y" * 300, ">"]

    shown = "".join(flow.feed(piece) for piece in pieces) + flow.rest()

    assert pings(shown) == []
