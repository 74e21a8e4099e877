"""Who belongs to a guild: asked of Discord, and believed for a minute or until it tells more."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable

from adapters.discord.api import Api, Json
from bot.errors import SurfaceBusy, SurfaceError

_MEMBER = "/guilds/{guild_id}/members/{user_id}"
_BELIEVED_SECONDS = 60.0
_ANSWER_SECONDS = 5.0
_MOST = 10_000


class Members:
    """Who leaves a guild is told to bots with a privileged intent alone, so it is asked too."""

    def __init__(self, api: Api, now: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._now = now
        self._known: OrderedDict[tuple[str, str], tuple[float, Json | None]] = OrderedDict()

    async def find(self, guild: str, user: str) -> Json | None:
        """The member, or None for nobody. Raises SurfaceError where Discord does not tell."""
        until, member = self._known.get((guild, user), (0.0, None))
        if until <= self._now():
            member = await self._asked(guild, user)
            self._known[guild, user] = (self._now() + _BELIEVED_SECONDS, member)
            self._known.move_to_end((guild, user))
            while len(self._known) > _MOST:
                self._known.popitem(last=False)
        return member

    def invalidate_on_event(self, name: str, data: Json) -> None:
        """After an event about a member of a guild they are asked for anew."""
        if name.startswith("GUILD_MEMBER_"):
            user = (data.get("user") or {}).get("id")
            self._known.pop((str(data.get("guild_id")), str(user)), None)

    def forget(self) -> None:
        """Asks for everybody anew."""
        self._known.clear()

    async def _asked(self, guild: str, user: str) -> Json | None:
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
