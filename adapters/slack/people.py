"""What is known of people and channels: looked up once, kept for a while."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapters.slack.api import Api, Json, error_code, is_unknown_method
from adapters.slack.inbound import Bot
from adapters.slack.posted_before_crash import pages
from bot.domain import ChannelKind, Message, Place, User, UserId
from bot.errors import SurfaceError
from bot.single_flight import SingleFlight

log = logging.getLogger(__name__)

_PERSON = re.compile(r"[UW][A-Z0-9]{1,20}", re.ASCII)
_GROUP = re.compile(r"S[A-Z0-9]{2,20}", re.ASCII)
_USERS_PAGE, _TEAMS_PAGE = 200, 100
_KEEP_SECONDS = 600.0
_KEEP_UNKNOWN_SECONDS = 60.0
_MOST_KEPT = 10_000
_PATIENCE_SECONDS = 1.0
_UNSEEN = ("user_not_found", "user_not_visible", "users_not_found")
"""Slack's words for somebody who is none of the workspace's own people."""


@dataclass(frozen=True, slots=True)
class Person:
    user: User
    locale: str
    team: str = ""


class People:
    """Profiles and kinds of channels; what Slack does not tell in time is taken as plain."""

    def __init__(self, api: Api, bot: Callable[[], Bot], now: Callable[[], float]) -> None:
        self._api = api
        self._bot = bot
        self._now = now
        self._people: dict[str, tuple[float, Person]] = {}
        self._channels: dict[str, tuple[float, Json]] = {}
        self._directs: dict[str, str] = {}
        self._group_list: tuple[float, Sequence[Json]] = (0.0, ())
        self._groups_asked: SingleFlight[Sequence[Json]] = SingleFlight()
        self._people_asked: SingleFlight[Person | None] = SingleFlight()
        self._channels_asked: SingleFlight[Json] = SingleFlight()

    def last_known(self, user: User) -> Person | None:
        """What was known of somebody last, however long ago."""
        kept = self._people.get(user.id)
        return kept[1] if kept else None

    def team_of(self, user: UserId) -> str:
        """The workspace that a person's answers are streamed to; an organisation has several."""
        known = self.last_known(User(user, user)) if self._bot().is_org else None
        return known.team if known is not None and known.team else self._bot().team

    def is_fresh(self, user: User) -> bool:
        kept = self._people.get(user.id)
        return kept is not None and kept[0] > self._now()

    async def person(self, user: User, *, is_shared: bool = False) -> Person:
        """Somebody with name, standing and language.

        Where that cannot be looked up, what was known last counts; a person of whom nothing was
        known is external if the event said so, if Slack does not show them, or if they spoke in
        a channel that is shared with another organisation.
        """
        if self.is_fresh(user) or not user.id.startswith(("U", "W")):
            return self.last_known(user) or Person(user, "en")
        found = await self._people_asked.run(user.id, lambda: self._look_up(user))
        found = found or self.last_known(user)
        if found is not None:
            return found
        return Person(replace(user, is_external=user.is_external or is_shared), "en")

    async def _look_up(self, user: User) -> Person | None:
        """None where Slack does not tell."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                args = {"user": user.id, "include_locale": True}
                answer = await self._api.call("users.info", args, patience=0)
        except (SurfaceError, TimeoutError) as error:
            log.warning("A profile cannot be read", extra={"why": type(error).__name__})
            if isinstance(error, SurfaceError) and error_code(error) in _UNSEEN:
                unseen = Person(replace(user, is_external=True), "en")
                return self._keep(unseen, _KEEP_UNKNOWN_SECONDS)
            return None
        return self._keep(_person(user, answer.get("user") or {}, self._bot()), _KEEP_SECONDS)

    def _keep(self, person: Person, seconds: float) -> Person:
        _trim(self._people)
        self._people[person.user.id] = (self._now() + seconds, person)
        return person

    async def find(self, said: str) -> User | None:
        """Somebody or a user group by id; None where Slack knows none, or deactivated it."""
        user = said.strip().lstrip("@")
        if _GROUP.fullmatch(user):
            return await self.find_group(user)
        if not _PERSON.fullmatch(user):
            return None
        try:
            answer = await self._api.call("users.info", {"user": user, "include_locale": True})
        except SurfaceError as error:
            if error_code(error) in _UNSEEN:
                return None
            raise
        info: Json = answer.get("user") or {}
        if info.get("deleted"):
            return None
        return _person(User(UserId(user), user), info, self._bot()).user

    async def admins(self) -> list[UserId]:
        """Owners first, then admins; without guests and deactivated accounts."""
        found: list[tuple[bool, UserId]] = []
        for team in await self._teams():
            args = {"limit": _USERS_PAGE, **team}
            async for info in pages(self._api, "users.list", args, listed="members"):
                user = UserId(str(info.get("id")))
                person = _person(User(user, user), info, self._bot()).user
                if person.is_platform_admin and not info.get("deleted") and not person.is_bot:
                    found.append((not info.get("is_owner"), user))
        return [user for _, user in sorted(set(found))]

    async def _teams(self) -> Sequence[Json]:
        """What to name beside a call that lists: an organisation's token needs each workspace.

        https://docs.slack.dev/reference/methods/auth.teams.list
        """
        if not self._bot().is_org:
            return [{}]
        found = pages(self._api, "auth.teams.list", {"limit": _TEAMS_PAGE}, listed="teams")
        return [{"team_id": str(one["id"])} async for one in found]

    async def groups_of(self, user: UserId) -> tuple[UserId, ...]:
        """The user groups somebody is in; none where the scope for them was not given."""
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                groups = await self._groups()
        except (SurfaceError, TimeoutError) as error:
            log.info("User groups cannot be read", extra={"why": type(error).__name__})
            self._group_list = (self._now() + _KEEP_UNKNOWN_SECONDS, self._group_list[1])
            groups = self._group_list[1]
        return tuple(UserId(str(one["id"])) for one in groups if user in (one.get("users") or ()))

    async def find_group(self, said: str) -> User | None:
        """A user group by id. Raises SurfaceError, also where the scope for them is missing."""
        self.forget_groups()
        for one in await self._groups():
            if one["id"] == said:
                return User(UserId(said), f"@{one.get('handle') or one.get('name') or said}")
        return None

    async def _groups(self) -> Sequence[Json]:
        """https://docs.slack.dev/reference/methods/usergroups.list, which tells the members too."""
        until, known = self._group_list
        if until <= self._now():
            known = await self._groups_asked.run("", self._listed_groups)
            self._group_list = (self._now() + _KEEP_SECONDS, known)
        return known

    async def _listed_groups(self) -> Sequence[Json]:
        found: list[Json] = []
        for team in await self._teams():
            args = {"include_users": True, **team}
            answer = await self._api.call("usergroups.list", args, patience=1)
            found += answer.get("usergroups") or ()
        return found

    def forget_groups(self) -> None:
        """Who is in one may have changed."""
        self._group_list = (0.0, self._group_list[1])

    async def channel_name(self, channel: str) -> str | None:
        """Conversations between the two of us have none."""
        name = (await self._channel_info(channel)).get("name")
        return f"#{name}" if name else None

    async def has_channel(self, channel: str) -> bool:
        """Whether it is one that we can see."""
        try:
            await self._channel_info(channel, patience=6)
        except SurfaceError as error:
            if error_code(error) in ("channel_not_found", "invalid_arguments"):
                return False
            raise
        return True

    async def _channel_info(self, channel: str, *, patience: int = 0) -> Json:
        """https://docs.slack.dev/reference/methods/conversations.info, kept for a while."""
        known = self._known_channel(channel)
        if known is not None:
            return known
        return await self._channels_asked.run(channel, lambda: self._fetched(channel, patience))

    async def _fetched(self, channel: str, patience: int) -> Json:
        answer = await self._api.call("conversations.info", {"channel": channel}, patience=patience)
        info: Json = answer.get("channel") or {}
        _trim(self._channels)
        self._channels[channel] = (self._now() + _KEEP_SECONDS, info)
        return info

    def _known_channel(self, channel: str) -> Json | None:
        until, info = self._channels.get(channel, (0.0, {}))
        return info if until > self._now() else None

    async def with_authors(self, said: Iterable[Message]) -> list[Message]:
        """Messages with their authors' names and standing."""
        messages = list(said)
        authors = {one.author.id: one.author for one in messages if not one.is_own}
        people = await asyncio.gather(*(self.person(author) for author in authors.values()))
        found = dict(zip(authors, people, strict=True))
        return [
            replace(one, author=found[one.author.id].user) if one.author.id in found else one
            for one in messages
        ]

    async def with_channel_kind(self, place: Place) -> Place:
        """The place with its kind; where that cannot be told it counts as private."""
        if place.kind is not ChannelKind.OPEN or not place.channel:
            return place
        known = self._known_channel(place.channel)
        kind = _kind(known) if known is not None else await self._kind_of(place.channel)
        return replace(place, kind=kind)

    def forget_channel(self, channel: str) -> None:
        """Its kind or name has changed."""
        self._channels.pop(channel, None)

    def forget_person(self, user: str) -> None:
        """Their standing may have changed."""
        self._people.pop(user, None)

    async def _kind_of(self, channel: str) -> ChannelKind:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return _kind(await self._channel_info(channel))
        except (SurfaceError, TimeoutError) as error:
            if isinstance(error, SurfaceError) and is_unknown_method(error):
                return ChannelKind.OPEN
            log.warning("A channel cannot be looked up", extra={"why": type(error).__name__})
            return ChannelKind.PRIVATE

    async def channel_to_post_in(self, place: Place) -> str:
        """Where to post: a person's id stands for what we two share."""
        if not place.channel.startswith(("U", "W")):
            return place.channel
        return await self.direct(UserId(place.channel))

    async def direct(self, user: UserId) -> str:
        if user not in self._directs:
            _trim(self._directs)
            self._directs[user] = await self._opened(user)
        return self._directs[user]

    async def _opened(self, user: UserId) -> str:
        """To post to a person's own id opens the conversation too."""
        try:
            answer = await self._api.call("conversations.open", {"users": user})
        except SurfaceError as error:
            if not is_unknown_method(error):
                raise
            return user
        return str((answer.get("channel") or {}).get("id") or user)


def _person(user: User, info: Json, bot: Bot) -> Person:
    profile: Json = info.get("profile") or {}
    name = profile.get("display_name") or info.get("real_name") or info.get("name") or user.name
    is_external = _is_external(user, info, bot)
    is_guest = bool(info.get("is_restricted") or info.get("is_ultra_restricted"))
    is_admin = (_has_power(info) and _is_here(info, bot)) or _is_org_admin(info, bot)
    described = User(
        user.id,
        str(name),
        is_bot=bool(info.get("is_bot")) or user.is_bot,
        is_guest=is_guest,
        is_external=is_external,
        is_platform_admin=is_admin and not (is_external or is_guest),
    )
    return Person(described, str(info.get("locale") or "en"), str(info.get("team_id") or ""))


def _has_power(info: Json) -> bool:
    return bool(info.get("is_admin") or info.get("is_owner") or info.get("is_primary_owner"))


def _is_org_admin(info: Json, bot: Bot) -> bool:
    """An owner or admin of the Enterprise organisation that this workspace belongs to."""
    org: Json = info.get("enterprise_user") or {}
    return bool(bot.enterprise) and org.get("enterprise_id") == bot.enterprise and _has_power(org)


def _is_external(user: User, info: Json, bot: Bot) -> bool:
    """Of another organisation: https://docs.slack.dev/reference/objects/user-object."""
    if info.get("is_stranger"):
        return True
    if _is_here(info, bot):
        # Who has no team of his own in a profile stands as the event said.
        return user.is_external and not info.get("team_id")
    org: Json = info.get("enterprise_user") or {}
    return not bot.enterprise or bot.enterprise not in (
        org.get("enterprise_id"),
        info.get("enterprise_id"),
        info.get("team_id"),
    )


def _is_here(info: Json, bot: Bot) -> bool:
    """Whether somebody belongs to this very workspace; an organisation has several.

    Installed for a whole organisation, all of its workspaces are this one.
    """
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


def _trim(kept: dict[str, Any]) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
