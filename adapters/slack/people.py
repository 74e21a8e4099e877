"""What is known of people and channels: looked up once, kept for a while."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from adapters.slack.inbound import Bot
from adapters.slack.wire import Json, Wire, is_unknown_method
from bot.errors import SurfaceError
from bot.model import ChannelKind, Place, Said, User, UserId
from bot.once import Once

log = logging.getLogger(__name__)

_KEEP_SECONDS = 600.0
_MOST_KEPT = 10_000
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Person:
    user: User
    locale: str


class People:
    """Profiles and kinds of channels; what Slack does not tell in time is taken as plain."""

    def __init__(self, wire: Wire, bot: Callable[[], Bot], now: Callable[[], float]) -> None:
        self._wire = wire
        self._bot = bot
        self._now = now
        self._people: dict[str, tuple[float, Person]] = {}
        self._kinds: dict[str, tuple[float, ChannelKind]] = {}
        self._directs: dict[str, str] = {}
        self._people_asked: Once[Person] = Once()
        self._kinds_asked: Once[ChannelKind] = Once()

    def known(self, user: User) -> Person | None:
        kept = self._people.get(user.id)
        return kept[1] if kept and kept[0] > self._now() else None

    async def person(self, user: User) -> Person:
        """Somebody with name, role and language."""
        known = self.known(user)
        if known is not None or not user.id.startswith(("U", "W")):
            return known or Person(user, "en")
        return await self._people_asked.ask(user.id, lambda: self._look_up(user))

    async def _look_up(self, user: User) -> Person:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                args = {"user": user.id, "include_locale": True}
                answer = await self._wire.call("users.info", args, patience=0)
        except (SurfaceError, TimeoutError) as error:
            log.warning("A profile cannot be read", extra={"why": type(error).__name__})
            return Person(user, "en")
        person = _person(user, answer.get("user") or {}, self._bot())
        _trim(self._people)
        self._people[user.id] = (self._now() + _KEEP_SECONDS, person)
        return person

    async def described(self, said: Iterable[Said]) -> list[Said]:
        """Messages with their authors' names and standing."""
        messages = list(said)
        authors = {one.author.id: one.author for one in messages if not one.is_own}
        people = await asyncio.gather(*(self.person(author) for author in authors.values()))
        found = dict(zip(authors, people, strict=True))
        return [
            replace(one, author=found[one.author.id].user) if one.author.id in found else one
            for one in messages
        ]

    async def place(self, place: Place) -> Place:
        """The place with its kind; where that cannot be told it counts as private."""
        if place.kind is not ChannelKind.OPEN or not place.channel:
            return place
        kept = self._kinds.get(place.channel)
        if kept is not None and kept[0] > self._now():
            return replace(place, kind=kept[1])
        kind = await self._kinds_asked.ask(place.channel, lambda: self._look_at(place.channel))
        return replace(place, kind=kind)

    def forget(self, channel: str) -> None:
        """Its kind has changed."""
        self._kinds.pop(channel, None)

    async def _look_at(self, channel: str) -> ChannelKind:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                answer = await self._wire.call(
                    "conversations.info", {"channel": channel}, patience=0
                )
        except (SurfaceError, TimeoutError) as error:
            if isinstance(error, SurfaceError) and is_unknown_method(error):
                return ChannelKind.OPEN
            log.warning("A channel cannot be looked up", extra={"why": type(error).__name__})
            return ChannelKind.PRIVATE
        kind = _kind(answer.get("channel") or {})
        _trim(self._kinds)
        self._kinds[channel] = (self._now() + _KEEP_SECONDS, kind)
        return kind

    async def channel(self, place: Place) -> str:
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
            answer = await self._wire.call("conversations.open", {"users": user})
        except SurfaceError as error:
            if not is_unknown_method(error):
                raise
            return user
        return str((answer.get("channel") or {}).get("id") or user)


def _person(user: User, info: Json, bot: Bot) -> Person:
    profile: Json = info.get("profile") or {}
    name = profile.get("display_name") or info.get("real_name") or info.get("name") or user.name
    is_foreign = str(info.get("team_id") or bot.team) != bot.team
    is_restricted = bool(info.get("is_restricted") or info.get("is_ultra_restricted"))
    described = User(
        user.id,
        str(name),
        is_bot=bool(info.get("is_bot")) or user.is_bot,
        is_guest=is_restricted,
        is_external=is_foreign or bool(info.get("is_stranger")),
        is_platform_admin=not is_foreign
        and bool(info.get("is_admin") or info.get("is_owner") or info.get("is_primary_owner")),
    )
    return Person(described, str(info.get("locale") or "en"))


def _kind(channel: Json) -> ChannelKind:
    if channel.get("is_ext_shared") or channel.get("is_pending_ext_shared"):
        return ChannelKind.SHARED
    if channel.get("is_im") or channel.get("is_mpim"):
        return ChannelKind.DIRECT
    return ChannelKind.PRIVATE if channel.get("is_private") else ChannelKind.OPEN


def _trim(kept: dict[str, Any]) -> None:
    if len(kept) >= _MOST_KEPT:
        kept.clear()
