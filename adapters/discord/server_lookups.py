"""Look-ups of people, roles and channels of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from adapters.discord import payload_parsing
from adapters.discord.api_port import DIRECT_CHANNELS_PATH, Api
from adapters.discord.member_cache import MemberCache
from adapters.discord.wire_names import ROLE_ID_PREFIX
from bot.domain import ChannelId, ChannelKind, Place, User, UserId
from bot.domain.ids import id_on_platform
from bot.errors import MessageGone, PlaceClosed, SurfaceError

_MAX_ID_LENGTH = 20
# Unknown Member, Unknown User: https://docs.discord.com/developers/topics/opcodes-and-status-codes
_UNKNOWN_USER = (10007, 10013)
_MEMBER, _CHANNEL_PATH = "/guilds/{guild_id}/members/{user_id}", "/channels/{channel_id}"


def no_owner(guild: str) -> str | None:
    """Returns None, the owner of a guild that is not known."""
    return None


async def as_private(place: Place) -> Place:
    """Returns the place as private."""
    return replace(place, kind=ChannelKind.PRIVATE)


class ServerLookups:
    """The part of the surface that finds people, roles and channels.

    `owner` returns a guild's owner and `names` the names of channels, from gateway events.
    """

    def __init__(
        self,
        api: Api,
        *,
        ready: Callable[[], Awaitable[None]],
        locate: Callable[[Place], Awaitable[Place]],
        owner: Callable[[str], str | None],
        names: Callable[[], Mapping[str, str]],
        members: MemberCache | None = None,
    ) -> None:
        self._api = api
        self._members = members or MemberCache(api)
        self._ready = ready
        self._locate = locate
        self._owner = owner
        self._names = names

    def renders_mentions_and_times(self) -> bool:
        return True

    async def fetch_user(self, place: Place, user: UserId) -> User:
        """Returns a member of the server; a user with the id only if the look-up fails."""
        await self._ready()
        try:
            if user.startswith(ROLE_ID_PREFIX) or not _is_id(user):
                return await self.find_person(place, user) or User(user, user)
            member = await self._members.find(id_on_platform(place.workspace), user)
        except SurfaceError:
            member = None
        return payload_parsing.member_of(member) if member else User(user, user)

    async def find_person(self, place: Place, typed: str) -> User | None:
        """Returns a member by id, or a role by `&` and its id; None if there is none."""
        await self._ready()
        guild, user = id_on_platform(place.workspace), typed.strip().lstrip("@")
        if user.startswith(ROLE_ID_PREFIX):
            return await self._find_role(guild, user)
        if not _is_id(user):
            return None
        at = {"guild_id": guild, "user_id": user}
        try:
            member = await self._api.call("GET", _MEMBER, at)
        except SurfaceError as error:
            if isinstance(error, MessageGone) or error.details.get("code") in _UNKNOWN_USER:
                return None
            raise
        return payload_parsing.member_of(member)

    async def _find_role(self, guild: str, said: str) -> User | None:
        """Returns a role; None for @everyone, whose id is the guild's, as it gets no grants."""
        role_id = said.removeprefix(ROLE_ID_PREFIX)
        if role_id == guild or not role_id.isdecimal():
            return None
        roles = await self._api.get_list("/guilds/{guild_id}/roles", {"guild_id": guild})
        role = next((role for role in roles if str(role.get("id")) == role_id), None)
        return User(UserId(said), f"@{role.get('name') or role_id}") if role else None

    async def find_admins(self, place: Place) -> Sequence[UserId]:
        """Returns the owner only: other admins could be found only with the list of members."""
        await self._ready()
        guild = id_on_platform(place.workspace)
        owner = self._owner(guild)
        if owner is None:
            at = {"guild_id": guild}
            owner = str(
                (await self._api.call("GET", "/guilds/{guild_id}", at)).get("owner_id") or ""
            )
        return [UserId(owner)] if owner else []

    async def has_channel(self, place: Place) -> bool:
        """Whether the place is a channel of the server."""
        await self._ready()
        channel = place.channel
        if not _is_id(channel):
            return False
        try:
            response = await self._api.call("GET", _CHANNEL_PATH, {"channel_id": channel})
        except (MessageGone, PlaceClosed):
            return False
        return str(response.get("guild_id") or "") == id_on_platform(place.workspace)

    async def channel_name(self, place: Place) -> str | None:
        await self._ready()
        name = self._names().get(place.thread or place.channel)
        return f"#{name}" if name else None

    async def with_channel_kind(self, place: Place) -> Place:
        await self._ready()
        return await self._locate(place)

    async def find_direct_message_place(self, place: Place, user: UserId) -> Place:
        await self._ready()
        channel = ChannelId(await self._direct(user))
        return Place(place.workspace, channel, kind=ChannelKind.DIRECT)

    async def _direct(self, user: UserId) -> str:
        opened = await self._api.call("POST", DIRECT_CHANNELS_PATH, body={"recipient_id": user})
        return str(opened["id"])


def _is_id(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_ID_LENGTH
