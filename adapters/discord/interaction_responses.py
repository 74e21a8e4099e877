"""Responses to interactions, which are due within three seconds and possible for 15 minutes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto

from adapters.discord.api_port import (
    CALLBACK_PATH,
    FOLLOW_UP_MESSAGE_PATH,
    FOLLOW_UP_PATH,
    Api,
    Ids,
    Json,
    error_code,
)
from adapters.discord.embeds_and_modals import EPHEMERAL_FLAG, Payload
from adapters.discord.payload_parsing import MESSAGE_COMPONENT, Bot, InteractionHandle
from bot.domain import EPHEMERAL_ID_PREFIX, MessageId
from bot.errors import MessageGone, SurfaceError

log = logging.getLogger(__name__)

# https://docs.discord.com/developers/interactions/receiving-and-responding
MESSAGE, DEFERRED, DEFERRED_UPDATE, UPDATE, CHOICES, FORM = 4, 5, 6, 7, 8, 9
_RESPONSE_SECONDS = 2.7
_TOKEN_SECONDS = 14.5 * 60
_ORIGINAL = "@original"
_ACKNOWLEDGED = 40060


class ResponseState(Enum):
    """Which response an interaction has had."""

    NEW = auto()
    DEFERRED = auto()
    DEFERRED_UPDATE = auto()
    RESPONDED = auto()


@dataclass(slots=True)
class InteractionContext:
    """The state of an interaction, or of another event, in this process.

    `source` is the id of the message that the event comes from.
    """

    interaction: InteractionHandle | None
    received_at: float
    source: str | None = None
    locale: str = "en"
    state: ResponseState = ResponseState.NEW
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class Interactions:
    """Responds to interactions in the way that their state allows.

    Raises MessageGone if it is too late.
    """

    def __init__(self, api: Api, bot: Callable[[], Bot], now: Callable[[], float]) -> None:
        self._api = api
        self._bot = bot
        self._now = now

    async def respond(
        self, context: InteractionContext, payloads: Sequence[Payload], *, private: bool
    ) -> MessageId:
        """Sends a reply as the first response, in place of the deferred one, or as a follow-up."""
        first, *more = payloads
        flags = EPHEMERAL_FLAG if private else 0
        async with context.lock:
            message = await self._send_first(context, first, flags)
            for payload in more:
                await self._follow_up(context, payload, flags)
        return MessageId(f"{EPHEMERAL_ID_PREFIX}{message}") if private else message

    async def update_message(self, context: InteractionContext, payload: Payload) -> None:
        """Edits the message whose button was clicked."""
        async with context.lock:
            if context.state is ResponseState.NEW:
                await self._respond(context, UPDATE, payload.body(), payload)
                context.state = ResponseState.DEFERRED_UPDATE
            elif context.state is ResponseState.DEFERRED_UPDATE:
                await self._edit(context, _ORIGINAL, payload)
            else:
                raise MessageGone

    async def show(self, context: InteractionContext, modal: Json) -> bool:
        """Opens a form, which must be the first response; returns whether it was opened."""
        async with context.lock:
            is_fresh = context.interaction is not None and self._age(context) < _RESPONSE_SECONDS
            if context.state is not ResponseState.NEW or not is_fresh:
                return False
            try:
                await self._respond(context, FORM, modal)
            except SurfaceError as error:
                log.info("A form could not be opened", extra={"why": error_code(error)})
                return False
            context.state = ResponseState.RESPONDED
            return True

    async def send_choices(self, handle: InteractionHandle, choices: Sequence[Json]) -> None:
        """Sends the choices of an autocomplete interaction."""
        body = {"type": CHOICES, "data": {"choices": list(choices)}}
        await self._api.call(
            "POST", CALLBACK_PATH, _callback(handle), body=body, priority=None, patience=0
        )

    async def defer(self, context: InteractionContext) -> None:
        """Sends a deferred response if there is no response yet."""
        async with context.lock:
            if context.state is not ResponseState.NEW:
                return
            assert context.interaction is not None
            is_click = context.interaction.kind == MESSAGE_COMPONENT
            deferred = {} if context.interaction.has_public_response else {"flags": EPHEMERAL_FLAG}
            kind, data = (DEFERRED_UPDATE, None) if is_click else (DEFERRED, deferred)
            try:
                await self._respond(context, kind, data)
            except SurfaceError as error:
                log.warning(
                    "An interaction was answered too late", extra={"why": error_code(error)}
                )
                return
            context.state = ResponseState.DEFERRED_UPDATE if is_click else ResponseState.DEFERRED

    async def finish(self, context: InteractionContext) -> None:
        """Deletes the deferred response if nothing was answered."""
        await self.defer(context)
        async with context.lock:
            if context.state is not ResponseState.DEFERRED:
                return
            context.state = ResponseState.RESPONDED
            with contextlib.suppress(SurfaceError):
                await self._delete_original(context)

    async def edit(self, context: InteractionContext, message: str, payload: Payload) -> None:
        """Edits a message that was sent in response, by its id."""
        await self._edit(context, message.removeprefix(EPHEMERAL_ID_PREFIX), payload)

    def is_alive(self, context: InteractionContext) -> bool:
        """Whether the interaction's token can still be used."""
        return context.interaction is not None and self._age(context) < _TOKEN_SECONDS

    async def _send_first(
        self, context: InteractionContext, payload: Payload, flags: int
    ) -> MessageId:
        if context.state is ResponseState.NEW:
            answer = await self._respond(context, MESSAGE, payload.body(flags=flags), payload)
            context.state = ResponseState.RESPONDED
            return await self._id_of(context, answer)
        assert context.interaction is not None
        if (
            context.state is ResponseState.DEFERRED
            and bool(flags) is not context.interaction.has_public_response
        ):
            answer = await self._edit(context, _ORIGINAL, payload)
            context.state = ResponseState.RESPONDED
            return MessageId(str(answer.get("id") or _ORIGINAL))
        if context.state is ResponseState.DEFERRED:
            # A deferred response keeps its visibility; it cannot be changed later.
            context.state = ResponseState.RESPONDED
            with contextlib.suppress(SurfaceError):
                await self._delete_original(context)
        return await self._follow_up(context, payload, flags)

    async def _id_of(self, context: InteractionContext, answer: Json) -> MessageId:
        """Returns the id of the first response; asks for it if the response object lacks it."""
        message = (answer.get("resource") or {}).get("message") or {}
        if not message.get("id"):
            with contextlib.suppress(SurfaceError):
                at = self._webhook(context, _ORIGINAL)
                message = await self._api.call("GET", FOLLOW_UP_MESSAGE_PATH, at, priority=None)
        return MessageId(str(message.get("id") or _ORIGINAL))

    async def _respond(
        self,
        context: InteractionContext,
        kind: int,
        data: Json | None,
        payload: Payload | None = None,
    ) -> Json:
        assert context.interaction is not None
        body: Json = {"type": kind}
        if data is not None:
            body["data"] = data
        files = payload.files if payload else ()
        try:
            return await self._api.call(
                "POST",
                CALLBACK_PATH,
                _callback(context.interaction),
                body=body,
                query={"with_response": "true"},
                files=files,
                priority=None,
                patience=1,
            )
        except SurfaceError as error:
            # An earlier try without a response has reached Discord.
            if error_code(error) != _ACKNOWLEDGED:
                raise
            return {}

    async def _follow_up(
        self, context: InteractionContext, payload: Payload, flags: int
    ) -> MessageId:
        self._refuse_late(context)
        posted = await self._api.call(
            "POST",
            FOLLOW_UP_PATH,
            self._webhook(context),
            body=payload.body(flags=flags),
            query={"wait": "true"},
            files=payload.files,
            priority=None,
        )
        return MessageId(str(posted.get("id") or ""))

    async def _edit(self, context: InteractionContext, message: str, payload: Payload) -> Json:
        self._refuse_late(context)
        at = self._webhook(context, message)
        body = payload.body()
        body.pop("flags", None)
        return await self._api.call(
            "PATCH", FOLLOW_UP_MESSAGE_PATH, at, body=body, files=payload.files, priority=None
        )

    async def _delete_original(self, context: InteractionContext) -> None:
        await self._api.call(
            "DELETE", FOLLOW_UP_MESSAGE_PATH, self._webhook(context, _ORIGINAL), priority=None
        )

    def _refuse_late(self, context: InteractionContext) -> None:
        if not self.is_alive(context):
            raise MessageGone

    def _webhook(self, context: InteractionContext, message: str = "") -> Ids:
        assert context.interaction is not None
        ids = {"webhook_id": self._bot().application, "webhook_token": context.interaction.token}
        return {**ids, "message_id": message} if message else ids

    def _age(self, context: InteractionContext) -> float:
        return self._now() - context.received_at


def _callback(handle: InteractionHandle) -> Ids:
    return {"interaction_id": handle.id, "interaction_token": handle.token}
