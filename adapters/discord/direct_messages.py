"""Direct messages: each answered by the guild that its writer chose, which is said and switched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from weakref import WeakValueDictionary

from adapters.discord.api import Json
from adapters.discord.direct_guild_choices import (
    SERVER,
    Choice,
    DirectGuildChoices,
    split_guild_mark,
)
from adapters.discord.directory import Directory
from adapters.discord.inbound import EventContext
from adapters.discord.interactions import InteractionContext
from adapters.discord.surface import DiscordSurface
from bot.domain import ChannelId, ChannelKind, Place, WorkspaceId
from bot.domain.ids import id_on_platform
from bot.errors import SurfaceError
from bot.events import Event
from bot.replies import Button, Text

_MOST_ASKED = 10_000
_MOST_BUTTONS = 25
_NOWHERE = "discord:"


@dataclass(frozen=True, slots=True)
class PayloadInGuild:
    """A payload, as of the place it belongs to."""

    data: Json
    context: EventContext


@dataclass(frozen=True, slots=True)
class ResolvedPayload:
    """What became of a payload; `waiting` are messages that can be answered now."""

    found: PayloadInGuild | None = None
    former_guild: str | None = None
    waiting: Sequence[Json] = ()


class DirectMessages:
    """Raises SurfaceError where Discord does not tell, so that what was said is tried again."""

    def __init__(
        self,
        surface: DiscordSurface,
        directory: Directory,
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
        """A message or reaction; where nobody can answer yet, a message is told why."""
        # In their order, so that the question names the first of those that wait.
        async with self._locks.setdefault(user, asyncio.Lock()):
            choice = await self._directs.choice_of(user)
            if choice.guild is None:
                if name == "MESSAGE_CREATE":
                    await self._ask(data, choice, user)
                return ResolvedPayload(former_guild=choice.former_guild)
        if choice.former_guild is not None and name == "MESSAGE_CREATE":
            await self._post(data, Text(await self._named("discord.server_lost", choice.guild)))
        return ResolvedPayload(await self._as_found(data, choice, user), choice.former_guild)

    async def resolve_for_all_guilds(self, data: Json, user: str) -> Sequence[PayloadInGuild]:
        """An edit or deletion is news for every guild that was ever talked to."""
        channel = str(data.get("channel_id") or "")
        guilds = await self._directs.guilds_ever_chosen(user)
        return [
            PayloadInGuild(data, await self._directory.direct_context(channel, guild, user, {}))
            for guild in guilds
        ]

    async def resolve_interaction(
        self, context: InteractionContext, data: Json, user: str
    ) -> ResolvedPayload:
        """An interaction: a choice itself, or something for the guild it names or that answers."""
        data, named = split_guild_mark(data)
        action = str((data.get("data") or {}).get("custom_id") or "")
        try:
            if action.startswith(SERVER) or _chosen(data).startswith(SERVER):
                return await self._switch(context, data, user)
            if named is not None:
                choice = await self._directs.of_guild(named, user)
            else:
                choice = await self._directs.choice_of(user)
        except SurfaceError:
            await self._tell(context, "discord.unknown_server")
            return ResolvedPayload()
        if choice.guild is None:
            await self._tell_missing(context, choice, is_named=named is not None)
            return ResolvedPayload(former_guild=named or choice.former_guild)
        return ResolvedPayload(await self._as_found(data, choice, user), choice.former_guild)

    async def say_unknown(self, data: Json) -> None:
        await self._post(data, Text(self._say("discord.unknown_server")))

    async def answering_guild_note(self, event: Event) -> Text | None:
        """Which server answers here, and the others that could."""
        guild = id_on_platform(event.place.workspace)
        text = self._say(
            "discord.server_here", event.locale, name=await self._directory.name_of(guild)
        )
        try:
            shared = await self._directs.shared_guilds(event.user.id)
        except SurfaceError:
            return Text(text)
        others = [one for one in shared if one != guild]
        return Text(text, buttons=await self._buttons(others))

    async def _as_found(self, data: Json, choice: Choice, user: str) -> PayloadInGuild:
        assert choice.guild is not None
        channel = str(data.get("channel_id") or "")
        around = await self._directory.direct_context(channel, choice.guild, user, choice.member)
        return PayloadInGuild({**data, "member": choice.member}, around)

    async def _ask(self, data: Json, choice: Choice, user: str) -> None:
        """Once; what is said until then waits in the channel for the answer."""
        if not choice.shared_guilds:
            await self._post(data, Text(self._say("discord.no_guild")))
            return
        if user in self._asked:
            return
        self._remember(user)
        try:
            buttons = await self._buttons(choice.shared_guilds, first=str(data["id"]))
            await self._post(data, Text(self._say("discord.choose_server"), buttons=buttons))
        except SurfaceError:
            self._asked.pop(user, None)
            raise

    async def _switch(self, context: InteractionContext, data: Json, user: str) -> ResolvedPayload:
        inner = data.get("data") or {}
        action = _chosen(data) or str(inner.get("custom_id"))
        guild, _, first = action.removeprefix(SERVER).partition(":")
        before = await self._directs.chosen_guild(user)
        choice = await self._directs.choose(guild, user)
        if choice.guild is None:
            await self._tell(context, "discord.not_in_server")
            return ResolvedPayload(former_guild=guild if before == guild else None)
        self._asked.pop(user, None)
        text = await self._named("discord.server_chosen", guild, context.locale)
        await self._surface.tell(context, Text(text, private=True))
        # Whoever only switches has been answered already.
        waits = before is None and first
        return ResolvedPayload(waiting=await self._since(data, first, user) if waits else ())

    async def _since(self, data: Json, first: str, user: str) -> Sequence[Json]:
        channel = str(data.get("channel_id") or "")
        said = await self._surface.said_since(channel, first)
        return [one for one in said if str((one.get("author") or {}).get("id")) == user]

    async def _tell_missing(
        self, context: InteractionContext, choice: Choice, *, is_named: bool
    ) -> None:
        if is_named:
            await self._tell(context, "discord.not_in_server")
        elif not choice.shared_guilds:
            await self._tell(context, "discord.no_guild")
        else:
            buttons = await self._buttons(choice.shared_guilds)
            text = self._say("discord.choose_first", context.locale)
            await self._surface.tell(context, Text(text, private=True, buttons=buttons))

    async def _buttons(self, guilds: Sequence[str], *, first: str = "") -> tuple[Button, ...]:
        end = f":{first}" if first else ""
        shown = guilds[:_MOST_BUTTONS]
        names = [await self._directory.name_of(guild) for guild in shown]
        buttons = []
        for guild, name in zip(shown, names, strict=True):
            label = name if names.count(name) == 1 else f"{name} ({guild})"
            buttons.append(Button(label, f"{SERVER}{guild}{end}"))
        return tuple(buttons)

    async def _named(self, key: str, guild: str, locale: str = "en") -> str:
        return self._say(key, locale, name=await self._directory.name_of(guild))

    async def _tell(self, context: InteractionContext, key: str) -> None:
        await self._surface.tell(context, Text(self._say(key, context.locale), private=True))

    async def _post(self, data: Json, text: Text) -> None:
        """Of no workspace, and once for each message that it answers."""
        place = Place(
            WorkspaceId(_NOWHERE), ChannelId(str(data["channel_id"])), kind=ChannelKind.DIRECT
        )
        await self._surface.post(place, text, key=f"direct/{data['id']}")

    def _remember(self, user: str) -> None:
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[user] = None


def _chosen(data: Json) -> str:
    values = (data.get("data") or {}).get("values") or ()
    return str(values[0]) if values else ""
