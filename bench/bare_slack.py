"""A minimal Slack bot for comparison, written as its libraries' guides do; runs as a process.

Bolt in Socket Mode passes the model's stream on to Slack's, and flushes the first text at once.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

from openai import AsyncOpenAI
from openai.types.chat import ChatCompletionUserMessageParam
from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_sdk.http_retry.builtin_async_handlers import AsyncRateLimitErrorRetryHandler
from slack_sdk.web.async_client import AsyncWebClient

_QUESTION: ChatCompletionUserMessageParam = {
    "role": "user",
    "content": "How do I reset my password?",
}


async def _main() -> None:
    """Runs the bot until it is killed."""
    client = AsyncWebClient(os.environ["SLACK_BOT_TOKEN"], base_url=os.environ["SLACK_API_URL"])
    client.retry_handlers.append(AsyncRateLimitErrorRetryHandler(max_retry_count=20))
    app = AsyncApp(client=client)
    model = AsyncOpenAI(base_url=os.environ["OPENAI_BASE_URL"], api_key="bench", max_retries=0)

    @app.event("app_mention")
    async def answer(event: dict[str, str], client: AsyncWebClient) -> None:
        stream = await client.chat_stream(
            channel=event["channel"],
            thread_ts=event["ts"],
            recipient_team_id="T1",
            recipient_user_id=event["user"],
        )
        is_first = True
        pieces = await model.chat.completions.create(
            model="base", messages=[_QUESTION], stream=True
        )
        async for piece in pieces:
            text = piece.choices[0].delta.content if piece.choices else None
            if not text:
                continue
            if is_first:
                is_first = False
                await stream.append(chunks=[{"type": "markdown_text", "text": text}])
            else:
                await stream.append(markdown_text=text)
        await stream.stop()

    @app.event("message")
    async def ignore() -> None:
        """No-op handler: a message that mentions the bot is also an `app_mention`."""

    handler = AsyncSocketModeHandler(app, os.environ["SLACK_APP_TOKEN"])
    connect: Callable[[], Awaitable[None]] = handler.connect_async
    await connect()
    print("listening", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_main())
