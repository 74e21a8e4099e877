"""Posts and edits of whole replies: once per key, also when nobody knows whether it went out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from adapters.chart_image import draw_chart
from adapters.slack import outbound
from adapters.slack.api import Api, error_code, ts_of
from adapters.slack.outbound import Payload
from adapters.slack.posted_before_crash import PostedMessages
from bot.domain import MessageId
from bot.errors import PlaceClosed, SurfaceError
from bot.replies import Card, Drawn

log = logging.getLogger(__name__)


class Posts:
    """Posts once per key. `is_first`: no message with the key can exist, so none is sought."""

    def __init__(
        self, api: Api, posted_messages: PostedMessages, *, is_first: Callable[[str], bool]
    ) -> None:
        self._api = api
        self._posted_messages = posted_messages
        self._is_first = is_first

    async def post(
        self, channel: str, thread: MessageId | None, reply: Drawn, key: str
    ) -> MessageId:
        """Post a reply in as many messages as it needs, or edit what was posted with this key."""
        payloads = outbound.payloads(reply)
        known = await self._posted_before(channel, thread, key)
        if known is not None:
            await self.edit(channel, thread, known, reply)
            message = known
        else:
            message = await self._send_once(channel, thread, payloads[0], key)
            await self._continue(channel, thread, message, payloads[1:], may_stand=False)
        if isinstance(reply, Card) and reply.chart:
            below = thread or message
            if known is None or not await self._posted_messages.has_file(
                channel, below, after=message
            ):
                await self._send_chart(channel, below, reply)
        return message

    async def edit(
        self, channel: str, thread: MessageId | None, message: MessageId, reply: Drawn
    ) -> None:
        first, *more = outbound.payloads(reply)
        args = {"channel": channel, "ts": message, "text": first.text, "blocks": first.blocks}
        await self._api.call("chat.update", args)
        await self._continue(channel, thread, message, more, may_stand=True)

    async def _continue(
        self,
        channel: str,
        thread: MessageId | None,
        first: MessageId,
        rest: Sequence[Payload],
        *,
        may_stand: bool,
    ) -> None:
        """What one message cannot hold goes below it, each page once however often it is edited."""
        for number, payload in enumerate(rest, 1):
            key, below = f"{first}/{number}", thread or first
            known = await self._looked_up(channel, below, key) if may_stand else None
            if known is None:
                await self._send_once(channel, below, payload, key)
                continue
            args = {"channel": channel, "ts": known, "text": payload.text}
            await self._api.call("chat.update", {**args, "blocks": payload.blocks})

    async def _send_once(
        self, channel: str, thread: MessageId | None, payload: Payload, key: str
    ) -> MessageId:
        """When Slack does not say whether it posted, we look before we post again."""
        held = {"metadata": outbound.metadata(key)}
        for attempt in range(3):
            try:
                return await self._send(channel, thread, payload, held)
            except SurfaceError as error:
                if not error.details.get("is_unknown") or attempt == 2:
                    raise
                await asyncio.sleep(0.3 * 2**attempt)
                found = await self._found(channel, thread, key)
                if found is not None:
                    return found
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
        answer = await self._api.call(
            "chat.postMessage", args, channel=channel, is_repeatable=not more
        )
        return MessageId(ts_of(answer))

    async def _posted_before(
        self, channel: str, thread: MessageId | None, key: str
    ) -> MessageId | None:
        """Only what an earlier run may have posted needs looking for."""
        return None if self._is_first(key) else await self._looked_up(channel, thread, key)

    async def _looked_up(
        self, channel: str, thread: MessageId | None, key: str
    ) -> MessageId | None:
        """None also where this Slack lets nobody look."""
        try:
            return await self._found(channel, thread, key)
        except PlaceClosed:
            raise
        except SurfaceError as error:
            log.warning("Earlier posts cannot be looked up", extra={"why": error_code(error)})
            return None

    async def _found(self, channel: str, thread: MessageId | None, key: str) -> MessageId | None:
        found = await self._posted_messages.find(channel, thread, key)
        return None if found is None else MessageId(found)

    async def _send_chart(self, channel: str, thread: MessageId, card: Card) -> None:
        """A missing picture is no reason to lose the message."""
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
