"""Posts and edits whole replies: one post for a key, also if an earlier outcome is unknown."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from adapters.chart_image import draw_chart
from adapters.slack import block_kit
from adapters.slack.api_port import Api, error_code, posted_ts
from adapters.slack.block_kit import Payload
from adapters.slack.posted_before_crash import PostedMessages
from bot.domain import MessageId
from bot.errors import PlaceClosed, SurfaceError
from bot.replies import Card, Drawn

log = logging.getLogger(__name__)


class Posts:
    """Posts and edits replies.

    `is_first` returns whether no message with a key can exist, so that no search is needed.
    """

    def __init__(
        self, api: Api, posted_messages: PostedMessages, *, is_first: Callable[[str], bool]
    ) -> None:
        self._api = api
        self._posted_messages = posted_messages
        self._is_first = is_first

    async def post(
        self, channel: str, thread: MessageId | None, reply: Drawn, key: str
    ) -> MessageId:
        """Posts a reply in as many messages as needed, or edits the messages with this key."""
        payloads = block_kit.reply_payloads(reply)
        posted = await self._posted_before(channel, thread, key)
        if posted is not None:
            await self.edit(channel, thread, posted, reply)
            message = posted
        else:
            message = await self._send_unless_posted(channel, thread, payloads[0], key)
            await self._post_rest(channel, thread, message, payloads[1:], may_exist=False)
        if isinstance(reply, Card) and reply.chart:
            chart_thread = thread or message
            if posted is None or not await self._posted_messages.has_file(
                channel, chart_thread, after=message
            ):
                await self._send_chart(channel, chart_thread, reply)
        return message

    async def edit(
        self, channel: str, thread: MessageId | None, message: MessageId, reply: Drawn
    ) -> None:
        """Edits a reply, including the messages that continue it."""
        first, *more = block_kit.reply_payloads(reply)
        args = {"channel": channel, "ts": message, "text": first.text, "blocks": first.blocks}
        await self._api.call("chat.update", args)
        await self._post_rest(channel, thread, message, more, may_exist=True)

    async def _post_rest(
        self,
        channel: str,
        thread: MessageId | None,
        first: MessageId,
        rest: Sequence[Payload],
        *,
        may_exist: bool,
    ) -> None:
        """Posts or edits the messages that continue the first one; each is posted once."""
        for number, payload in enumerate(rest, 1):
            key, continuation_thread = f"{first}/{number}", thread or first
            posted = (
                await self._find_or_none(channel, continuation_thread, key) if may_exist else None
            )
            if posted is None:
                await self._send_unless_posted(channel, continuation_thread, payload, key)
                continue
            args = {"channel": channel, "ts": posted, "text": payload.text}
            await self._api.call("chat.update", {**args, "blocks": payload.blocks})

    async def _send_unless_posted(
        self, channel: str, thread: MessageId | None, payload: Payload, key: str
    ) -> MessageId:
        """Posts a message; searches for it before another try if the outcome is unknown."""
        with_key = {"metadata": block_kit.post_metadata(key)}
        for attempt in range(3):
            try:
                return await self._send(channel, thread, payload, with_key)
            except SurfaceError as error:
                if not error.details.get("is_unknown") or attempt == 2:
                    raise
                await asyncio.sleep(0.3 * 2**attempt)
                posted = await self._find(channel, thread, key)
                if posted is not None:
                    return posted
        raise SurfaceError(message="unreachable")

    async def _send(
        self, channel: str, thread: MessageId | None, payload: Payload, more: Mapping[str, object]
    ) -> MessageId:
        args: dict[str, object] = {
            "channel": channel,
            "text": payload.text,
            "blocks": payload.blocks,
            "unfurl_links": False,
            "unfurl_media": False,
            **more,
        }
        if thread is not None:
            args["thread_ts"] = thread
        response = await self._api.call(
            "chat.postMessage", args, channel=channel, is_repeatable=not more
        )
        return MessageId(posted_ts(response))

    async def _posted_before(
        self, channel: str, thread: MessageId | None, key: str
    ) -> MessageId | None:
        """Returns the message with the key.

        Searches only if an earlier process may have posted it.
        """
        return None if self._is_first(key) else await self._find_or_none(channel, thread, key)

    async def _find_or_none(
        self, channel: str, thread: MessageId | None, key: str
    ) -> MessageId | None:
        """Returns the message with the key; None also if this server does not allow the search."""
        try:
            return await self._find(channel, thread, key)
        except PlaceClosed:
            raise
        except SurfaceError as error:
            log.warning("Earlier posts cannot be looked up", extra={"why": error_code(error)})
            return None

    async def _find(self, channel: str, thread: MessageId | None, key: str) -> MessageId | None:
        ts = await self._posted_messages.find(channel, thread, key)
        return None if ts is None else MessageId(ts)

    async def _send_chart(self, channel: str, thread: MessageId, card: Card) -> None:
        """Uploads a chart below its message.

        An error is only logged, as the message is complete.
        """
        if card.chart is None:
            return
        try:
            picture = await asyncio.to_thread(draw_chart, card.chart)
            summary = card.chart.summary
            await self._api.upload(
                channel, "chart.png", picture, comment="", thread=thread, alt=summary
            )
        except SurfaceError as error:
            log.warning("A chart could not be uploaded", extra={"why": error_code(error)})
