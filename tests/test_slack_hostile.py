"""Two hundred texts that want to do harm: written by a model, and written by a person."""

from __future__ import annotations

import asyncio
import re
import unicodedata
from collections.abc import AsyncGenerator

import pytest

from adapters.slack import rate_limits
from bot.domain import ChannelId, MessageId, Place, UserId, WorkspaceId
from bot.replies import Stream
from tests.fakes.slack import shown
from tests.fakes.slack_rules import live
from tests.slack_scene import Scene
from tests.test_slack_texts import SPELLINGS

TEAM = WorkspaceId("slack:T1")
LINKS = [
    "https://evil.example/?q=secret",
    "[click](javascript:alert(1))",
    "![pixel](https://evil.example/p.png?q=secret)",
    "<https://evil.example|https://bank.example>",
    "[https://bank.example](https://evil.example)",
    "<javascript:alert(1)|ok>",
    "<mailto:a@b.example|mail>",
    "[![img](https://e.example/i.png)](https://e.example)",
    "<slack://open?team=T1|open>",
]
BROKEN = [
    "**bold *and `code",
    "```\nnever closed",
    "~~~js\nlet a = 1",
    "````\n```\n````",
    "| a | b\n|--\n|1",
    "> > > > > quote",
    "[link](unclosed",
    "- [ ] " * 50,
    "<div><script>alert(1)</script></div>",
    "&amp;&lt;&gt;&#0;&#x202e;",
    "\\\\n\\u0000",
    "{{7*7}} ${jndi:ldap://e} %s%s%n",
    "# " * 200,
]
STRANGE = [
    "\u202eabc\u202c",
    "\u2066<!here>\u2069",
    "a\u0000b\u0001c\u001b[31md",
    "\ufeff\u200b\u200d\u2060",
    "👨‍👩‍👧‍👦" * 300,
    "🎉" * 2000,
    "z" + "\u0301" * 500,
    "\u0600\u06dd\ufdfd" * 100,
    "😀\ud83d half",
    "\r\n\r\r\n\u2028\u2029",
]
LONG = [
    "word " * 8000,
    "x" * 40_000,
    "```\n" + "line of code\n" * 3000 + "```",
    "<@U1> " * 6000,
    "&" * 40_000,
    "\n" * 20_000 + "end",
]
MIXED = [f"{one} {other}" for one in SPELLINGS[::2] for other in (LINKS[0], BROKEN[1])]
TEXTS = [*SPELLINGS, *LINKS, *BROKEN, *STRANGE, *LONG, *MIXED]
TEXTS += [f"before {text[:500]} after" for text in (*LINKS, *BROKEN, *STRANGE)]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z]{3,}", text.casefold())


@pytest.fixture
def unhurried(in_slack: Scene, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Limits have their own tests."""
    monkeypatch.setattr(rate_limits, "_PER_MINUTE", {})
    in_slack.slack.tiers.is_on = False
    return in_slack


def test_there_are_two_hundred() -> None:
    assert len(TEXTS) >= 200


async def said(scene: Scene, number: int, text: str) -> list[str]:
    """A model's answer in a channel of its own, and what people see of it."""
    channel = f"C{1000 + number}"
    scene.slack.add_channel(channel)
    root = scene.slack.put("U2", channel, "be bad")
    assert scene.app is not None

    async def pieces() -> AsyncGenerator[str]:
        step = max(7, len(text) // 40)
        for at in range(0, len(text), step):
            yield text[at : at + step]
        yield "."

    async def posted(message: MessageId) -> None:
        """It stands."""

    place = Place(TEAM, ChannelId(channel), MessageId(root))
    surface = scene.app.surfaces.surface_of(TEAM)
    stream = Stream(pieces(), posted)
    await surface.stream(place, stream, key=f"k/{number}", asker=UserId("U2"))  # type: ignore[attr-defined]
    return [shown(message) for message in scene.slack.own(channel)]


async def test_nothing_a_model_writes_pings_unfurls_breaks_or_is_lost(unhurried: Scene) -> None:
    slack = unhurried.slack

    seen = await asyncio.gather(*(said(unhurried, n, text) for n, text in enumerate(TEXTS)))

    assert slack.pings == []
    assert [one for one in slack.refusals if one[0].startswith("chat.")] == []
    own = [message for channel in slack.channels for message in slack.own(channel)]
    assert not any(message.get("unfurl") for message in own)
    for texts, wanted in zip(seen, TEXTS, strict=True):
        read = unicodedata.normalize("NFKC", "\n".join(texts))
        assert live({"text": "", "blocks": [{"type": "markdown", "text": read}]}) == []
        assert "](http" not in read or "![" not in read
        if len(wanted) > 5000:
            assert len(words(read)) >= len(words(wanted))


async def test_nothing_a_person_writes_breaks_the_bot(unhurried: Scene) -> None:
    slack = unhurried.slack
    for number, text in enumerate(TEXTS):
        channel = f"C{2000 + number}"
        slack.add_channel(channel)
        slack.mention("U2", channel, text)

    for number in range(len(TEXTS)):
        heard = await unhurried.hear(f"C{2000 + number}")
        assert heard
    assert slack.pings == []
