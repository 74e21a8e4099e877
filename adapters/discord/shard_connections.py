"""The gateway connections of the bot, one for each shard, resumed after a restart."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from adapters.discord.gateway_events import (
    GatewayClosed,
    GatewayConnection,
    GatewayEvent,
    GatewayRefused,
)
from adapters.discord.session_file import GatewaySession, SessionFile
from bot.errors import SettingsError
from bot.ports.store import Clock

MEMBERS, CONTENT = 1 << 1, 1 << 15
_UNWANTED_INTENT, _BAD_TOKEN, _SHARDING_REQUIRED = 4014, 4004, 4011
_MAX_WAIT_SECONDS = 60.0
_IDENTIFY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class GatewayPlan:
    """The gateway's URL, the number of shards and how many may identify at once.

    https://docs.discord.com/developers/events/gateway#sharding
    """

    url: str
    shards: int = 1
    concurrency: int = 1
    is_fixed: bool = False
    """Whether the URL is configured by the operator; sessions are then resumed at that URL too."""

    def shard_of(self, guild: str) -> int:
        return (int(guild) >> 22) % self.shards


class ShardingRequired(Exception):
    """The bot is in more guilds than this number of shards may serve."""


class ShardRunner(Protocol):
    """Opens gateway connections; see `adapters.discord.gateway.HttpApi.run_shard`."""

    async def run_shard(
        self,
        kept: GatewaySession,
        *,
        intents: int,
        gateway: str,
        shard: tuple[int, int],
        heard: Callable[[GatewayConnection, GatewayEvent], object],
    ) -> GatewayClosed: ...


class IdentifyQueue:
    """Lets `concurrency` shards identify every five seconds; a bot with one shard does not wait."""

    def __init__(self, plan: GatewayPlan) -> None:
        self._plan = plan
        self._next: defaultdict[int, float] = defaultdict(float)

    async def turn(self, shard: int) -> None:
        """Waits until the shard may identify."""
        if self._plan.shards == 1:
            return
        now = asyncio.get_running_loop().time()
        bucket = shard % self._plan.concurrency
        start = max(now, self._next[bucket])
        self._next[bucket] = start + _IDENTIFY_SECONDS
        await asyncio.sleep(start - now)


class Shard:
    """Keeps a shard connected; `connection` is the one that has the session."""

    def __init__(
        self,
        number: int,
        plan: GatewayPlan,
        memory: SessionFile,
        *,
        gateway: ShardRunner,
        clock: Clock,
        identifies: IdentifyQueue,
        guilds: Callable[[], Iterable[str]],
        on_event: Callable[[GatewayConnection, GatewayEvent], object],
        on_no_content: Callable[[], object],
    ) -> None:
        self.connection: GatewayConnection | None = None
        self.memory = memory
        self._number = number
        self._plan = plan
        self._gateway = gateway
        self._clock = clock
        self._identifies = identifies
        self._guilds = guilds
        self._on_event = on_event
        self._on_no_content = on_no_content
        if memory.kept.shards != plan.shards:
            # With another number of shards, guilds belong to other shards and sessions are not
            # valid.
            fresh = GatewaySession(shards=plan.shards, commands=memory.kept.commands)
            memory.keep(fresh)

    async def listen(self, intents: int) -> None:
        """Connects again until cancelled.

        Raises ShardingRequired, or SettingsError if Discord rejects.
        """
        wait = 1.0
        while True:
            previous = self.connection
            try:
                closed = await self._connect(intents)
            except GatewayRefused as refused:
                rejected_intents, intents = intents, _fewer_intents(refused.code, intents)
                self.memory.keep(replace(self.memory.kept, session=None))
                self.connection = None
                if rejected_intents & CONTENT and not intents & CONTENT:
                    self._on_no_content()
                continue
            if not closed.can_resume:
                self.connection = None
                self.memory.keep(replace(self.memory.kept, session=None, sequence=None))
            elif self.connection is not previous:
                # A connection that had a session is replaced without a wait.
                wait = 1.0
                continue
            await self._clock.sleep(timedelta(seconds=wait * random.uniform(1.0, 1.5)))
            wait = min(_MAX_WAIT_SECONDS, wait * 2)

    def keep_session(self) -> None:
        """Stores the session, so that this process or the next one can resume it."""
        connection, kept = self.connection, self.memory.kept
        if connection is None or connection.session_id is None:
            return
        guilds = tuple(
            guild for guild in self._guilds() if self._plan.shard_of(guild) == self._number
        )
        self.memory.keep(
            replace(
                kept,
                session=connection.session_id,
                sequence=connection.sequence,
                gateway="" if self._plan.is_fixed else connection.address,
                guilds=guilds or kept.guilds,
            )
        )

    async def _connect(self, intents: int) -> GatewayClosed:
        self.keep_session()
        kept = self.memory.kept
        if not kept.session or kept.sequence is None:
            kept = replace(kept, session=None)
            await self._identifies.turn(self._number)
        return await self._gateway.run_shard(
            kept,
            intents=intents,
            gateway=self._plan.url,
            shard=(self._number, self._plan.shards),
            heard=self._on_gateway_event,
        )

    def _on_gateway_event(self, connection: GatewayConnection, event: GatewayEvent) -> None:
        if event.name in ("READY", "RESUMED"):
            self.connection = connection
            # The session is stored before its first event: otherwise a process that crashes now
            # starts a new session, and Discord sends the missed events to the old one only.
            self.keep_session()
        self._on_event(connection, event)


def _fewer_intents(close: int, intents: int) -> int:
    """Returns the intents for the next try after a rejection.

    Raises SettingsError if none is left.
    """
    for privileged in (MEMBERS, CONTENT):
        if close == _UNWANTED_INTENT and intents & privileged:
            return intents & ~privileged
    if close == _BAD_TOKEN:
        raise bad_token_error()
    if close == _SHARDING_REQUIRED:
        raise ShardingRequired
    raise SettingsError(
        variable="DISCORD_TOKEN",
        problem=f"Discord refuses the connection ({close})",
        remedy="Check the application's intents at discord.com/developers, page Bot.",
    )


def bad_token_error() -> SettingsError:
    return SettingsError(
        variable="DISCORD_TOKEN",
        problem="Discord refuses it",
        remedy="At discord.com/developers, page Bot, reset the token and copy it anew.",
    )
