"""Direct messages: finds the guild that answers each one and lets the person choose it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

from adapters.discord.api_port import Json
from adapters.discord.direct_guild_choices import (
    SERVER_BUTTON_PREFIX,
    DirectGuildChoices,
    GuildChoice,
    split_off_guild,
)
from adapters.discord.guild_cache import GuildCache
from adapters.discord.interaction_responses import InteractionContext
from adapters.discord.payload_parsing import EventContext
from adapters.discord.surface import DiscordSurface
from bot.domain import ChannelId, ChannelKind, Place, WorkspaceId
from bot.domain.ids import id_on_platform
from bot.errors import SurfaceError
from bot.events import Event
from bot.replies import Button, Text

_MAX_ASKED_USERS = 10_000
_MAX_BUTTONS = 25
_NO_WORKSPACE = "discord:"


@dataclass(frozen=True, slots=True)
class PayloadInGuild:
    """A payload with the context of the guild it is handled in."""

    data: Json
    context: EventContext


@dataclass(frozen=True, slots=True)
class ResolvedPayload:
    """The result of finding a payload's guild; `waiting` are messages that can be handled now."""

    found: PayloadInGuild | None = None
    former_guild: str | None = None
    waiting: Sequence[Json] = ()


class DirectMessages:
    """Finds the guild of each payload from a direct message.

    Methods raise SurfaceError if Discord does not return a membership; the event is then retried.
    """

    def __init__(
        self,
        surface: DiscordSurface,
        directory: GuildCache,
        directs: DirectGuildChoices,
        say: Callable[..., str],
    ) -> None:
        self._surface = surface
        self._directory = directory
        self._directs = directs
        self._say = say
        self._asked: dict[str, None] = {}
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def resolve_message(self, name: str, data: Json, user: str) -> ResolvedPayload:
        """Finds the guild of a message or reaction; replies to a message why there is none."""
        # One message of a user at a time, so that the question names the first one that waits.
        async with self._locks.setdefault(user, asyncio.Lock()):
            choice = await self._directs.choice_of(user)
            if choice.guild is None:
                if name == "MESSAGE_CREATE":
                    await self._ask_for_guild(data, choice, user)
                return ResolvedPayload(former_guild=choice.former_guild)
        if choice.former_guild is not None and name == "MESSAGE_CREATE":
            await self._post_reply(
                data, Text(await self._text_with_guild("discord.server_lost", choice.guild))
            )
        return ResolvedPayload(await self._in_guild(data, choice, user), choice.former_guild)

    async def resolve_for_all_guilds(self, data: Json, user: str) -> Sequence[PayloadInGuild]:
        """Returns an edit or deletion once for each guild that the person has ever chosen."""
        channel = str(data.get("channel_id") or "")
        guilds = await self._directs.guilds_ever_chosen(user)
        return [
            PayloadInGuild(data, await self._directory.direct_context(channel, guild, user, {}))
            for guild in guilds
        ]

    async def resolve_interaction(
        self, context: InteractionContext, data: Json, user: str
    ) -> ResolvedPayload:
        """Finds the guild of an interaction, or stores the guild that the interaction chooses."""
        data, marked_guild = split_off_guild(data)
        action = str((data.get("data") or {}).get("custom_id") or "")
        try:
            if action.startswith(SERVER_BUTTON_PREFIX) or _selected_value(data).startswith(
                SERVER_BUTTON_PREFIX
            ):
                return await self._switch(context, data, user)
            if marked_guild is not None:
                choice = await self._directs.of_guild(marked_guild, user)
            else:
                choice = await self._directs.choice_of(user)
        except SurfaceError:
            await self._reply(context, "discord.unknown_server")
            return ResolvedPayload()
        if choice.guild is None:
            await self._reply_without_guild(context, choice, is_named=marked_guild is not None)
            return ResolvedPayload(former_guild=marked_guild or choice.former_guild)
        return ResolvedPayload(await self._in_guild(data, choice, user), choice.former_guild)

    async def explain_unknown_guild(self, data: Json) -> None:
        """Replies that Discord did not return which guilds the person is in."""
        await self._post_reply(data, Text(self._say("discord.unknown_server")))

    async def answering_guild_note(self, event: Event) -> Text | None:
        """Returns a note naming the answering guild, with buttons for the other shared guilds."""
        answering = id_on_platform(event.place.workspace)
        text = self._say(
            "discord.server_here", event.locale, name=await self._directory.name_of(answering)
        )
        try:
            shared = await self._directs.shared_guilds(event.user.id)
        except SurfaceError:
            return Text(text)
        others = [guild for guild in shared if guild != answering]
        return Text(text, buttons=await self._buttons(others))

    async def _in_guild(self, data: Json, choice: GuildChoice, user: str) -> PayloadInGuild:
        assert choice.guild is not None
        channel = str(data.get("channel_id") or "")
        context = await self._directory.direct_context(channel, choice.guild, user, choice.member)
        return PayloadInGuild({**data, "member": choice.member}, context)

    async def _ask_for_guild(self, data: Json, choice: GuildChoice, user: str) -> None:
        """Asks once which guild shall answer; later messages wait in the channel for the choice."""
        if not choice.shared_guilds:
            await self._post_reply(data, Text(self._say("discord.no_guild")))
            return
        if user in self._asked:
            return
        self._remember_asked(user)
        try:
            buttons = await self._buttons(choice.shared_guilds, first=str(data["id"]))
            await self._post_reply(data, Text(self._say("discord.choose_server"), buttons=buttons))
        except SurfaceError:
            self._asked.pop(user, None)
            raise

    async def _switch(self, context: InteractionContext, data: Json, user: str) -> ResolvedPayload:
        inner = data.get("data") or {}
        action = _selected_value(data) or str(inner.get("custom_id"))
        guild, _, first = action.removeprefix(SERVER_BUTTON_PREFIX).partition(":")
        before = await self._directs.chosen_guild(user)
        choice = await self._directs.choose(guild, user)
        if choice.guild is None:
            await self._reply(context, "discord.not_in_server")
            return ResolvedPayload(former_guild=guild if before == guild else None)
        self._asked.pop(user, None)
        text = await self._text_with_guild("discord.server_chosen", guild, context.locale)
        await self._surface.tell(context, Text(text, private=True))
        # With a guild chosen before, no messages wait for this choice.
        is_waiting = before is None and first
        return ResolvedPayload(
            waiting=await self._messages_since(data, first, user) if is_waiting else ()
        )

    async def _messages_since(self, data: Json, first: str, user: str) -> Sequence[Json]:
        channel = str(data.get("channel_id") or "")
        messages = await self._surface.said_since(channel, first)
        return [
            message for message in messages if str((message.get("author") or {}).get("id")) == user
        ]

    async def _reply_without_guild(
        self, context: InteractionContext, choice: GuildChoice, *, is_named: bool
    ) -> None:
        if is_named:
            await self._reply(context, "discord.not_in_server")
        elif not choice.shared_guilds:
            await self._reply(context, "discord.no_guild")
        else:
            buttons = await self._buttons(choice.shared_guilds)
            text = self._say("discord.choose_first", context.locale)
            await self._surface.tell(context, Text(text, private=True, buttons=buttons))

    async def _buttons(self, guilds: Sequence[str], *, first: str = "") -> tuple[Button, ...]:
        suffix = f":{first}" if first else ""
        shown = guilds[:_MAX_BUTTONS]
        names = [await self._directory.name_of(guild) for guild in shown]
        buttons = []
        for guild, name in zip(shown, names, strict=True):
            label = name if names.count(name) == 1 else f"{name} ({guild})"
            buttons.append(Button(label, f"{SERVER_BUTTON_PREFIX}{guild}{suffix}"))
        return tuple(buttons)

    async def _text_with_guild(self, key: str, guild: str, locale: str = "en") -> str:
        return self._say(key, locale, name=await self._directory.name_of(guild))

    async def _reply(self, context: InteractionContext, key: str) -> None:
        await self._surface.tell(context, Text(self._say(key, context.locale), private=True))

    async def _post_reply(self, data: Json, text: Text) -> None:
        """Posts a reply without a workspace; the key makes one reply for each message."""
        place = Place(
            WorkspaceId(_NO_WORKSPACE), ChannelId(str(data["channel_id"])), kind=ChannelKind.DIRECT
        )
        await self._surface.post(place, text, key=f"direct/{data['id']}")

    def _remember_asked(self, user: str) -> None:
        if len(self._asked) >= _MAX_ASKED_USERS:
            self._asked.clear()
        self._asked[user] = None


def _selected_value(data: Json) -> str:
    values = (data.get("data") or {}).get("values") or ()
    return str(values[0]) if values else ""
