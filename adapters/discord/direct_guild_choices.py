"""Which guild answers a person's direct messages; the person's choice is stored in the database."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from adapters.discord.api_port import Json
from adapters.discord.guild_cache import GuildCache
from adapters.discord.member_cache import MemberCache
from adapters.discord.payload_parsing import workspace_of_guild
from adapters.discord.wire_names import FIRST_MESSAGE_SEPARATOR
from bot.domain import ChannelKind, Place, UserId, WorkspaceId
from bot.domain.ids import id_on_platform
from bot.ports.store import Store
from bot.replies import Button, Drawn, Listing

DISCORD_PLATFORM = "discord"
SERVER_BUTTON_PREFIX = "server:"
"""Prefix of the buttons that choose a guild: `server:<guild>` or `server:<guild>:<message id>`.

The message id is that of the first message that waits for the choice.
"""

_PARALLEL_LOOKUPS = 5
_ACTION_LENGTH = 100 - 22
_GUILD_MARK = "|@"
_GUILD_MARK_PATTERN = re.compile(rf"\|@(\d{{1,20}})(?={FIRST_MESSAGE_SEPARATOR}\d|$)")


@dataclass(frozen=True, slots=True)
class GuildChoice:
    """The guild that answers a person's direct messages, and the person's member object there.

    `guild` is None if the person has yet to choose one of `shared_guilds`. `former_guild` answered
    before, and the person has left it.
    """

    guild: str | None
    member: Json = field(default_factory=dict)
    shared_guilds: Sequence[str] = ()
    former_guild: str | None = None


class DirectGuildChoices:
    """Reads and stores the guilds that people choose; messages in a guild do not change a choice.

    Methods raise SurfaceError if Discord does not return a membership.
    """

    def __init__(self, store: Store, directory: GuildCache, members: MemberCache) -> None:
        self._store = store
        self._directory = directory
        self._members = members
        self._gate = asyncio.Semaphore(_PARALLEL_LOOKUPS)

    async def choice_of(self, user: str) -> GuildChoice:
        """Returns the stored choice; without one, stores and returns the only shared guild."""
        stored_guild = await self.chosen_guild(user)
        if stored_guild is not None:
            member = await self._members.find(stored_guild, user)
            if member is not None:
                return GuildChoice(stored_guild, member)
            await self._delete_choice(stored_guild, user)
        shared = await self.shared_guilds(user)
        if len(shared) != 1:
            return GuildChoice(None, shared_guilds=shared, former_guild=stored_guild)
        return replace(await self.choose(shared[0], user), former_guild=stored_guild)

    async def choose(self, guild: str, user: str) -> GuildChoice:
        """Stores a guild as the choice; returns no guild if the person is not a member."""
        member = await self._members.find(guild, user)
        if member is None:
            return GuildChoice(None)
        async with self._store.writing() as records:
            await records.direct_message_workspaces.choose_workspace(
                workspace_of_guild(guild), UserId(user)
            )
        return GuildChoice(guild, member)

    async def of_guild(self, guild: str, user: str) -> GuildChoice:
        """Returns a guild as the choice without storing it, for a click that names its guild."""
        member = await self._members.find(guild, user)
        return GuildChoice(None) if member is None else GuildChoice(guild, member)

    async def shared_guilds(self, user: str) -> Sequence[str]:
        """Returns the guilds of the bot in which the person is a member."""
        guilds = await self._directory.own_guilds()
        memberships = await asyncio.gather(*(self._is_in(guild, user) for guild in guilds))
        return [guild for guild, is_in in zip(guilds, memberships, strict=True) if is_in]

    async def chosen_guild(self, user: str) -> str | None:
        """Returns the id of the stored guild, None if the person has not chosen."""
        async with self._store.reading() as records:
            workspace_id = await records.direct_message_workspaces.chosen_workspace(
                DISCORD_PLATFORM, UserId(user)
            )
        return None if workspace_id is None else id_on_platform(workspace_id)

    async def guilds_ever_chosen(self, user: str) -> Sequence[str]:
        """Returns every guild that the person has chosen at any time."""
        async with self._store.reading() as records:
            workspace_ids = await records.direct_message_workspaces.ever_chosen_workspaces(
                DISCORD_PLATFORM, UserId(user)
            )
        return [id_on_platform(workspace_id) for workspace_id in workspace_ids]

    async def _is_in(self, guild: str, user: str) -> bool:
        async with self._gate:
            return await self._members.find(guild, user) is not None

    async def _delete_choice(self, guild: str, user: str) -> None:
        async with self._store.writing() as records:
            await records.direct_message_workspaces.end_choice(
                workspace_of_guild(guild), UserId(user)
            )


def add_guild_to_buttons(reply: Drawn, owner: WorkspaceId) -> Drawn:
    """Returns the reply with the guild in each button's action, where a click is then handled."""
    if not isinstance(reply, Listing):
        return replace(reply, buttons=buttons_with_guild(reply.buttons, owner))
    rows = tuple(
        replace(row, buttons=buttons_with_guild(row.buttons, owner)) for row in reply.lines
    )
    more = buttons_with_guild((reply.more,), owner)[0] if reply.more else None
    return replace(reply, lines=rows, more=more)


def answer_buttons_for_place(
    place: Place, make_buttons: Callable[[], tuple[Button, ...]]
) -> tuple[Button, ...]:
    """Returns an answer's final buttons, which name their guild in a direct message."""
    is_direct = place.kind is ChannelKind.DIRECT
    return buttons_with_guild(make_buttons(), place.workspace) if is_direct else make_buttons()


def buttons_with_guild(buttons: Sequence[Button], owner: WorkspaceId) -> tuple[Button, ...]:
    """Returns the buttons with the guild in each action."""
    return tuple(
        replace(button, action=action_with_guild(button.action, owner)) for button in buttons
    )


def action_with_guild(action: str, owner: WorkspaceId) -> str:
    """Returns the action with the guild appended, unless the result is too long for a custom_id.

    A click on an action without a guild goes to the guild that answers then.
    """
    marked = f"{action}{_GUILD_MARK}{id_on_platform(owner)}"
    stays_unmarked = (
        not action or action.startswith(SERVER_BUTTON_PREFIX) or len(marked) > _ACTION_LENGTH
    )
    return action if stays_unmarked else marked


def split_off_guild(data: Json) -> tuple[Json, str | None]:
    """Returns a click or form without the guild in its ids, and that guild or None."""
    inner: Json = dict(data.get("data") or {})
    texts = [str(inner.get("custom_id") or ""), *map(str, inner.get("values") or ())]
    guilds = [match[1] for text in texts if (match := _GUILD_MARK_PATTERN.search(text))]
    if not guilds:
        return data, None
    inner["custom_id"] = _GUILD_MARK_PATTERN.sub("", texts[0])
    if "values" in inner:
        inner["values"] = [_GUILD_MARK_PATTERN.sub("", value) for value in texts[1:]]
    return {**data, "data": inner}, guilds[0]
