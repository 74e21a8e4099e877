"""What is known of guilds, channels and roles: learned from the gateway, else looked up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.discord.api import Api, Json
from adapters.discord.inbound import EventContext, workspace
from bot.domain import ChannelId, ChannelKind, MessageId, Place
from bot.domain.ids import id_on_platform
from bot.errors import SurfaceError

log = logging.getLogger(__name__)

VIEW, SEND = 1 << 10, 1 << 11
_ADMINISTRATOR, _MANAGE_GUILD = 1 << 3, 1 << 5
_DIRECT_TYPES, _THREAD_TYPES, _PRIVATE_THREAD = (1, 3), (10, 11, 12), 12
_TEXT_TYPES = (0, 5)
_OBFUSCATED = 1 << 17
_MOST_CHANNELS = 20_000
_PATIENCE_SECONDS = 1.0
_GUILDS_PAGE = 200


@dataclass(slots=True)
class Guild:
    """A guild as far as we know it; roles and what they may do, ours among them."""

    id: str
    name: str = ""
    owner: str = ""
    locale: str = "en"
    roles: dict[str, int] = field(default_factory=dict)
    own_roles: tuple[str, ...] = ()
    bot_role: str | None = None
    system_channel: str | None = None


@dataclass(slots=True)
class Channel:
    id: str
    guild: str | None
    type: int = 0
    parent: str | None = None
    person: str | None = None
    """Whom a direct message is with."""
    is_restricted: bool = False
    position: int = 0
    is_hidden: bool = False
    overwrites: dict[str, tuple[int, int]] = field(default_factory=dict)


class Directory:
    """Never raises: what Discord does not tell in time is taken as closed."""

    def __init__(self, api: Api, bot: str) -> None:
        self._api = api
        self._bot = bot
        self.guilds: dict[str, Guild] = {}
        self.channels: dict[str, Channel] = {}
        self.names: dict[str, str] = {}
        """What channels and roles are called, by id."""
        self._own: set[str] | None = None

    @property
    def bot_roles(self) -> Mapping[str, str]:
        return {one.id: one.bot_role for one in self.guilds.values() if one.bot_role}

    def update_from_event(self, name: str, data: Json) -> None:
        """Takes what an event of the gateway tells in passing."""
        match name:
            case "READY":
                self._learn_own(data)
            case "GUILD_CREATE" | "GUILD_UPDATE":
                self._learn_guild(data)
            case "GUILD_DELETE":
                self._forget_guild(str(data["id"]), is_gone=not data.get("unavailable"))
            case "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE":
                self._learn_roles(str(data["guild_id"]), [data["role"]])
            case "GUILD_ROLE_DELETE" | "GUILD_MEMBER_UPDATE":
                self._learn_change(data)
            case "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE":
                self._learn_channel(data, data.get("guild_id"))
            case "CHANNEL_DELETE" | "THREAD_DELETE":
                self.channels.pop(str(data["id"]), None)

    def _learn_own(self, ready: Json) -> None:
        """A shard tells of its own guilds alone, so that only a bot of one shard knows all."""
        guilds = {str(one["id"]) for one in ready.get("guilds") or ()}
        _, shards = ready.get("shard") or (0, 1)
        if int(shards) == 1:
            self._own = guilds
        elif self._own is not None:
            self._own |= guilds

    async def own_guilds(self) -> Sequence[str]:
        """Every guild that the bot is in; a resumed session does not tell, so it is asked then.

        Raises SurfaceError where Discord does not answer.
        """
        if self._own is None:
            self._own = {one async for one in self._listed()} | set(self.guilds)
        return sorted(self._own)

    def owner_of(self, guild_id: str) -> str | None:
        guild = self.guilds.get(guild_id)
        return guild.owner if guild is not None and guild.owner else None

    async def name_of(self, guild_id: str) -> str:
        guild = await self._guild(guild_id)
        return guild.name or guild_id

    async def person_of(self, channel_id: str) -> str | None:
        """Whom a direct channel is with; None for any other, and where Discord does not tell."""
        channel = await self._channel(channel_id)
        return channel.person if channel is not None else None

    async def is_direct(self, channel_id: str) -> bool:
        channel = await self._channel(channel_id)
        return channel is not None and channel.type in _DIRECT_TYPES

    async def locate(self, place: Place) -> Place:
        """A channel of a guild with what is known of it; one of another guild counts as private."""
        guild = await self._guild(id_on_platform(place.workspace))
        channel = await self._channel(place.channel)
        if channel is None or channel.guild != guild.id:
            return replace(place, kind=ChannelKind.PRIVATE)
        return await self._place(guild, place.channel)

    async def direct_context(
        self, channel_id: str, guild_id: str, user: str, member: Json
    ) -> EventContext:
        """A direct message, as of the guild that answers it."""
        guild = await self._guild(guild_id)
        place = Place(workspace(guild_id), ChannelId(channel_id), kind=ChannelKind.DIRECT)
        return EventContext(place, self._is_admin(guild, member, user), guild.locale)

    async def event_context(self, data: Json, user: str | None) -> EventContext | None:
        """Place, role and language for a payload of a guild; None for any other."""
        guild_id = str(data["guild_id"]) if data.get("guild_id") else None
        channel_id = str(data.get("channel_id") or (data.get("channel") or {}).get("id") or "")
        told: Json = data.get("channel") or {}
        # Interactions carry a part of their channel: enough to find a thread's own, no more.
        if told.get("parent_id") and told.get("type") in _THREAD_TYPES:
            self._learn_channel(told, guild_id)
        if guild_id is None:
            return None
        guild = await self._guild(guild_id)
        place = await self._place(guild, channel_id)
        member: Json = data.get("member") or {}
        return EventContext(place, self._is_admin(guild, member, user), guild.locale)

    def welcome_channel(self, guild_id: str) -> str | None:
        """The guild's own channel for news, else the first in which we may speak, or may try."""
        guild = self.guilds.get(guild_id)
        if guild is None:
            return None
        mine = [one for one in self.channels.values() if one.guild == guild_id]
        texts = [one for one in mine if one.type in _TEXT_TYPES and not one.is_hidden]
        texts.sort(key=lambda one: (one.id != guild.system_channel, one.position, one.id))
        open_to_us = [one for one in texts if self._may_speak(guild, one)]
        return next((one.id for one in (*open_to_us, *texts)), None)

    async def _guild(self, guild_id: str) -> Guild:
        known = self.guilds.get(guild_id)
        if known is not None:
            return known
        data = await self._asked("/guilds/{guild_id}", {"guild_id": guild_id})
        if data is None:
            return Guild(guild_id)
        self._learn_guild(data)
        return self.guilds[guild_id]

    async def _place(self, guild: Guild, channel_id: str) -> Place:
        """A message in a thread belongs to the channel that the thread hangs on."""
        channel = await self._channel(channel_id)
        if channel is None:
            return Place(workspace(guild.id), ChannelId(channel_id), kind=ChannelKind.PRIVATE)
        if channel.type not in _THREAD_TYPES or not channel.parent:
            kind = _kind(guild, channel)
            return Place(workspace(guild.id), ChannelId(channel_id), kind=kind)
        parent = await self._channel(channel.parent)
        is_closed = channel.type == _PRIVATE_THREAD or parent is None
        kind = ChannelKind.PRIVATE if is_closed or parent is None else _kind(guild, parent)
        thread = MessageId(channel_id)
        return Place(workspace(guild.id), ChannelId(channel.parent), thread, kind)

    async def _channel(self, channel_id: str) -> Channel | None:
        known = self.channels.get(channel_id)
        if known is None and channel_id:
            data = await self._asked("/channels/{channel_id}", {"channel_id": channel_id})
            if data is not None:
                self._learn_channel(data, data.get("guild_id"))
        return self.channels.get(channel_id)

    async def _listed(self) -> AsyncIterator[str]:
        """https://docs.discord.com/developers/resources/user#get-current-user-guilds."""
        after = "0"
        while True:
            query = {"after": after, "limit": _GUILDS_PAGE}
            found = await self._api.get_list("/users/@me/guilds", query=query)
            for one in found:
                yield str(one["id"])
            if len(found) < _GUILDS_PAGE:
                return
            after = max((str(one["id"]) for one in found), key=int)

    async def _asked(self, path: str, at: Mapping[str, str]) -> Json | None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._api.call("GET", path, at, patience=0)
        except (SurfaceError, TimeoutError) as error:
            log.info("Something cannot be looked up", extra={"why": type(error).__name__})
            return None

    def _learn_guild(self, data: Json) -> None:
        if data.get("unavailable"):
            return
        guild = self.guilds.setdefault(str(data["id"]), Guild(str(data["id"])))
        if self._own is not None:
            self._own.add(guild.id)
        guild.name = str(data.get("name") or guild.name)
        guild.owner = str(data.get("owner_id") or guild.owner)
        guild.locale = str(data.get("preferred_locale") or guild.locale)
        if data.get("system_channel_id"):
            guild.system_channel = str(data["system_channel_id"])
        self._learn_roles(guild.id, data.get("roles") or ())
        for member in data.get("members") or ():
            if str((member.get("user") or {}).get("id")) == self._bot:
                guild.own_roles = tuple(str(role) for role in member.get("roles") or ())
        for channel in (*(data.get("channels") or ()), *(data.get("threads") or ())):
            self._learn_channel(channel, guild.id)

    def _learn_change(self, data: Json) -> None:
        """A role that is gone, or our own roles."""
        guild = self.guilds.get(str(data["guild_id"]))
        if guild is None:
            return
        if "role_id" in data:
            guild.roles.pop(str(data["role_id"]), None)
        elif str(data["user"]["id"]) == self._bot:
            guild.own_roles = tuple(str(role) for role in data.get("roles") or ())

    def _learn_roles(self, guild_id: str, roles: Iterable[Json]) -> None:
        guild = self.guilds.setdefault(guild_id, Guild(guild_id))
        for role in roles:
            told = role.get("permissions")
            self._note_name(role)
            guild.roles[str(role["id"])] = VIEW | SEND if told is None else int(told)
            if str((role.get("tags") or {}).get("bot_id")) == self._bot:
                guild.bot_role = str(role["id"])

    def _learn_channel(self, data: Mapping[str, Any], guild_id: object) -> None:
        """A part of a channel, as interactions carry it, must not undo what we know."""
        number = str(data["id"])
        if len(self.channels) >= _MOST_CHANNELS:
            self.channels.clear()
        self._note_name(data)
        if "permission_overwrites" not in data and number in self.channels:
            return
        flags, guild = int(data.get("flags") or 0), data.get("guild_id") or guild_id
        self.channels[number] = Channel(
            id=number,
            guild=str(guild) if guild else None,
            type=int(data.get("type") or 0),
            parent=str(data["parent_id"]) if data.get("parent_id") else None,
            person=_person(data),
            is_restricted=bool(data.get("nsfw")),
            position=int(data.get("position") or 0),
            is_hidden=bool(flags & _OBFUSCATED),
            overwrites={
                str(one["id"]): (int(one.get("allow") or 0), int(one.get("deny") or 0))
                for one in data.get("permission_overwrites") or ()
            },
        )

    def _note_name(self, named: Mapping[str, Any]) -> None:
        if len(self.names) >= 2 * _MOST_CHANNELS:
            self.names.clear()
        if named.get("name"):
            self.names[str(named["id"])] = str(named["name"])

    def _forget_guild(self, guild_id: str, *, is_gone: bool) -> None:
        if is_gone:
            self.guilds.pop(guild_id, None)
            self.channels = {k: one for k, one in self.channels.items() if one.guild != guild_id}
            if self._own is not None:
                self._own.discard(guild_id)

    def _is_admin(self, guild: Guild, member: Json, user: str | None) -> bool:
        """`manage_guild`, by what an interaction says or by the roles."""
        if user is not None and user == guild.owner:
            return True
        if member.get("permissions") is not None:
            allowed = int(member["permissions"])
        else:
            allowed = _allowed(guild, [str(role) for role in member.get("roles") or ()])
        return bool(allowed & (_ADMINISTRATOR | _MANAGE_GUILD))

    def _may_speak(self, guild: Guild, channel: Channel) -> bool:
        return self._missing_in(guild, channel, VIEW | SEND) == 0

    async def missing_permissions(self, place: Place, wanted: int) -> int:
        """Which of these permissions the bot misses in a channel of a guild, as far as we know."""
        guild = await self._guild(id_on_platform(place.workspace))
        channel = await self._channel(place.channel)
        return 0 if channel is None else self._missing_in(guild, channel, wanted)

    def _missing_in(self, guild: Guild, channel: Channel, wanted: int) -> int:
        if not guild.roles or not guild.own_roles:
            return 0
        allowed = _allowed(guild, guild.own_roles)
        if allowed & _ADMINISTRATOR:
            return 0
        allowed = _overwritten(channel, [guild.id], allowed)
        allowed = _overwritten(channel, guild.own_roles, allowed)
        allowed = _overwritten(channel, [self._bot], allowed)
        return wanted & ~allowed


def _person(data: Mapping[str, Any]) -> str | None:
    """A direct message has one recipient beside the bot."""
    people = [str(one["id"]) for one in data.get("recipients") or () if one.get("id")]
    return people[0] if len(people) == 1 else None


def _allowed(guild: Guild, roles: Iterable[str]) -> int:
    """https://docs.discord.com/developers/topics/permissions: everybody's role is the guild's."""
    allowed = guild.roles.get(guild.id, 0)
    for role in roles:
        allowed |= guild.roles.get(role, 0)
    return allowed


def _overwritten(channel: Channel, holders: Iterable[str], allowed: int) -> int:
    """What is denied to several goes before what is allowed to one of them."""
    found = [channel.overwrites[one] for one in holders if one in channel.overwrites]
    for _, deny in found:
        allowed &= ~deny
    for allow, _ in found:
        allowed |= allow
    return allowed


def _kind(guild: Guild, channel: Channel) -> ChannelKind:
    """Open is what everybody in the guild can read."""
    if channel.type in _DIRECT_TYPES:
        return ChannelKind.DIRECT
    if channel.is_restricted:
        return ChannelKind.RESTRICTED
    if channel.is_hidden:
        return ChannelKind.PRIVATE
    everybody = _overwritten(channel, [guild.id], guild.roles.get(guild.id, VIEW))
    return ChannelKind.OPEN if everybody & VIEW else ChannelKind.PRIVATE
