"""Writes the messages of an answer to Discord, in a channel or in response to `/ask`."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

from adapters.discord.api_port import MESSAGE_PATH, MESSAGES_PATH, Api, Json
from adapters.discord.embeds_and_modals import Payload, answer_payload, post_nonce
from adapters.discord.interaction_responses import InteractionContext, Interactions
from adapters.discord.rate_limits import Priority
from adapters.discord.text_escaping import MAX_TEXT_LENGTH
from adapters.streamed_answer import AnswerButtons, AnswerMessage
from bot.domain import MessageId
from bot.errors import MessageGone
from bot.replies import Button

_FIRST_PAUSE_SECONDS = 0.4
_PAUSE_SECONDS = 1.1
_RESERVED_CALLS = 1


class ChannelWriter:
    """Implements `MessageWriter` for a channel; a nonce makes it safe to repeat a post."""

    longest = MAX_TEXT_LENGTH

    def __init__(
        self,
        api: Api,
        channel: str,
        key: str,
        source: str | None,
        *,
        while_written: Sequence[Button] = (),
    ) -> None:
        self._api = api
        self._channel = channel
        self._key = key
        self._source = source
        self._while_written = while_written

    def may_show_first_words(self) -> bool:
        return True

    async def find_posted(self, number: int) -> MessageId | None:
        """Returns None: Discord returns the posted message when the same nonce is posted again."""
        return None

    async def post(self, number: int, text: str, buttons: AnswerButtons | None) -> MessageId:
        return await self._post(number, self._payload(text, buttons))

    async def replace(
        self, message: MessageId, number: int, text: str, buttons: AnswerButtons | None
    ) -> None:
        await self._edit(message, self._payload(text, buttons), Priority.FIRST_WORDS)

    def write_interval(self, message: AnswerMessage) -> float:
        return _PAUSE_SECONDS if message.edits else _FIRST_PAUSE_SECONDS

    def may_extend(self, message: AnswerMessage) -> bool:
        calls_left = self._api.calls_left(
            "PATCH", MESSAGE_PATH, {"channel_id": self._channel, "message_id": "0"}
        )
        has_calls = calls_left is None or calls_left > _RESERVED_CALLS
        pacing = self._api.pacing
        return has_calls and pacing.has_spare_calls() and pacing.claim_progress_edit(self._channel)

    def is_expiring(self, message: AnswerMessage) -> bool:
        return False

    async def extend(self, message: AnswerMessage, text: str) -> None:
        await self._edit(message.id, self._payload(text), Priority.PROGRESS)

    async def finish(
        self, message: AnswerMessage, text: str, buttons: AnswerButtons | None
    ) -> None:
        if self._while_written or text != message.text or (buttons and buttons.buttons):
            final = buttons or AnswerButtons((), None)
            await self._edit(message.id, self._payload(text, final), Priority.LAST_WORDS)

    def _payload(self, text: str, buttons: AnswerButtons | None = None) -> Payload:
        """Returns the payload of a part, with the stop button unless the answer ends there."""
        if buttons is not None:
            return answer_payload(text, buttons.buttons, buttons.first_message)
        return answer_payload(text, self._while_written)

    async def _post(self, number: int, payload: Payload) -> MessageId:
        key = post_nonce(f"{self._key}.{number}")
        body = {**payload.body(), "nonce": key, "enforce_nonce": True}
        if number == 0 and self._source and self._source.isdecimal():
            reference = {"message_id": self._source, "fail_if_not_exists": False}
            body["message_reference"] = reference
        posted = await self._api.call(
            "POST",
            MESSAGES_PATH,
            {"channel_id": self._channel},
            body=body,
            priority=Priority.FIRST_WORDS,
        )
        message = MessageId(str(posted["id"]))
        if _differs(posted, payload):
            await self._edit(message, payload, Priority.LAST_WORDS)
        return message

    async def _edit(self, message: MessageId, payload: Payload, priority: Priority) -> None:
        at = {"channel_id": self._channel, "message_id": message}
        await self._api.call("PATCH", MESSAGE_PATH, at, body=payload.body(), priority=priority)


class InteractionWriter(ChannelWriter):
    """Writes through the interaction, which also works where the bot is not a member.

    Once a message had to be posted to the channel, the following ones are posted there too.
    """

    def __init__(
        self,
        api: Api,
        channel: str,
        key: str,
        *,
        interactions: Interactions,
        context: InteractionContext,
        while_written: Sequence[Button] = (),
    ) -> None:
        super().__init__(api, channel, key, None, while_written=while_written)
        self._interactions = interactions
        self._context = context
        self._in_channel: set[MessageId] = set()

    def may_extend(self, message: AnswerMessage) -> bool:
        return not self._in_channel or super().may_extend(message)

    async def _post(self, number: int, payload: Payload) -> MessageId:
        if not self._in_channel:
            with contextlib.suppress(MessageGone):
                handle = self._context.interaction
                is_alone = handle is not None and handle.is_user_install
                return await self._interactions.respond(self._context, [payload], private=is_alone)
        message = await super()._post(number, payload)
        self._in_channel.add(message)
        return message

    async def _edit(self, message: MessageId, payload: Payload, priority: Priority) -> None:
        """Edits a message through the interaction, or as the bot once the token has expired."""
        if message in self._in_channel or not self._interactions.is_alive(self._context):
            await super()._edit(message, payload, priority)
            return
        await self._interactions.edit(self._context, message, payload)


def _differs(posted: Json, payload: Payload) -> bool:
    """Whether an earlier attempt has posted other content under the nonce."""
    content = str(posted.get("content") or payload.content)
    has_buttons = bool(posted.get("components"))
    is_same = content.strip() == payload.content.strip()
    return not is_same or has_buttons is not bool(payload.components)
