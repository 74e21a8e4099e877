"""A Discord that knows next to nothing beyond the bare protocol: the bot gets along with it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.discord_scene import Scene
from tests.fakes.discord import ADMIN, ANN, GENERAL, FakeDiscord, fake_discord
from tests.fakes.discord_rest import Fault, labels, shown
from tests.fakes.discord_rules import Json
from tests.fakes.faulty_host import faulty_host
from tests.waiting import until

ANSWER = "Hello from the model"
_KEPT = {
    "READY": ("user", "guilds", "session_id"),
    "GUILD_CREATE": ("id", "name", "channels"),
    "MESSAGE_CREATE": ("id", "channel_id", "guild_id", "author", "content", "message_reference"),
    "MESSAGE_REACTION_ADD": ("user_id", "channel_id", "message_id", "guild_id", "emoji"),
    "INTERACTION_CREATE": (
        *("id", "token", "type", "data", "guild_id"),
        *("channel_id", "member", "user", "message"),
    ),
}
_UNKNOWN = (
    "GET /applications/@me",
    "GET /oauth2/applications/@me",
    "GET /gateway/bot",
    "GET /guilds/{guild}",
    "POST /channels/{channel}/typing",
    "GET /webhooks/{application}/{token}/messages/{message}",
)


def bare(name: str, data: Json) -> Json:
    """Only what nobody can do without."""
    kept = {key: value for key, value in data.items() if key in _KEPT.get(name, tuple(data))}
    for holder in ("author", "user"):
        if isinstance(kept.get(holder), dict):
            kept[holder] = {k: v for k, v in kept[holder].items() if k in ("id", "username", "bot")}
    if "member" in kept:
        kept["member"] = {"user": {"id": kept["member"]["user"]["id"]}}
    if name == "GUILD_CREATE":
        kept["channels"] = [{"id": one["id"], "type": 0} for one in kept["channels"]]
    return kept


@pytest.fixture
async def elsewhere(tmp_path: Path) -> AsyncIterator[Scene]:
    async with fake_discord() as fake, faulty_host() as host:
        fake.limits.is_on = False
        _impoverish(fake)
        scene = Scene(fake, host, tmp_path)
        await scene.start()
        await scene.greeted()
        yield scene
        await scene.stop()


def _impoverish(fake: FakeDiscord) -> None:
    send = fake.gateway._send

    def sparingly(session: Any, name: str, data: Json) -> None:
        send(session, name, bare(name, data))

    fake.gateway._send = sparingly  # type: ignore[method-assign]
    fake.rest.tells_responses = False
    for route in _UNKNOWN:
        fake.fail(route, *[Fault(status=404)] * 50)


async def test_a_mention_is_answered(elsewhere: Scene) -> None:
    elsewhere.discord.mention(ANN, GENERAL, "hello")

    assert await elsewhere.hear() == [ANSWER]


async def test_an_answer_to_the_bot_is_known_by_its_message(elsewhere: Scene) -> None:
    elsewhere.discord.mention(ANN, GENERAL, "hello")
    await elsewhere.hear()
    answer = elsewhere.discord.own(GENERAL)[0]["id"]

    elsewhere.discord.say(ANN, GENERAL, "and then?", answers=answer)

    assert await elsewhere.hear(GENERAL, 2) == [ANSWER, ANSWER]


async def test_commands_buttons_and_forms_work(elsewhere: Scene) -> None:
    asked = elsewhere.discord.command(ADMIN, GENERAL, "admin sources")
    await elsewhere.form(asked)
    elsewhere.discord.submit(ADMIN, asked, sources="forms", permission="a letter")
    await elsewhere.hear()
    taught = elsewhere.discord.command(ADMIN, GENERAL, "teach")
    await elsewhere.form(taught)
    elsewhere.discord.submit(ADMIN, taught, question="When?", answer="At nine.")

    assert "Saved as example" in (await elsewhere.read(GENERAL, 2))[-1]


async def test_a_question_by_command_is_answered(elsewhere: Scene) -> None:
    elsewhere.discord.ask(ANN, GENERAL, "hello")

    assert await elsewhere.hear() == [ANSWER]


async def test_a_mark_is_kept(elsewhere: Scene) -> None:
    message = elsewhere.discord.put(ANN, GENERAL, "At nine.")

    elsewhere.discord.react(ADMIN, GENERAL, message, "🎓")

    assert "pointer" in (await elsewhere.hear(elsewhere.discord.direct(ADMIN)))[0]


async def test_a_training_is_priced_and_declined(elsewhere: Scene) -> None:
    elsewhere.discord.command(ADMIN, GENERAL, "import", starter="limericks")
    await elsewhere.read(GENERAL)
    elsewhere.discord.command(ADMIN, GENERAL, "start", host="default", base="base")
    await elsewhere.read(GENERAL, 2)
    estimate = elsewhere.discord.read(GENERAL)[1]

    elsewhere.discord.click(ADMIN, estimate, "Cancel")

    await until(lambda: labels(estimate) == [], lambda: shown(estimate))


async def test_a_lost_connection_is_resumed(elsewhere: Scene) -> None:
    await elsewhere.discord.gateway.cut()
    elsewhere.discord.mention(ANN, GENERAL, "hello")

    assert await elsewhere.hear() == [ANSWER]
