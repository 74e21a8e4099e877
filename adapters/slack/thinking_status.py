"""The status “is thinking …” in a thread until the first words of an answer are posted."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable

from adapters.slack.api_port import Api, error_code
from bot.errors import SurfaceError

log = logging.getLogger(__name__)

_DELAY_SECONDS = 0.7
_CLEAR_SECONDS = 2.0


@contextlib.asynccontextmanager
async def thinking_status(
    api: Api, channel: str, thread: str | None, text: str
) -> AsyncGenerator[Callable[[], None]]:
    """Shows the status after a moment, until the yielded function is called.

    Slack removes a status once a message is posted. For an answer that ended without one, because
    it was stopped or its host failed, the status is removed here, also if the request that shows it
    was under way when the message was posted.
    https://docs.slack.dev/reference/methods/assistant.threads.setStatus
    """
    shown: list[str] = []

    async def show() -> None:
        await asyncio.sleep(_DELAY_SECONDS)
        if thread is not None:
            shown.append(thread)
            await _set_status(api, channel, thread, text)

    showing = asyncio.create_task(show(), name="slack status")

    def end() -> None:
        # A request that is under way may reach Slack after the message, and then the status stays.
        if showing.done() and not showing.cancelled():
            shown.clear()
        showing.cancel()

    try:
        yield end
    finally:
        showing.cancel()
        if shown:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLEAR_SECONDS):
                    await _set_status(api, channel, shown[0], "")


async def _set_status(api: Api, channel: str, thread: str, text: str) -> None:
    args = {"channel_id": channel, "thread_ts": thread, "status": text}
    try:
        await api.call("assistant.threads.setStatus", args, patience=0)
    except SurfaceError as error:
        log.info("A status could not be set", extra={"why": error_code(error)})
