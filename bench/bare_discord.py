"""A minimal Discord bot for comparison, written as discord.py's guide does; runs as a process.

The bot posts the model's first text at once, edits the message once a second, and then a last
time.
"""

from __future__ import annotations

import asyncio
import os
import time

import discord
import discord.gateway
import discord.http
import yarl
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam

_QUESTION: ChatCompletionUserMessageParam = {
    "role": "user",
    "content": "How do I reset my password?",
}
_EDIT_SECONDS = 1.0


async def _main() -> None:
    discord.http.Route.BASE = f"{os.environ['DISCORD_API_URL']}/api/v10"
    gateway = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = gateway
    intents = discord.Intents.default()
    intents.message_content = True
    client = discord.Client(intents=intents, allowed_mentions=discord.AllowedMentions.none())
    model = AsyncOpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key="bench", max_retries=0)

    @client.event
    async def on_message(message: discord.Message) -> None:
        if client.user is None or client.user not in message.mentions:
            return
        text, posted, shown_at = "", None, 0.0
        pieces = await model.chat.completions.create(
            model="base", messages=[_QUESTION], stream=True
        )
        async for piece in pieces:
            text += (piece.choices[0].delta.content if piece.choices else None) or ""
            if posted is None and text:
                posted = await message.reply(text)
                shown_at = time.monotonic()
            elif posted is not None and time.monotonic() - shown_at >= _EDIT_SECONDS:
                await posted.edit(content=text)
                shown_at = time.monotonic()
        if posted is not None:
            await posted.edit(content=text)

    await client.start(os.environ["DISCORD_TOKEN"])


if __name__ == "__main__":
    asyncio.run(_main())
