"""Where an answer is written: in a channel with the bot's own hand, or in reply to `/ask`."""

from __future__ import annotations

import contextlib

from adapters.discord.api import MESSAGE, MESSAGES, Api
from adapters.discord.interactions import InteractionContext, Interactions
from adapters.discord.outbound import Payload, nonce
from adapters.discord.pacing import Priority
from bot.domain import MessageId
from bot.errors import MessageGone

_KEPT_FOR_ENDS = 1


class ChannelWriter:
    """Posts carry a nonce, so that a try of unknown outcome can be made again."""

    def __init__(self, wire: Api, channel: str, key: str, source: str | None) -> None:
        self._wire = wire
        self._channel = channel
        self._key = key
        self._source = source

    async def write(self, payload: Payload, number: int) -> MessageId:
        name = f"{self._key}.{number}"
        body = {**payload.body(), "nonce": nonce(name), "enforce_nonce": True}
        if number == 0 and self._source and self._source.isdecimal():
            reference = {"message_id": self._source, "fail_if_not_exists": False}
            body["message_reference"] = reference
        posted = await self._wire.call(
            "POST", MESSAGES, {"channel_id": self._channel}, body=body, haste=Priority.FIRST_WORDS
        )
        message = MessageId(str(posted["id"]))
        if str(posted.get("content") or payload.content).strip() != payload.content.strip():
            await self.rewrite(message, payload, Priority.LAST_WORDS)
        return message

    async def rewrite(self, message: MessageId, payload: Payload, haste: Priority) -> None:
        body = payload.body()
        await self._wire.call("PATCH", MESSAGE, self._at(message), body=body, haste=haste)

    def may_show(self) -> bool:
        left = self._wire.left("PATCH", MESSAGE, {"channel_id": self._channel, "message_id": "0"})
        has_left = left is None or left > _KEPT_FOR_ENDS
        return (
            has_left and self._wire.pacing.has_room() and self._wire.pacing.may_edit(self._channel)
        )

    def _at(self, message: MessageId) -> dict[str, str]:
        return {"channel_id": self._channel, "message_id": message}


class InteractionWriter:
    """The whole answer belongs to the interaction, also where the bot is no member.

    Once a part had to go to the channel, all that follows goes there.
    """

    def __init__(
        self, interactions: Interactions, grip: InteractionContext, late: ChannelWriter
    ) -> None:
        self._interactions = interactions
        self._grip = grip
        self._late = late
        self._in_channel: set[MessageId] = set()

    async def write(self, payload: Payload, number: int) -> MessageId:
        if not self._in_channel:
            with contextlib.suppress(MessageGone):
                return await self._interactions.tell(self._grip, [payload], private=False)
        message = await self._late.write(payload, number)
        self._in_channel.add(message)
        return message

    async def rewrite(self, message: MessageId, payload: Payload, haste: Priority) -> None:
        """After a quarter of an hour the message is the bot's own like any other."""
        if message in self._in_channel or not self._interactions.is_alive(self._grip):
            await self._late.rewrite(message, payload, haste)
            return
        await self._interactions.edit(self._grip, message, payload)

    def may_show(self) -> bool:
        return not self._in_channel or self._late.may_show()
