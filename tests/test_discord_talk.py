"""Talking with the bot on Discord: mentions, answers, direct messages, threads, commands."""

from __future__ import annotations

from tests.discord_scene import Scene
from tests.fakes.discord import ANN, GENERAL

ANSWER = "Hello from the model"


async def test_a_mention_is_answered_once_below_it(in_discord: Scene) -> None:
    asked = in_discord.discord.mention(ANN, GENERAL, "hello")

    assert await in_discord.hear() == [ANSWER]
    (answer,) = in_discord.discord.own(GENERAL)
    assert answer["message_reference"]["message_id"] == asked
