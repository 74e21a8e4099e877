"""Guilds, channels and roles, cached from gateway events and otherwise looked up."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from adapters.discord.api_port import Api, Json
from adapters.discord.payload_parsing import EventContext, workspace_of_guild
from bot.domain import ChannelId, ChannelKind, MessageId, Place
from bot.domain.ids import id_on_platform
from bot.errors import SurfaceError

log = logging.getLogger(__name__)

VIEW, SEND = 1 << 10, 1 << 11
_ADMINISTRATOR, _MANAGE_GUILD = 1 << 3, 1 << 5
_DIRECT_TYPES, _THREAD_TYPES, _PRIVATE_THREAD = (1, 3), (10, 11, 12), 12
_TEXT_TYPES = (0, 5)
_HIDDEN_FLAG = 1 << 17
_MAX_CHANNELS = 20_000
_LOOKUP_SECONDS = 1.0
_GUILDS_PAGE = 200


@dataclass(slots=True)
class Guild:
    """A guild with its roles' permissions and the bot's own roles."""

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
    """A channel or thread with its permission overwrites."""

    id: str
    guild: str | None
    type: int = 0
    parent: str | None = None
    person: str | None = None
    """The id of the user that a direct message channel is shared with."""
    is_restricted: bool = False
    position: int = 0
    is_hidden: bool = False
    overwrites: dict[str, tuple[int, int]] = field(default_factory=dict)


class GuildCache:
    """Caches guilds and channels.

    Methods raise only where they say so; a channel that Discord does not return in time counts as
    private.
    """

    def __init__(self, api: Api, bot: str) -> None:
        self._api = api
        self._bot = bot
        self.guilds: dict[str, Guild] = {}
        self.channels: dict[str, Channel] = {}
        self.names: dict[str, str] = {}
        """Names of channels and roles by id."""
        self._own: set[str] | None = None

    @property
    def bot_roles(self) -> Mapping[str, str]:
        """The bot's managed role by guild."""
        return {guild.id: guild.bot_role for guild in self.guilds.values() if guild.bot_role}

    def update_from_event(self, name: str, data: Json) -> None:
        """Updates the cache from a gateway event."""
        match name:
            case "READY":
                self._store_own_guilds(data)
            case "GUILD_CREATE" | "GUILD_UPDATE":
                self._store_guild(data)
            case "GUILD_DELETE":
                self._forget_guild(str(data["id"]), is_gone=not data.get("unavailable"))
            case "GUILD_ROLE_CREATE" | "GUILD_ROLE_UPDATE":
                self._store_roles(str(data["guild_id"]), [data["role"]])
            case "GUILD_ROLE_DELETE" | "GUILD_MEMBER_UPDATE":
                self._update_roles(data)
            case "CHANNEL_CREATE" | "CHANNEL_UPDATE" | "THREAD_CREATE" | "THREAD_UPDATE":
                self._store_channel(data, data.get("guild_id"))
            case "CHANNEL_DELETE" | "THREAD_DELETE":
                self.channels.pop(str(data["id"]), None)

    def _store_own_guilds(self, ready: Json) -> None:
        """Stores the ids of READY, which has only the guilds of its shard."""
        guilds = {str(guild["id"]) for guild in ready.get("guilds") or ()}
        _, shards = ready.get("shard") or (0, 1)
        if int(shards) == 1:
            self._own = guilds
        elif self._own is not None:
            self._own |= guilds

    async def own_guilds(self) -> Sequence[str]:
        """Returns every guild that the bot is in; lists them at Discord if no READY had all.

        Raises SurfaceError if Discord does not answer.
        """
        if self._own is None:
            self._own = {guild_id async for guild_id in self._list_own_guilds()} | set(self.guilds)
        return sorted(self._own)

    def owner_of(self, guild_id: str) -> str | None:
        """Returns the cached owner of a guild, None if unknown."""
        guild = self.guilds.get(guild_id)
        return guild.owner if guild is not None and guild.owner else None

    async def name_of(self, guild_id: str) -> str:
        """Returns the name of a guild, or its id if unknown."""
        guild = await self._guild(guild_id)
        return guild.name or guild_id

    async def person_of(self, channel_id: str) -> str | None:
        """Returns the user of a direct message channel.

        None for others or if Discord does not answer.
        """
        channel = await self._channel(channel_id)
        return channel.person if channel is not None else None

    async def is_direct(self, channel_id: str) -> bool:
        """Whether a channel is a direct message channel."""
        channel = await self._channel(channel_id)
        return channel is not None and channel.type in _DIRECT_TYPES

    async def with_channel_kind(self, place: Place) -> Place:
        """Returns a place with the channel's kind; a channel of another guild counts as private."""
        guild = await self._guild(id_on_platform(place.workspace))
        channel = await self._channel(place.channel)
        if channel is None or channel.guild != guild.id:
            return replace(place, kind=ChannelKind.PRIVATE)
        return await self._place(guild, place.channel)

    async def direct_context(
        self, channel_id: str, guild_id: str, user: str, member: Json
    ) -> EventContext:
        """Returns the context of a direct message in the guild that answers it."""
        guild = await self._guild(guild_id)
        place = Place(workspace_of_guild(guild_id), ChannelId(channel_id), kind=ChannelKind.DIRECT)
        return EventContext(place, self._is_admin(guild, member, user), guild.locale)

    async def event_context(self, data: Json, user: str | None) -> EventContext | None:
        """Returns place, role and language of a guild's payload; None for other payloads."""
        guild_id = str(data["guild_id"]) if data.get("guild_id") else None
        channel_id = str(data.get("channel_id") or (data.get("channel") or {}).get("id") or "")
        partial: Json = data.get("channel") or {}
        # Interactions contain a part of their channel, which suffices for threads only.
        if partial.get("parent_id") and partial.get("type") in _THREAD_TYPES:
            self._store_channel(partial, guild_id)
        if guild_id is None:
            return None
        guild = await self._guild(guild_id)
        place = await self._place(guild, channel_id)
        member: Json = data.get("member") or {}
        return EventContext(place, self._is_admin(guild, member, user), guild.locale)

    def welcome_channel(self, guild_id: str) -> str | None:
        """Returns the system channel, else the first one where the bot may or might post."""
        guild = self.guilds.get(guild_id)
        if guild is None:
            return None
        channels = [channel for channel in self.channels.values() if channel.guild == guild_id]
        texts = [
            channel for channel in channels if channel.type in _TEXT_TYPES and not channel.is_hidden
        ]
        texts.sort(
            key=lambda channel: (channel.id != guild.system_channel, channel.position, channel.id)
        )
        writable = [channel for channel in texts if self._may_post(guild, channel)]
        return next((channel.id for channel in (*writable, *texts)), None)

    async def _guild(self, guild_id: str) -> Guild:
        cached = self.guilds.get(guild_id)
        if cached is not None:
            return cached
        data = await self._fetch("/guilds/{guild_id}", {"guild_id": guild_id})
        if data is None:
            return Guild(guild_id)
        self._store_guild(data)
        return self.guilds[guild_id]

    async def _place(self, guild: Guild, channel_id: str) -> Place:
        """Returns the place of a channel; a thread belongs to its parent channel."""
        channel = await self._channel(channel_id)
        if channel is None:
            return Place(
                workspace_of_guild(guild.id), ChannelId(channel_id), kind=ChannelKind.PRIVATE
            )
        if channel.type not in _THREAD_TYPES or not channel.parent:
            kind = _kind(guild, channel)
            return Place(workspace_of_guild(guild.id), ChannelId(channel_id), kind=kind)
        parent = await self._channel(channel.parent)
        is_closed = channel.type == _PRIVATE_THREAD or parent is None
        kind = ChannelKind.PRIVATE if is_closed or parent is None else _kind(guild, parent)
        thread = MessageId(channel_id)
        return Place(workspace_of_guild(guild.id), ChannelId(channel.parent), thread, kind)

    async def _channel(self, channel_id: str) -> Channel | None:
        cached = self.channels.get(channel_id)
        if cached is None and channel_id:
            data = await self._fetch("/channels/{channel_id}", {"channel_id": channel_id})
            if data is not None:
                self._store_channel(data, data.get("guild_id"))
        return self.channels.get(channel_id)

    async def _list_own_guilds(self) -> AsyncIterator[str]:
        """Yields the ids of the bot's guilds, page after page.

        https://docs.discord.com/developers/resources/user#get-current-user-guilds
        """
        after = "0"
        while True:
            query = {"after": after, "limit": _GUILDS_PAGE}
            page = await self._api.get_list("/users/@me/guilds", query=query)
            for guild in page:
                yield str(guild["id"])
            if len(page) < _GUILDS_PAGE:
                return
            after = max((str(guild["id"]) for guild in page), key=int)

    async def _fetch(self, path: str, at: Mapping[str, str]) -> Json | None:
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                return await self._api.call("GET", path, at, patience=0)
        except (SurfaceError, TimeoutError) as error:
            log.info("Something cannot be looked up", extra={"why": type(error).__name__})
            return None

    def _store_guild(self, data: Json) -> None:
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
        self._store_roles(guild.id, data.get("roles") or ())
        for member in data.get("members") or ():
            if str((member.get("user") or {}).get("id")) == self._bot:
                guild.own_roles = tuple(str(role) for role in member.get("roles") or ())
        for channel in (*(data.get("channels") or ()), *(data.get("threads") or ())):
            self._store_channel(channel, guild.id)

    def _update_roles(self, data: Json) -> None:
        """Removes a deleted role, or stores the bot's own roles."""
        guild = self.guilds.get(str(data["guild_id"]))
        if guild is None:
            return
        if "role_id" in data:
            guild.roles.pop(str(data["role_id"]), None)
        elif str(data["user"]["id"]) == self._bot:
            guild.own_roles = tuple(str(role) for role in data.get("roles") or ())

    def _store_roles(self, guild_id: str, roles: Iterable[Json]) -> None:
        guild = self.guilds.setdefault(guild_id, Guild(guild_id))
        for role in roles:
            permissions = role.get("permissions")
            self._store_name(role)
            guild.roles[str(role["id"])] = VIEW | SEND if permissions is None else int(permissions)
            if str((role.get("tags") or {}).get("bot_id")) == self._bot:
                guild.bot_role = str(role["id"])

    def _store_channel(self, data: Mapping[str, Any], guild_id: object) -> None:
        """Stores a channel; a partial one, as in interactions, does not replace what is cached."""
        channel_id = str(data["id"])
        if len(self.channels) >= _MAX_CHANNELS:
            self.channels.clear()
        self._store_name(data)
        if "permission_overwrites" not in data and channel_id in self.channels:
            return
        flags, guild = int(data.get("flags") or 0), data.get("guild_id") or guild_id
        self.channels[channel_id] = Channel(
            id=channel_id,
            guild=str(guild) if guild else None,
            type=int(data.get("type") or 0),
            parent=str(data["parent_id"]) if data.get("parent_id") else None,
            person=_recipient(data),
            is_restricted=bool(data.get("nsfw")),
            position=int(data.get("position") or 0),
            is_hidden=bool(flags & _HIDDEN_FLAG),
            overwrites={
                str(overwrite["id"]): (
                    int(overwrite.get("allow") or 0),
                    int(overwrite.get("deny") or 0),
                )
                for overwrite in data.get("permission_overwrites") or ()
            },
        )

    def _store_name(self, named: Mapping[str, Any]) -> None:
        if len(self.names) >= 2 * _MAX_CHANNELS:
            self.names.clear()
        if named.get("name"):
            self.names[str(named["id"])] = str(named["name"])

    def _forget_guild(self, guild_id: str, *, is_gone: bool) -> None:
        if is_gone:
            self.guilds.pop(guild_id, None)
            self.channels = {k: v for k, v in self.channels.items() if v.guild != guild_id}
            if self._own is not None:
                self._own.discard(guild_id)

    def _is_admin(self, guild: Guild, member: Json, user: str | None) -> bool:
        """Whether the user owns or may manage the guild, by the member object or the roles."""
        if user is not None and user == guild.owner:
            return True
        if member.get("permissions") is not None:
            permissions = int(member["permissions"])
        else:
            permissions = _role_permissions(
                guild, [str(role) for role in member.get("roles") or ()]
            )
        return bool(permissions & (_ADMINISTRATOR | _MANAGE_GUILD))

    def _may_post(self, guild: Guild, channel: Channel) -> bool:
        return self._missing_in(guild, channel, VIEW | SEND) == 0

    async def missing_permissions(self, place: Place, wanted: int) -> int:
        """Returns which of these permissions the bot lacks in a channel; 0 if roles are unknown."""
        guild = await self._guild(id_on_platform(place.workspace))
        channel = await self._channel(place.channel)
        return 0 if channel is None else self._missing_in(guild, channel, wanted)

    def _missing_in(self, guild: Guild, channel: Channel, wanted: int) -> int:
        if not guild.roles or not guild.own_roles:
            return 0
        granted = _role_permissions(guild, guild.own_roles)
        if granted & _ADMINISTRATOR:
            return 0
        granted = _with_overwrites(channel, [guild.id], granted)
        granted = _with_overwrites(channel, guild.own_roles, granted)
        granted = _with_overwrites(channel, [self._bot], granted)
        return wanted & ~granted


def _recipient(data: Mapping[str, Any]) -> str | None:
    """Returns the recipient of a direct message, None for group messages."""
    people = [str(one["id"]) for one in data.get("recipients") or () if one.get("id")]
    return people[0] if len(people) == 1 else None


def _role_permissions(guild: Guild, roles: Iterable[str]) -> int:
    """Returns the permissions of roles; the role with the guild's id is @everyone's.

    https://docs.discord.com/developers/topics/permissions
    """
    granted = guild.roles.get(guild.id, 0)
    for role in roles:
        granted |= guild.roles.get(role, 0)
    return granted


def _with_overwrites(channel: Channel, holders: Iterable[str], granted: int) -> int:
    """Returns permissions with the channel's overwrites; denials apply before allowances."""
    overwrites = [channel.overwrites[holder] for holder in holders if holder in channel.overwrites]
    for _, deny in overwrites:
        granted &= ~deny
    for allow, _ in overwrites:
        granted |= allow
    return granted


def _kind(guild: Guild, channel: Channel) -> ChannelKind:
    """Returns the kind of a channel: open means that everybody in the guild can read it."""
    if channel.type in _DIRECT_TYPES:
        return ChannelKind.DIRECT
    if channel.is_restricted:
        return ChannelKind.RESTRICTED
    if channel.is_hidden:
        return ChannelKind.PRIVATE
    everybody = _with_overwrites(channel, [guild.id], guild.roles.get(guild.id, VIEW))
    return ChannelKind.OPEN if everybody & VIEW else ChannelKind.PRIVATE
