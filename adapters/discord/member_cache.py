"""Members of guilds, looked up at Discord and cached for a minute or until an event about them."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from adapters.bounded_cache import store_bounded
from adapters.discord.api_port import Api, Json
from bot.errors import SurfaceBusy, SurfaceError

_MEMBER = "/guilds/{guild_id}/members/{user_id}"
_CACHE_SECONDS = 60.0
_ANSWER_SECONDS = 5.0
_CAPACITY = 10_000


class MemberCache:
    """Looks up members with a cache.

    Discord sends events about members only to bots with a privileged intent, so entries expire too.
    """

    def __init__(self, api: Api, now: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._now = now
        self._cache: OrderedDict[tuple[str, str], tuple[float, Json | None]] = OrderedDict()

    async def find(self, guild: str, user: str) -> Json | None:
        """Returns a guild's member, None if the user is not one.

        Raises SurfaceError without an answer.
        """
        until, member = self._cache.get((guild, user), (0.0, None))
        if until <= self._now():
            member = await self._fetch(guild, user)
            cached = self._now() + _CACHE_SECONDS, member
            store_bounded(self._cache, (guild, user), cached, _CAPACITY)
        return member

    def invalidate_on_event(self, name: str, data: Json) -> None:
        """Removes the member of a GUILD_MEMBER event from the cache."""
        if name.startswith("GUILD_MEMBER_"):
            user = (data.get("user") or {}).get("id")
            self._cache.pop((str(data.get("guild_id")), str(user)), None)

    def forget(self) -> None:
        """Empties the cache."""
        self._cache.clear()

    async def _fetch(self, guild: str, user: str) -> Json | None:
        at = {"guild_id": guild, "user_id": user}
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await self._api.call("GET", _MEMBER, at, patience=1)
        except TimeoutError as error:
            raise SurfaceError(message="no answer", is_unknown=True) from error
        except SurfaceError as error:
            if isinstance(error, SurfaceBusy) or error.details.get("is_unknown"):
                raise
            return None
