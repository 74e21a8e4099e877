"""Users, user groups and channels of Slack, looked up and cached."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.slack.api_port import Api, Json, error_code, is_unknown_method
from adapters.slack.payload_parsing import Bot
from adapters.slack.posted_before_crash import list_items
from bot.domain import ChannelKind, Message, Place, User, UserId
from bot.errors import SurfaceError
from bot.single_flight import SingleFlight

log = logging.getLogger(__name__)

_PERSON = re.compile(r"[UW][A-Z0-9]{1,20}", re.ASCII)
_GROUP = re.compile(r"S[A-Z0-9]{2,20}", re.ASCII)
_USERS_PAGE, _TEAMS_PAGE = 200, 100
_CACHE_SECONDS = 600.0
_UNKNOWN_CACHE_SECONDS = 60.0
_CAPACITY = 10_000
_LOOKUP_SECONDS = 1.0
_NOT_VISIBLE = ("user_not_found", "user_not_visible", "users_not_found")
"""Error codes for users who are not members of the workspace."""


@dataclass(frozen=True, slots=True)
class Person:
    """A user with language and team."""

    user: User
    locale: str
    team: str = ""


class People:
    """Looks up users and channels with a cache; a look-up that takes too long returns defaults."""

    def __init__(self, api: Api, bot: Callable[[], Bot], now: Callable[[], float]) -> None:
        self._api = api
        self._bot = bot
        self._now = now
        self._people: dict[str, tuple[float, Person]] = {}
        self._channels: dict[str, tuple[float, Json]] = {}
        self._directs: dict[str, str] = {}
        self._group_list: tuple[float, Sequence[Json]] = (0.0, ())
        self._group_lookup: SingleFlight[Sequence[Json]] = SingleFlight()
        self._person_lookups: SingleFlight[Person | None] = SingleFlight()
        self._channel_lookups: SingleFlight[Json] = SingleFlight()

    def last_known(self, user: User) -> Person | None:
        """Returns the cached person, however old; None if there is none."""
        cached = self._people.get(user.id)
        return cached[1] if cached else None

    def team_of(self, user: UserId) -> str:
        """Returns the workspace to stream a person's answers to; an organisation has several."""
        person = self.last_known(User(user, user)) if self._bot().is_org else None
        return person.team if person is not None and person.team else self._bot().team

    def is_fresh(self, user: User) -> bool:
        """Whether the cached person is recent."""
        cached = self._people.get(user.id)
        return cached is not None and cached[0] > self._now()

    async def person(self, user: User, *, is_shared: bool = False) -> Person:
        """Returns a user with name, roles and language.

        If the look-up fails, the cached person is returned. An unknown person is external if the
        event said so, if Slack does not show the profile, or if the message is in a channel shared
        with another organisation.
        """
        if self.is_fresh(user) or not user.id.startswith(("U", "W")):
            return self.last_known(user) or Person(user, "en")
        person = await self._person_lookups.run(user.id, lambda: self._look_up(user))
        person = person or self.last_known(user)
        if person is not None:
            return person
        return Person(replace(user, is_external=user.is_external or is_shared), "en")

    async def _look_up(self, user: User) -> Person | None:
        """Returns the person of a profile, None if Slack does not answer."""
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                args = {"user": user.id, "include_locale": True}
                response = await self._api.call("users.info", args, patience=0)
        except (SurfaceError, TimeoutError) as error:
            log.warning("A profile cannot be read", extra={"why": type(error).__name__})
            if isinstance(error, SurfaceError) and error_code(error) in _NOT_VISIBLE:
                stranger = Person(replace(user, is_external=True), "en")
                return self._cache_person(stranger, _UNKNOWN_CACHE_SECONDS)
            return None
        return self._cache_person(
            _person(user, response.get("user") or {}, self._bot()), _CACHE_SECONDS
        )

    def _cache_person(self, person: Person, seconds: float) -> Person:
        _trim(self._people)
        self._people[person.user.id] = (self._now() + seconds, person)
        return person

    async def find(self, said: str) -> User | None:
        """Returns a user or user group by id; None if it is unknown or deactivated."""
        user = said.strip().lstrip("@")
        if _GROUP.fullmatch(user):
            return await self.find_group(user)
        if not _PERSON.fullmatch(user):
            return None
        try:
            response = await self._api.call("users.info", {"user": user, "include_locale": True})
        except SurfaceError as error:
            if error_code(error) in _NOT_VISIBLE:
                return None
            raise
        info: Json = response.get("user") or {}
        if info.get("deleted"):
            return None
        return _person(User(UserId(user), user), info, self._bot()).user

    async def admins(self) -> list[UserId]:
        """Returns owners first, then admins; without guests and deactivated accounts."""
        ranked: list[tuple[bool, UserId]] = []
        for team in await self._teams():
            args = {"limit": _USERS_PAGE, **team}
            async for info in list_items(self._api, "users.list", args, listed="members"):
                user = UserId(str(info.get("id")))
                person = _person(User(user, user), info, self._bot()).user
                if person.is_platform_admin and not info.get("deleted") and not person.is_bot:
                    ranked.append((not info.get("is_owner"), user))
        return [user for _, user in sorted(set(ranked))]

    async def _teams(self) -> Sequence[Json]:
        """Returns the arguments of a list call: one set for each workspace of an organisation.

        https://docs.slack.dev/reference/methods/auth.teams.list
        """
        if not self._bot().is_org:
            return [{}]
        teams = list_items(self._api, "auth.teams.list", {"limit": _TEAMS_PAGE}, listed="teams")
        return [{"team_id": str(team["id"])} async for team in teams]

    async def groups_of(self, user: UserId) -> tuple[UserId, ...]:
        """Returns a user's groups from the cache; empty if the scope for them is missing."""
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                groups = await self._groups()
        except (SurfaceError, TimeoutError) as error:
            log.info("User groups cannot be read", extra={"why": type(error).__name__})
            self._group_list = (self._now() + _UNKNOWN_CACHE_SECONDS, self._group_list[1])
            groups = self._group_list[1]
        return tuple(
            UserId(str(group["id"])) for group in groups if user in (group.get("users") or ())
        )

    async def find_group(self, said: str) -> User | None:
        """Returns a user group by id. Raises SurfaceError, also if the scope is missing."""
        self.forget_groups()
        for group in await self._groups():
            if group["id"] == said:
                return User(UserId(said), f"@{group.get('handle') or group.get('name') or said}")
        return None

    async def _groups(self) -> Sequence[Json]:
        """Returns the user groups with their members, from the cache if recent.

        https://docs.slack.dev/reference/methods/usergroups.list
        """
        until, groups = self._group_list
        if until <= self._now():
            groups = await self._group_lookup.run("", self._fetch_groups)
            self._group_list = (self._now() + _CACHE_SECONDS, groups)
        return groups

    async def _fetch_groups(self) -> Sequence[Json]:
        groups: list[Json] = []
        for team in await self._teams():
            args = {"include_users": True, **team}
            response = await self._api.call("usergroups.list", args, patience=1)
            groups += response.get("usergroups") or ()
        return groups

    def forget_groups(self) -> None:
        """Makes the next call list the user groups again, as their members may have changed."""
        self._group_list = (0.0, self._group_list[1])

    async def channel_name(self, channel: str) -> str | None:
        """Returns the name of a channel, None for direct messages."""
        name = (await self._channel_info(channel)).get("name")
        return f"#{name}" if name else None

    async def has_channel(self, channel: str) -> bool:
        """Whether the bot can see the channel now; the cache is not used, but renewed."""
        try:
            await self._fetch_channel(channel, patience=6)
        except SurfaceError as error:
            if error_code(error) in ("channel_not_found", "invalid_arguments"):
                return False
            raise
        return True

    async def _channel_info(self, channel: str) -> Json:
        """Returns the object of a channel, from the cache if recent.

        https://docs.slack.dev/reference/methods/conversations.info
        """
        cached = self._cached_channel(channel)
        if cached is not None:
            return cached
        return await self._channel_lookups.run(channel, lambda: self._fetch_channel(channel))

    async def _fetch_channel(self, channel: str, *, patience: int = 0) -> Json:
        response = await self._api.call(
            "conversations.info", {"channel": channel}, patience=patience
        )
        info: Json = response.get("channel") or {}
        _trim(self._channels)
        self._channels[channel] = (self._now() + _CACHE_SECONDS, info)
        return info

    def _cached_channel(self, channel: str) -> Json | None:
        until, info = self._channels.get(channel, (0.0, {}))
        return info if until > self._now() else None

    async def with_authors(self, said: Iterable[Message]) -> list[Message]:
        """Returns messages with their authors' names and roles."""
        messages = list(said)
        authors = {message.author.id: message.author for message in messages if not message.is_own}
        people = await asyncio.gather(*(self.person(author) for author in authors.values()))
        by_id = dict(zip(authors, people, strict=True))
        return [
            replace(message, author=by_id[message.author.id].user)
            if message.author.id in by_id
            else message
            for message in messages
        ]

    async def with_channel_kind(self, place: Place) -> Place:
        """Returns the place with the channel's kind, private if the look-up fails."""
        if place.kind is not ChannelKind.OPEN or not place.channel:
            return place
        cached = self._cached_channel(place.channel)
        kind = _kind(cached) if cached is not None else await self._kind_of(place.channel)
        return replace(place, kind=kind)

    def forget_channel(self, channel: str) -> None:
        """Removes a channel from the cache after its kind or name has changed."""
        self._channels.pop(channel, None)

    def forget_person(self, user: str) -> None:
        """Removes a person from the cache after a change."""
        self._people.pop(user, None)

    async def _kind_of(self, channel: str) -> ChannelKind:
        try:
            async with asyncio.timeout(_LOOKUP_SECONDS):
                return _kind(await self._channel_info(channel))
        except (SurfaceError, TimeoutError) as error:
            if isinstance(error, SurfaceError) and is_unknown_method(error):
                return ChannelKind.OPEN
            log.warning("A channel cannot be looked up", extra={"why": type(error).__name__})
            return ChannelKind.PRIVATE

    async def channel_to_post_in(self, place: Place) -> str:
        """Returns the channel to post in; for a user's id, the direct message channel."""
        if not place.channel.startswith(("U", "W")):
            return place.channel
        return await self.direct(UserId(place.channel))

    async def direct(self, user: UserId) -> str:
        """Returns the direct message channel with a user."""
        if user not in self._directs:
            _trim(self._directs)
            self._directs[user] = await self._open_direct(user)
        return self._directs[user]

    async def _open_direct(self, user: UserId) -> str:
        """Opens the direct message channel; returns the user's id if the server cannot open one.

        A post to a user's id opens the channel too.
        """
        try:
            response = await self._api.call("conversations.open", {"users": user})
        except SurfaceError as error:
            if not is_unknown_method(error):
                raise
            return user
        return str((response.get("channel") or {}).get("id") or user)


def _person(user: User, info: Json, bot: Bot) -> Person:
    profile: Json = info.get("profile") or {}
    name = profile.get("display_name") or info.get("real_name") or info.get("name") or user.name
    is_external = _is_external(user, info, bot)
    is_guest = bool(info.get("is_restricted") or info.get("is_ultra_restricted"))
    is_admin = (_is_admin(info) and _is_of_workspace(info, bot)) or _is_org_admin(info, bot)
    described = User(
        user.id,
        str(name),
        is_bot=bool(info.get("is_bot")) or user.is_bot,
        is_guest=is_guest,
        is_external=is_external,
        is_platform_admin=is_admin and not (is_external or is_guest),
    )
    return Person(described, str(info.get("locale") or "en"), str(info.get("team_id") or ""))


def _is_admin(info: Json) -> bool:
    return bool(info.get("is_admin") or info.get("is_owner") or info.get("is_primary_owner"))


def _is_org_admin(info: Json, bot: Bot) -> bool:
    """Whether the user is an owner or admin of the workspace's Enterprise organisation."""
    org: Json = info.get("enterprise_user") or {}
    return bool(bot.enterprise) and org.get("enterprise_id") == bot.enterprise and _is_admin(org)


def _is_external(user: User, info: Json, bot: Bot) -> bool:
    """Whether the user is of another organisation.

    https://docs.slack.dev/reference/objects/user-object
    """
    if info.get("is_stranger"):
        return True
    if _is_of_workspace(info, bot):
        # For a profile without a team the event decides.
        return user.is_external and not info.get("team_id")
    org: Json = info.get("enterprise_user") or {}
    return not bot.enterprise or bot.enterprise not in (
        org.get("enterprise_id"),
        info.get("enterprise_id"),
        info.get("team_id"),
    )


def _is_of_workspace(info: Json, bot: Bot) -> bool:
    """Whether the user belongs to this workspace, or to the organisation that installed the app."""
    if bot.is_org:
        org: Json = info.get("enterprise_user") or {}
        return org.get("enterprise_id", info.get("enterprise_id")) == bot.enterprise
    teams = (info.get("enterprise_user") or {}).get("teams") or ()
    return str(info.get("team_id") or bot.team) == bot.team or bot.team in teams


def _kind(channel: Json) -> ChannelKind:
    if channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"):
        return ChannelKind.SHARED
    if channel.get("is_im") or channel.get("is_mpim"):
        return ChannelKind.DIRECT
    return ChannelKind.PRIVATE if channel.get("is_private") else ChannelKind.OPEN


def _trim(cache: dict[str, Any]) -> None:
    if len(cache) >= _CAPACITY:
        cache.clear()
