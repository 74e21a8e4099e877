"""Which guild answers a person's direct messages: chosen by them, kept over restarts."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from adapters.discord.api import Json
from adapters.discord.directory import Directory
from adapters.discord.inbound import workspace
from adapters.discord.members import Members
from adapters.discord.names import FIRST
from bot.domain import ChannelKind, Place, UserId, WorkspaceId
from bot.domain.ids import id_on_platform
from bot.ports.store import Store
from bot.replies import Button, Drawn, Listing

PLATFORM = "discord"
SERVER = "server:"
"""An action that chooses: `server:<guild>`, or `server:<guild>:<first message that waits>`."""

_AT_ONCE = 5
_LONGEST_ACTION = 100 - 22
_MARK = "|@"
_MARKED = re.compile(rf"\|@(\d{{1,20}})(?={FIRST}\d|$)")


@dataclass(frozen=True, slots=True)
class Choice:
    """`guild` answers and `member` is the person in it; else one of `shared_guilds` is chosen.

    `former_guild` answered before, and the person has left it.
    """

    guild: str | None
    member: Json = field(default_factory=dict)
    shared_guilds: Sequence[str] = ()
    former_guild: str | None = None


class DirectGuildChoices:
    """Nothing said elsewhere changes a choice. Raises SurfaceError where Discord does not tell."""

    def __init__(self, store: Store, directory: Directory, members: Members) -> None:
        self._store = store
        self._directory = directory
        self._members = members
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def choice_of(self, user: str) -> Choice:
        """The kept choice; else the one guild that is shared, which is kept from now on."""
        kept = await self.chosen_guild(user)
        if kept is not None:
            member = await self._members.find(kept, user)
            if member is not None:
                return Choice(kept, member)
            await self._drop(kept, user)
        shared = await self.shared_guilds(user)
        if len(shared) != 1:
            return Choice(None, shared_guilds=shared, former_guild=kept)
        return replace(await self.choose(shared[0], user), former_guild=kept)

    async def choose(self, guild: str, user: str) -> Choice:
        """A choice without a guild where the person is not in it."""
        member = await self._members.find(guild, user)
        if member is None:
            return Choice(None)
        async with self._store.writing() as records:
            await records.direct_choices.choose(workspace(guild), UserId(user))
        return Choice(guild, member)

    async def of_guild(self, guild: str, user: str) -> Choice:
        """For what says itself where it belongs, whatever is chosen."""
        member = await self._members.find(guild, user)
        return Choice(None) if member is None else Choice(guild, member)

    async def shared_guilds(self, user: str) -> Sequence[str]:
        guilds = await self._directory.own_guilds()
        found = await asyncio.gather(*(self._is_in(guild, user) for guild in guilds))
        return [guild for guild, is_in in zip(guilds, found, strict=True) if is_in]

    async def chosen_guild(self, user: str) -> str | None:
        async with self._store.reading() as records:
            found = await records.direct_choices.chosen_workspace(PLATFORM, UserId(user))
        return None if found is None else id_on_platform(found)

    async def guilds_ever_chosen(self, user: str) -> Sequence[str]:
        """Every guild that has ever answered somebody's direct messages."""
        async with self._store.reading() as records:
            found = await records.direct_choices.ever_chosen(PLATFORM, UserId(user))
        return [id_on_platform(one) for one in found]

    async def _is_in(self, guild: str, user: str) -> bool:
        async with self._gate:
            return await self._members.find(guild, user) is not None

    async def _drop(self, guild: str, user: str) -> None:
        async with self._store.writing() as records:
            await records.direct_choices.leave(workspace(guild), UserId(user))


def mark_with_guild(reply: Drawn, owner: WorkspaceId) -> Drawn:
    """Its buttons say which guild they belong to, whichever answers when they are clicked."""
    if not isinstance(reply, Listing):
        return replace(reply, buttons=marked_buttons(reply.buttons, owner))
    lines = tuple(replace(one, buttons=marked_buttons(one.buttons, owner)) for one in reply.lines)
    more = marked_buttons((reply.more,), owner)[0] if reply.more else None
    return replace(reply, lines=lines, more=more)


def buttons_for_place(
    place: Place, asked_for: Callable[[], tuple[Button, ...]]
) -> tuple[Button, ...]:
    """An answer's buttons once it is whole, marked with their server in a direct message."""
    is_direct = place.kind is ChannelKind.DIRECT
    return marked_buttons(asked_for(), place.workspace) if is_direct else asked_for()


def marked_buttons(buttons: Sequence[Button], owner: WorkspaceId) -> tuple[Button, ...]:
    return tuple(replace(one, action=marked_action(one.action, owner)) for one in buttons)


def marked_action(action: str, owner: WorkspaceId) -> str:
    """One that has no room for it is taken as of the guild that answers."""
    whole = f"{action}{_MARK}{id_on_platform(owner)}"
    is_bare = not action or action.startswith(SERVER) or len(whole) > _LONGEST_ACTION
    return action if is_bare else whole


def split_guild_mark(data: Json) -> tuple[Json, str | None]:
    """A click or form without the mark, and the guild that the mark names."""
    inner: Json = dict(data.get("data") or {})
    texts = [str(inner.get("custom_id") or ""), *map(str, inner.get("values") or ())]
    found = [match[1] for text in texts if (match := _MARKED.search(text))]
    if not found:
        return data, None
    inner["custom_id"] = _MARKED.sub("", texts[0])
    if "values" in inner:
        inner["values"] = [_MARKED.sub("", one) for one in texts[1:]]
    return {**data, "data": inner}, found[0]
